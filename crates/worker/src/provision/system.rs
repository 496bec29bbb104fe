//! The browsers that a machine has of its own.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flotilla_core::BrowserKind;

use super::manifest::Flavour;
use super::node::on_path;

const PROGRAMS: [(&str, Flavour); 7] = [
    ("chromium-headless-shell", Flavour::HeadlessShell),
    ("chromium", Flavour::Chromium),
    ("chromium-browser", Flavour::Chromium),
    ("google-chrome", Flavour::Chrome),
    ("google-chrome-stable", Flavour::Chrome),
    ("firefox-esr", Flavour::MozFirefox),
    ("firefox", Flavour::MozFirefox),
];

/// The programs of a kind on the PATH, each flavour once, the preferred first.
pub(super) fn browsers(kind: BrowserKind) -> Vec<(Flavour, PathBuf)> {
    let mut found: Vec<(Flavour, PathBuf)> = Vec::new();
    for (name, flavour) in PROGRAMS {
        let new = flavour.kind() == kind && found.iter().all(|(known, _)| *known != flavour);
        if new && let Some(path) = on_path(name) {
            found.push((flavour, real_program(&path)));
        }
    }
    found
}

/// The program behind links and behind a script that starts it as a child: the signal that ends a
/// browser with its driver goes to the process that was started, so that must be the browser.
fn real_program(path: &Path) -> PathBuf {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    script(&path).and_then(|text| child_of(&text)).unwrap_or(path)
}

fn script(path: &Path) -> Option<String> {
    let mut head = [0; 2];
    fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
    (&head == b"#!").then(|| fs::read_to_string(path).ok())?
}

/// The program in a line `/path/to/program "$@"` of a script. A line with `exec` before it needs
/// no such care.
fn child_of(script: &str) -> Option<PathBuf> {
    let line = script
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with('/') && line.ends_with("\"$@\""))?;
    let program = PathBuf::from(line.split_whitespace().next()?);
    program.is_file().then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_starts_a_child_gives_its_child() {
        assert_eq!(child_of("#!/bin/sh -e\n\n/bin/true \"$@\"\n"), Some("/bin/true".into()));
        assert_eq!(child_of("#!/bin/sh\nexec /bin/true \"$@\"\n"), None);
        assert_eq!(child_of("#!/bin/sh\n/nonexistent/x \"$@\"\n"), None);
    }

    #[test]
    fn a_binary_is_itself() {
        let sh = fs::canonicalize("/bin/sh").unwrap();
        assert_eq!(real_program(Path::new("/bin/sh")), sh);
    }
}
