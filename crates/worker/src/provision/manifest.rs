//! The manifest of an installed Playwright: which browsers were tried with it, and how it went.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fs, io};

use flotilla_core::{BrowserKind, PlaywrightVersion};
use serde::{Deserialize, Serialize};

/// The manifest's file name in `<data>/playwright/<full version>`.
pub(super) const FILE: &str = "flotilla.json";

/// What was installed and tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The full version, such as `1.65.1`.
    pub playwright: FullVersion,
    /// Where its files are from: `npm`, or the folder that was copied.
    pub from: String,
    /// The browsers that were tried, in the order in which they are preferred.
    pub browsers: Vec<Build>,
}

/// A browser that was tried with this Playwright.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// What it is.
    pub flavour: Flavour,
    /// Its program; absent where none was found.
    pub executable: Option<PathBuf>,
    /// Where it is from.
    pub source: Source,
    /// How the trial went.
    pub probe: Probe,
}

impl Build {
    /// True when the trial passed: only such builds are served.
    pub fn works(&self) -> bool {
        self.executable.is_some() && self.probe.error.is_none()
    }
}

/// A browser program's character: which requests it can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// Chromium without any window: the fastest.
    HeadlessShell,
    /// The whole Chromium.
    Chromium,
    /// Google's Chrome.
    Chrome,
    /// Firefox as patched by Playwright.
    Firefox,
    /// Mozilla's own Firefox, driven over WebDriver BiDi.
    MozFirefox,
    /// WebKit as built by Playwright.
    Webkit,
}

impl Flavour {
    /// The kind of browser that it is.
    pub const fn kind(self) -> BrowserKind {
        match self {
            Self::HeadlessShell | Self::Chromium | Self::Chrome => BrowserKind::Chromium,
            Self::Firefox | Self::MozFirefox => BrowserKind::Firefox,
            Self::Webkit => BrowserKind::Webkit,
        }
    }

    /// The channel by which Playwright must be told to drive it.
    pub const fn channel(self) -> Option<&'static str> {
        match self {
            Self::MozFirefox => Some("moz-firefox"),
            _ => None,
        }
    }

    /// The name for people and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HeadlessShell => "headless-shell",
            Self::Chromium => "chromium",
            Self::Chrome => "chrome",
            Self::Firefox => "firefox",
            Self::MozFirefox => "moz-firefox",
            Self::Webkit => "webkit",
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a browser's program is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Playwright's own download.
    Playwright,
    /// It was on this machine.
    System,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Playwright => "playwright",
            Self::System => "system",
        })
    }
}

/// How a trial went: launch, context, page, navigation, and a script whose answer was checked.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Probe {
    /// Seconds since 1970.
    pub at: u64,
    /// How long it took from the launch, in milliseconds.
    pub ms: u64,
    /// The browser's own version, when it came up.
    pub browser_version: Option<String>,
    /// Why it is not served; absent when it works.
    pub error: Option<String>,
}

impl Manifest {
    /// The version on the wire.
    pub fn version(&self) -> PlaywrightVersion {
        self.playwright.minor()
    }

    /// The full version, which orders patch versions.
    pub fn full_version(&self) -> FullVersion {
        self.playwright.clone()
    }

    /// Reads the manifest in `dir`.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let text = fs::read(dir.join(FILE))?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }

    /// Writes the manifest into `dir`, whole or not at all.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let half = dir.join(format!(".{FILE}"));
        fs::write(&half, text)?;
        fs::rename(half, dir.join(FILE))
    }
}

/// A full version of Playwright, such as `1.65.1` or `1.66.0-alpha-2026`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FullVersion {
    minor: PlaywrightVersion,
    patch: u32,
    /// Sorts before the release: `true` for one without a suffix.
    released: bool,
    suffix: String,
}

impl FullVersion {
    /// The part that clients and servers must agree on.
    pub const fn minor(&self) -> PlaywrightVersion {
        self.minor
    }
}

impl FromStr for FullVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("{text:?} is not a full version, such as 1.65.1");
        let (numbers, suffix) = text.split_once('-').unwrap_or((text, ""));
        let (minor, patch) = numbers.rsplit_once('.').ok_or_else(invalid)?;
        if minor.matches('.').count() != 1 {
            return Err(invalid());
        }
        Ok(Self {
            minor: minor.parse().map_err(|_| invalid())?,
            patch: patch.parse().map_err(|_| invalid())?,
            released: suffix.is_empty(),
            suffix: suffix.to_owned(),
        })
    }
}

impl TryFrom<String> for FullVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FullVersion> for String {
    fn from(version: FullVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for FullVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dash = if self.released { "" } else { "-" };
        f.pad(&format!("{}.{}{dash}{}", self.minor, self.patch, self.suffix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_versions_are_ordered_as_npm_orders_them() {
        let ordered = ["1.9.0", "1.55.1", "1.64.0-beta-1", "1.64.0", "1.64.10", "1.65.0"];
        let parsed: Vec<FullVersion> = ordered.iter().map(|v| v.parse().unwrap()).collect();
        assert!(parsed.is_sorted());
        let shown: Vec<String> = parsed.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ordered);
        for odd in ["1.65", "latest", "1.2.3.4", "1..2", ""] {
            assert!(odd.parse::<FullVersion>().is_err(), "{odd}");
        }
    }
}
