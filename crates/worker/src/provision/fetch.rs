//! Getting playwright-core's files: from npm, or from a folder that is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde::Deserialize;
use tokio::process::Command;

use super::error::InstallError;
use super::manifest::FullVersion;
use super::node::on_path;
use super::wanted::Wanted;

/// What playwright-core says about itself.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    name: String,
    pub(super) version: FullVersion,
    #[serde(default)]
    engines: Engines,
}

#[derive(Debug, Default, Deserialize)]
struct Engines {
    #[serde(default)]
    node: String,
}

impl Package {
    /// Reads the `package.json` of a folder of playwright-core.
    pub(super) fn read(core: &Path) -> Result<Self, InstallError> {
        let not = |why: String| InstallError::NotPlaywright { dir: core.to_owned(), why };
        let text = fs::read(core.join("package.json"))
            .map_err(|error| not(format!("its package.json: {error}")))?;
        let package: Self =
            serde_json::from_slice(&text).map_err(|error| not(error.to_string()))?;
        if package.name != "playwright-core" {
            return Err(not(format!("it holds {}", package.name)));
        }
        Ok(package)
    }

    /// The major version of Node that it needs.
    fn needs_node(&self) -> u32 {
        let digits = |c: char| !c.is_ascii_digit();
        let numbers = self.engines.node.trim_start_matches(digits);
        let major = numbers.split(digits).next().unwrap_or_default();
        major.parse().unwrap_or(18)
    }

    /// Checks that this machine's Node is new enough.
    pub(super) async fn check_node(&self, node: &Path) -> Result<(), InstallError> {
        let asked = Command::new(node).arg("--version").output().await;
        let output = asked.map_err(InstallError::io(format!("{} --version", node.display())))?;
        let have = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let major = have.trim_start_matches('v').split('.').next();
        let major: u32 = major.and_then(|text| text.parse().ok()).unwrap_or(0);
        let needs = self.needs_node();
        if major >= needs {
            return Ok(());
        }
        Err(InstallError::OldNode {
            node: node.to_owned(),
            have,
            needs,
            playwright: self.version.to_string(),
        })
    }
}

/// Fetches `playwright-core` with npm into `dir/node_modules`, running none of its scripts.
pub(super) async fn npm(wanted: &Wanted, dir: &Path) -> Result<(), InstallError> {
    let npm = on_path("npm").ok_or(InstallError::NoNpm)?;
    let mut command = Command::new(npm);
    command
        .args(["install", "--ignore-scripts", "--no-save", "--no-audit", "--no-fund"])
        .args(["--no-package-lock", "--no-update-notifier", "--loglevel=error"])
        .args(["--fetch-retries=1", "--fetch-timeout=60000", "--prefix"])
        .arg(dir)
        .arg(format!("playwright-core@{wanted}"))
        .current_dir(dir)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.map_err(InstallError::io("npm"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(npm_error(wanted, &output))
}

fn npm_error(wanted: &Wanted, output: &Output) -> InstallError {
    const OFFLINE: [&str; 5] =
        ["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH"];
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let offline = OFFLINE.iter().any(|code| text.contains(code));
    let missing = text.contains("ETARGET") || text.contains("E404");
    let hint = match (offline, missing) {
        (true, _) => {
            ". Without a network, copy an unpacked playwright-core here and give its folder with --from"
        }
        (_, true) => ". `npm view playwright-core versions` lists what there is",
        _ => "",
    };
    InstallError::Npm { wanted: wanted.to_string(), why: npm_words(&text), hint }
}

/// The line of npm's error that says what happened: after those that only carry codes.
fn npm_words(text: &str) -> String {
    const CODES: [&str; 4] = ["code", "errno", "syscall", "A complete log"];
    let lines = text.lines().map(|line| line.trim_start_matches("npm error").trim());
    let mut telling =
        lines.filter(|line| !line.is_empty() && !CODES.iter().any(|code| line.starts_with(code)));
    let line = telling.next().unwrap_or("it gave no reason");
    line.trim_end_matches('.').to_owned()
}

/// The folder of playwright-core that `--from` means: itself, or the one in its `node_modules`.
pub(super) fn core_in(dir: &Path) -> PathBuf {
    let inside = dir.join("node_modules/playwright-core");
    if inside.is_dir() { inside } else { dir.to_owned() }
}

/// Copies a folder of playwright-core to where npm would have put it.
pub(super) fn copy(core: &Path, dir: &Path) -> io::Result<()> {
    copy_tree(core, &dir.join("node_modules/playwright-core"))
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_that_is_needed_is_read_from_the_package() {
        for (text, major) in [(">=20", 20), (">=18.0.0", 18), ("", 18)] {
            let json = format!(
                r#"{{"name":"playwright-core","version":"1.65.1","engines":{{"node":"{text}"}}}}"#
            );
            let package: Package = serde_json::from_str(&json).unwrap();
            assert_eq!(package.needs_node(), major, "{text}");
        }
    }

    #[test]
    fn npms_reason_is_found_among_its_codes() {
        let text = "npm error code ENOTFOUND\nnpm error syscall getaddrinfo\n\
                    npm error network request to https://nowhere/x failed, reason: nope.\n";
        let why = "network request to https://nowhere/x failed, reason: nope";
        assert_eq!(npm_words(text), why);
    }

    #[test]
    fn another_folder_is_refused_in_words() {
        let error = Package::read(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent is not a folder of playwright-core"));
    }
}
