//! Which browser: the three kinds that Playwright drives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of browser, as Playwright names it in `x-playwright-browser` and `?browser=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BrowserKind {
    /// Chromium and its headless shell.
    Chromium,
    /// Firefox: Playwright's patched build, or a system's over WebDriver BiDi.
    Firefox,
    /// WebKit: only as Playwright's own build.
    Webkit,
}

impl BrowserKind {
    /// Every kind, in the order in which they are listed to people.
    pub const ALL: [Self; 3] = [Self::Chromium, Self::Firefox, Self::Webkit];

    /// The name on the wire, in metrics and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::Webkit => "webkit",
        }
    }
}

impl fmt::Display for BrowserKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is none of the three.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown browser {0:?}: chromium, firefox and webkit are the names that Playwright knows")]
pub struct UnknownBrowser(pub String);

impl FromStr for BrowserKind {
    type Err = UnknownBrowser;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(s))
            .ok_or_else(|| UnknownBrowser(s.to_owned()))
    }
}
