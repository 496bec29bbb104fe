//! How the values of settings are written: one kind for each way.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use crate::browser::BrowserKind;
use crate::version::PlaywrightVersion;
use crate::wanted::Isolation;

use super::secret::Secret;

/// A value as a source has it: a list only where the source has lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// A string, a number or a truth value.
    Text(String),
    /// A TOML array.
    Items(Vec<String>),
}

impl Raw {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()),
            Self::Items(_) => None,
        }
    }

    /// The value as a person would quote it.
    pub(super) fn quoted(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Items(items) => format!("{items:?}"),
        }
    }
}

/// A way of writing values. What `show` writes, `read` reads back.
pub(super) trait Kind {
    /// What the code gets.
    type Value;
    /// The kind with its article.
    const NAME: &'static str;
    /// A word for the value in help.
    const PLACEHOLDER: &'static str;
    /// True when values must not be shown.
    const SECRET: bool = false;
    /// True when a flag may stand without a value, which then is `true`.
    const SWITCH: bool = false;
    /// True when TOML writes the value without quotes.
    const BARE: bool = false;

    /// What may be written: `write …`.
    fn allowed() -> String;

    /// The value of a text; `None` when it is not of this kind.
    fn parse(text: &str) -> Option<Self::Value>;

    /// The value as it would be written.
    fn show(value: &Self::Value) -> String;

    /// The value as it would be written in TOML.
    fn toml(value: &Self::Value) -> String {
        let text = Self::show(value);
        if Self::BARE {
            text
        } else {
            format!("{text:?}")
        }
    }

    /// The value of a source.
    #[doc(hidden)]
    fn items(_: &[String]) -> Option<Self::Value> {
        None
    }

    /// The value of a row's default.
    ///
    /// # Panics
    /// When the table's default is not of its own kind, which a test rules out.
    fn of_default(text: &str) -> Self::Value {
        Self::parse(text).expect("the table's defaults are of their kinds")
    }
}

pub(super) fn read<K: Kind>(raw: &Raw) -> Option<K::Value> {
    match raw {
        Raw::Text(_) => K::parse(raw.text()?),
        Raw::Items(items) => K::items(items),
    }
}

/// A TCP port; 0 lets the system choose.
#[derive(Debug)]
pub(super) enum Port {}

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
pub(super) enum Count<const MIN: u32, const MAX: u32> {}

impl<const MIN: u32, const MAX: u32> Kind for Count<MIN, MAX> {
    type Value = u32;
    const NAME: &'static str = "a number within its bounds";
    const PLACEHOLDER: &'static str = "NUMBER";
    const BARE: bool = true;

    fn allowed() -> String {
        format!("write a number from {MIN} to {MAX}")
    }
    fn parse(text: &str) -> Option<u32> {
        text.parse()
            .ok()
            .filter(|number| (MIN..=MAX).contains(number))
    }
    fn show(value: &u32) -> String {
        value.to_string()
    }
}

/// Yes or no.
#[derive(Debug)]
pub(super) enum Switch {}

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

/// A time span; plain numbers are seconds.
#[derive(Debug)]
pub(super) enum Span {}

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Kind for Span {
    type Value = Duration;
    const NAME: &'static str = "a duration";
    const PLACEHOLDER: &'static str = "DURATION";

    fn allowed() -> String {
        "write seconds, such as 5, or a whole number with a unit: 500ms, 5s, 5m, 1h".to_owned()
    }
    fn parse(text: &str) -> Option<Duration> {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let number: u64 = text[..end].parse().ok()?;
        let unit = match text[end..].trim() {
            "" => "s",
            unit => unit,
        };
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        number.checked_mul(*millis).map(Duration::from_millis)
    }
    fn show(value: &Duration) -> String {
        let millis = value.as_millis();
        let fits = |per: u64| millis > 0 && millis.is_multiple_of(u128::from(per));
        match UNITS.iter().find(|(_, per)| fits(*per)) {
            Some((unit, per)) => format!("{}{unit}", millis / u128::from(*per)),
            None => "0s".to_owned(),
        }
    }
}

/// A time span in which something has to happen: not zero.
#[derive(Debug)]
pub(super) enum Deadline {}

impl Kind for Deadline {
    type Value = Duration;
    const NAME: &'static str = "a duration above zero";
    const PLACEHOLDER: &'static str = Span::PLACEHOLDER;

    fn allowed() -> String {
        Span::allowed()
    }
    fn parse(text: &str) -> Option<Duration> {
        Span::parse(text).filter(|span| !span.is_zero())
    }
    fn show(value: &Duration) -> String {
        Span::show(value)
    }
}

/// A time span, or 0 for no limit.
#[derive(Debug)]
pub(super) enum Limit {}

impl Kind for Limit {
    type Value = Option<Duration>;
    const NAME: &'static str = "a duration";
    const PLACEHOLDER: &'static str = Span::PLACEHOLDER;

    fn allowed() -> String {
        format!("{}; 0 is no limit", Span::allowed())
    }
    fn parse(text: &str) -> Option<Option<Duration>> {
        Span::parse(text).map(|span| Some(span).filter(|span| !span.is_zero()))
    }
    fn show(value: &Option<Duration>) -> String {
        Span::show(&value.unwrap_or_default())
    }
}

/// A number of bytes.
#[derive(Debug)]
pub(super) enum Size {}

const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl Kind for Size {
    type Value = u64;
    const NAME: &'static str = "a size";
    const PLACEHOLDER: &'static str = "SIZE";

    fn allowed() -> String {
        "write bytes, such as 65536, or a whole number with a unit: 32KiB, 512MiB, 2GiB".to_owned()
    }
    fn parse(text: &str) -> Option<u64> {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let number: u64 = text[..end].parse().ok()?;
        let unit = match text[end..].trim() {
            "" => "B",
            unit => unit,
        };
        let (_, bytes) = SIZES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        number.checked_mul(*bytes).filter(|bytes| *bytes > 0)
    }
    fn show(value: &u64) -> String {
        // The last unit is one byte, which divides everything.
        let (unit, per) = SIZES
            .iter()
            .find(|(_, per)| value.is_multiple_of(*per))
            .expect("bytes");
        match *unit {
            "B" => value.to_string(),
            unit => format!("{}{unit}", value / per),
        }
    }
}

/// An address or a name to listen on.
#[derive(Debug)]
pub(super) enum Host {}

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
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        (is_address || is_name).then(|| text.to_owned())
    }
    fn show(value: &String) -> String {
        value.clone()
    }
}

/// A folder's path.
#[derive(Debug)]
pub(super) enum Folder {}

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
pub(super) enum Text {}

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
pub(super) enum Hidden {}

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

/// Something that may be left out.
#[derive(Debug)]
pub(super) struct Maybe<K>(PhantomData<K>);

impl<K: Kind> Kind for Maybe<K> {
    type Value = Option<K::Value>;
    const NAME: &'static str = K::NAME;
    const PLACEHOLDER: &'static str = K::PLACEHOLDER;
    const SECRET: bool = K::SECRET;
    const BARE: bool = K::BARE;

    fn allowed() -> String {
        K::allowed()
    }
    fn parse(text: &str) -> Option<Self::Value> {
        if text.is_empty() {
            Some(None)
        } else {
            K::parse(text).map(Some)
        }
    }
    fn show(value: &Self::Value) -> String {
        value.as_ref().map(K::show).unwrap_or_default()
    }
    fn of_default(text: &str) -> Self::Value {
        (!text.is_empty()).then(|| K::of_default(text))
    }
}

/// Several of a kind: with commas between them, or a TOML array.
#[derive(Debug)]
pub(super) struct List<K>(PhantomData<K>);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;
    const NAME: &'static str = "a list";
    const PLACEHOLDER: &'static str = "LIST";

    fn allowed() -> String {
        format!("{}; several with commas between them", K::allowed())
    }
    fn parse(text: &str) -> Option<Self::Value> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(K::parse)
            .collect()
    }
    fn items(items: &[String]) -> Option<Self::Value> {
        items.iter().map(|item| K::parse(item.trim())).collect()
    }
    fn show(value: &Self::Value) -> String {
        value.iter().map(K::show).collect::<Vec<_>>().join(",")
    }
    fn toml(value: &Self::Value) -> String {
        format!(
            "[{}]",
            value.iter().map(K::toml).collect::<Vec<_>>().join(", ")
        )
    }
}

/// A closed set of words.
pub(super) trait Words: Copy + 'static {
    /// The kind with its article.
    const NAME: &'static str;
    /// A word for the value in help.
    const PLACEHOLDER: &'static str;
    /// Every word.
    const ALL: &'static [Self];

    /// The word as it is written.
    fn word(self) -> &'static str;
}

/// One of a closed set of words.
#[derive(Debug)]
pub(super) struct Word<T>(PhantomData<T>);

impl<T: Words> Kind for Word<T> {
    type Value = T;
    const NAME: &'static str = T::NAME;
    const PLACEHOLDER: &'static str = T::PLACEHOLDER;

    fn allowed() -> String {
        let words: Vec<_> = T::ALL.iter().map(|word| word.word()).collect();
        match words.split_last() {
            Some((last, others)) if !others.is_empty() => {
                format!("write {} or {last}", others.join(", "))
            }
            _ => format!("write {}", words.concat()),
        }
    }
    fn parse(text: &str) -> Option<T> {
        T::ALL
            .iter()
            .copied()
            .find(|word| word.word().eq_ignore_ascii_case(text))
    }
    fn show(value: &T) -> String {
        value.word().to_owned()
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

/// A Playwright version, `major.minor`.
#[derive(Debug)]
pub(super) enum Version {}

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
