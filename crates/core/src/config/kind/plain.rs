//! Numbers, texts, places and names.

use std::path::PathBuf;

use crate::browser::BrowserKind;
use crate::config::secret::Secret;
use crate::version::PlaywrightVersion;
use crate::wanted::Isolation;

use super::{Kind, Words};

/// A TCP port; 0 lets the system choose.
#[derive(Debug)]
pub(in crate::config) enum Port {}

impl Kind for Port {
    type Value = u16;
    const NAME: &'static str = "a port";
    const PLACEHOLDER: &'static str = "PORT";
    const BARE: bool = true;

    fn allowed() -> String {
        "write a number from 0 to 65535".to_owned()
    }
    fn parse(text: &str) -> Option<u16> {
        text.parse().ok()
    }
    fn show(value: &u16) -> String {
        value.to_string()
    }
}

/// A number within bounds.
#[derive(Debug)]
pub(in crate::config) enum Count<const MIN: u32, const MAX: u32> {}

impl<const MIN: u32, const MAX: u32> Kind for Count<MIN, MAX> {
    type Value = u32;
    const NAME: &'static str = "a number within its bounds";
    const PLACEHOLDER: &'static str = "NUMBER";
    const BARE: bool = true;

    fn allowed() -> String {
        format!("write a number from {MIN} to {MAX}")
    }
    fn parse(text: &str) -> Option<u32> {
        text.parse().ok().filter(|number| (MIN..=MAX).contains(number))
    }
    fn show(value: &u32) -> String {
        value.to_string()
    }
}

/// Yes or no.
#[derive(Debug)]
pub(in crate::config) enum Switch {}

impl Kind for Switch {
    type Value = bool;
    const NAME: &'static str = "true or false";
    const PLACEHOLDER: &'static str = "true|false";
    const SWITCH: bool = true;
    const BARE: bool = true;

    fn allowed() -> String {
        "write true or false".to_owned()
    }
    fn parse(text: &str) -> Option<bool> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }
    fn show(value: &bool) -> String {
        value.to_string()
    }
}

/// An address or a name to listen on.
#[derive(Debug)]
pub(in crate::config) enum Host {}

impl Kind for Host {
    type Value = String;
    const NAME: &'static str = "an address or a host name";
    const PLACEHOLDER: &'static str = "ADDRESS";

    fn allowed() -> String {
        "write an address such as 127.0.0.1, :: or localhost, without a port".to_owned()
    }
    fn parse(text: &str) -> Option<String> {
        let is_address = text.parse::<std::net::IpAddr>().is_ok();
        let is_name = !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        (is_address || is_name).then(|| text.to_owned())
    }
    fn show(value: &String) -> String {
        value.clone()
    }
}

/// A folder's path.
#[derive(Debug)]
pub(in crate::config) enum Folder {}

impl Kind for Folder {
    type Value = PathBuf;
    const NAME: &'static str = "a folder";
    const PLACEHOLDER: &'static str = "FOLDER";

    fn allowed() -> String {
        "write the folder's path".to_owned()
    }
    fn parse(text: &str) -> Option<PathBuf> {
        (!text.is_empty()).then(|| PathBuf::from(text))
    }
    fn show(value: &PathBuf) -> String {
        value.display().to_string()
    }
    /// Folders have no default of their own: the machine's is given from outside.
    fn of_default(text: &str) -> PathBuf {
        PathBuf::from(text)
    }
}

/// Any text that is not empty.
#[derive(Debug)]
pub(in crate::config) enum Text {}

impl Kind for Text {
    type Value = String;
    const NAME: &'static str = "a text";
    const PLACEHOLDER: &'static str = "TEXT";

    fn allowed() -> String {
        "write something, or leave it out".to_owned()
    }
    fn parse(text: &str) -> Option<String> {
        (!text.is_empty()).then(|| text.to_owned())
    }
    fn show(value: &String) -> String {
        value.clone()
    }
}

/// A text that is never shown.
#[derive(Debug)]
pub(in crate::config) enum Hidden {}

impl Kind for Hidden {
    type Value = Secret;
    const NAME: &'static str = "a text";
    const PLACEHOLDER: &'static str = "SECRET";
    const SECRET: bool = true;

    fn allowed() -> String {
        Text::allowed()
    }
    fn parse(text: &str) -> Option<Secret> {
        Text::parse(text).map(Secret::new)
    }
    fn show(_: &Secret) -> String {
        Secret::SHOWN.to_owned()
    }
}

/// A Playwright version, `major.minor`.
#[derive(Debug)]
pub(in crate::config) enum Version {}

impl Kind for Version {
    type Value = PlaywrightVersion;
    const NAME: &'static str = "a Playwright version";
    const PLACEHOLDER: &'static str = "VERSION";

    fn allowed() -> String {
        "write major.minor, such as 1.65".to_owned()
    }
    fn parse(text: &str) -> Option<PlaywrightVersion> {
        text.parse().ok()
    }
    fn show(value: &PlaywrightVersion) -> String {
        value.to_string()
    }
}

impl Words for BrowserKind {
    const NAME: &'static str = "a browser";
    const PLACEHOLDER: &'static str = "BROWSER";
    const ALL: &'static [Self] = &BrowserKind::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl Words for Isolation {
    const NAME: &'static str = "an isolation";
    const PLACEHOLDER: &'static str = "ISOLATION";
    const ALL: &'static [Self] = &[Self::Tenant, Self::Session];

    fn word(self) -> &'static str {
        self.as_str()
    }
}
