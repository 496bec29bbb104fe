//! Playwright's own builds of browsers: where they are, whether they can be had, fetching them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use flotilla_core::BrowserKind;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::manifest::Flavour;

const REGISTRY: &str = include_str!("../../../../driver/registry.cjs");

/// How long the download's host may take to answer before a machine counts as offline.
const REACH_LIMIT: Duration = Duration::from_secs(3);
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(15 * 60);
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// One of Playwright's own builds.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct OwnBuild {
    pub(super) path: PathBuf,
    #[serde(default)]
    urls: Vec<String>,
}

/// Asks Playwright about its own builds.
pub(super) struct Downloads<'a> {
    pub(super) node: &'a Path,
    pub(super) core: &'a Path,
    pub(super) browsers: &'a Path,
}

impl Downloads<'_> {
    /// Where Playwright keeps its build of a kind, whether it is there or not.
    pub(super) async fn find(&self, kind: BrowserKind) -> Option<OwnBuild> {
        self.ask(name(kind)).await
    }

    /// Where Playwright keeps the program that it records videos with.
    pub(super) async fn find_ffmpeg(&self) -> Option<OwnBuild> {
        self.ask("ffmpeg").await
    }

    async fn ask(&self, name: &str) -> Option<OwnBuild> {
        let mut command = self.command();
        command.args(["-e", REGISTRY]).arg(self.core).arg(name);
        let output = command.output().await.ok()?;
        let mut found: BTreeMap<String, OwnBuild> = serde_json::from_slice(&output.stdout).ok()?;
        found.remove(name)
    }

    /// Fetches the build of a kind. The percentage is told as it grows.
    pub(super) async fn fetch(
        &self,
        kind: BrowserKind,
        percent: &(dyn Fn(u8) + Sync),
    ) -> Result<(), String> {
        let mut command = self.command();
        command
            .arg(self.core.join("cli.js"))
            .args(["install", name(kind)])
            .env("PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT", "10000")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("its pipes are missing".to_owned());
        };
        let finished = async {
            let told = watch_percent(stdout, percent);
            let (_, words, status) = tokio::join!(told, last_line(stderr), child.wait());
            match status {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(format!("{words} ({status})")),
                Err(error) => Err(error.to_string()),
            }
        };
        let limited = timeout(DOWNLOAD_LIMIT, finished).await;
        limited.unwrap_or_else(|_| Err("it took more than 15 minutes".to_owned()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.node);
        command
            .env("PLAYWRIGHT_BROWSERS_PATH", self.browsers)
            // It would remove the builds of versions that it does not know to be here.
            .env("PLAYWRIGHT_SKIP_BROWSER_GC", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

impl OwnBuild {
    pub(super) fn is_there(&self) -> bool {
        self.path.is_file()
    }

    /// Whether the download's host answers at all: an offline machine must not wait for minutes.
    /// Behind a proxy nobody can tell but the download itself.
    pub(super) async fn is_reachable(&self) -> bool {
        if PROXIES.iter().any(|name| std::env::var_os(name).is_some()) {
            return true;
        }
        let address = self.urls.first().and_then(|url| host_and_port(url));
        let Some((host, port)) = address else {
            return false;
        };
        let connected = timeout(REACH_LIMIT, TcpStream::connect((host, port))).await;
        matches!(connected, Ok(Ok(_)))
    }

    /// The host of its download, for people.
    pub(super) fn host(&self) -> &str {
        let address = self.urls.first().and_then(|url| host_and_port(url));
        address.map_or("its download", |(host, _)| host)
    }
}

/// What a kind's build is, once it is downloaded.
pub(super) const fn flavour(kind: BrowserKind) -> Flavour {
    match kind {
        BrowserKind::Chromium => Flavour::HeadlessShell,
        BrowserKind::Firefox => Flavour::Firefox,
        BrowserKind::Webkit => Flavour::Webkit,
    }
}

const fn name(kind: BrowserKind) -> &'static str {
    match kind {
        BrowserKind::Chromium => "chromium-headless-shell",
        BrowserKind::Firefox => "firefox",
        BrowserKind::Webkit => "webkit",
    }
}

fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let default = if scheme == "http" { 80 } else { 443 };
    match authority.rsplit_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((authority, default)),
    }
}

/// Playwright prints lines such as `|■■■■    |  40% of 109.7 MiB`.
async fn watch_percent(stdout: impl AsyncRead + Unpin, percent: &(dyn Fn(u8) + Sync)) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let before = line.split('%').next().unwrap_or_default();
        let number = before.rsplit([' ', '|']).next().unwrap_or_default();
        if line.contains("% of")
            && let Ok(number) = number.parse()
        {
            percent(number);
        }
    }
}

async fn last_line(stderr: impl AsyncRead + Unpin) -> String {
    let mut lines = BufReader::new(stderr).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if !line.trim().is_empty() {
            last = line;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn progress_is_read_from_what_playwright_prints() {
        let printed =
            "Downloading Chromium\n|■■      |  10% of 109.7 MiB\n|■■■■■■■■| 100% of 109.7 MiB\n";
        let seen = Mutex::new(Vec::new());
        watch_percent(printed.as_bytes(), &|n| seen.lock().unwrap().push(n)).await;
        assert_eq!(*seen.lock().unwrap(), [10, 100]);
    }

    #[test]
    fn the_downloads_host_is_read_from_its_address() {
        let address = host_and_port("https://cdn.playwright.dev/builds/x.zip");
        assert_eq!(address, Some(("cdn.playwright.dev", 443)));
        assert_eq!(host_and_port("http://mirror:8000/x"), Some(("mirror", 8000)));
    }
}
