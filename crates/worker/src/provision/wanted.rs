//! Which version somebody asks to install or remove.

use std::fmt;
use std::str::FromStr;

use flotilla_core::PlaywrightVersion;

use super::error::InstallError;
use super::manifest::FullVersion;

/// A version as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The newest release.
    Latest,
    /// The newest patch version of a minor.
    Minor(PlaywrightVersion),
    /// This one.
    Full(FullVersion),
}

impl Wanted {
    /// True when an installed version is what is asked for.
    pub fn matches(&self, version: &FullVersion) -> bool {
        match self {
            Self::Latest => true,
            Self::Minor(minor) => version.minor() == *minor,
            Self::Full(full) => full == version,
        }
    }
}

impl FromStr for Wanted {
    type Err = InstallError;

    fn from_str(text: &str) -> Result<Self, InstallError> {
        let bad = || InstallError::BadVersion(text.to_owned());
        let text = text.trim().trim_start_matches('v');
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Ok(full) = text.parse() {
            return Ok(Self::Full(full));
        }
        if text.matches('.').count() != 1 {
            return Err(bad());
        }
        text.parse().map(Self::Minor).map_err(|_| bad())
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.pad("latest"),
            Self::Minor(minor) => minor.fmt(f),
            Self::Full(full) => full.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_ask_for_is_understood() {
        for text in ["latest", "1.64", "1.64.1", "1.66.0-beta-3"] {
            assert_eq!(text.parse::<Wanted>().unwrap().to_string(), text);
        }
        for odd in ["", "1", "newest", "1.64.x", "1.2.3.4", "1.64; rm -rf"] {
            assert!(odd.parse::<Wanted>().is_err(), "{odd}");
        }
    }

    #[test]
    fn a_minor_is_matched_by_its_patch_versions() {
        let minor: Wanted = "1.64".parse().unwrap();
        assert!(minor.matches(&"1.64.1".parse().unwrap()));
        assert!(!minor.matches(&"1.65.0".parse().unwrap()));
    }
}
