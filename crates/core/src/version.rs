//! Which Playwright: only major and minor matter on the wire.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A Playwright version as far as clients and servers must agree on it: `major.minor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PlaywrightVersion {
    /// The first number.
    pub major: u16,
    /// The second number. Clients and servers of different minors do not understand each other.
    pub minor: u16,
}

impl PlaywrightVersion {
    /// The version in a client's `User-Agent`, such as `Playwright/1.65.1 (x64; debian 12) node/20.20`.
    ///
    /// `None` for every other shape: such clients get the default version. The server inside
    /// Playwright refuses by the same rule.
    pub fn from_user_agent(user_agent: &str) -> Option<Self> {
        let rest = user_agent.strip_prefix("Playwright/")?;
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let mut parts = rest[..end].split('.');
        let version =
            Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? };
        parts.next().and_then(|patch| patch.parse::<u32>().ok()).map(|_| version)
    }
}

impl fmt::Display for PlaywrightVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.major, self.minor))
    }
}

/// Text that is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Playwright version: write major.minor, such as 1.65")]
pub struct InvalidVersion(pub String);

impl FromStr for PlaywrightVersion {
    type Err = InvalidVersion;

    /// Takes `1.65` and `1.65.1` alike.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidVersion(s.to_owned());
        let mut parts = s.trim().trim_start_matches('v').splitn(3, '.');
        let mut number = || parts.next().and_then(|p| p.parse().ok()).ok_or_else(invalid);
        Ok(Self { major: number()?, minor: number()? })
    }
}

impl From<PlaywrightVersion> for String {
    fn from(version: PlaywrightVersion) -> Self {
        version.to_string()
    }
}

impl TryFrom<String> for PlaywrightVersion {
    type Error = InvalidVersion;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_every_language_client() {
        let v165 = Some(PlaywrightVersion { major: 1, minor: 65 });
        assert_eq!(
            PlaywrightVersion::from_user_agent("Playwright/1.65.1 (x64; debian 12) node/20.20"),
            v165
        );
        assert_eq!(PlaywrightVersion::from_user_agent("Playwright/1.65.0-beta-17"), v165);
        for odd in [
            "",
            "Mozilla/5.0",
            "Playwright/",
            "Playwright/1",
            "Playwright/1.65",
            "Playwright/a.b.c",
        ] {
            assert_eq!(PlaywrightVersion::from_user_agent(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn parses_what_people_write() {
        let v: PlaywrightVersion = "1.65.1".parse().unwrap();
        assert_eq!(v.to_string(), "1.65");
        assert_eq!("v1.9".parse::<PlaywrightVersion>().unwrap().minor, 9);
        assert!("1".parse::<PlaywrightVersion>().is_err());
        assert!("latest".parse::<PlaywrightVersion>().is_err());
    }
}
