//! Time spans and sizes, with their units.

use std::time::Duration;

use super::Kind;

/// A time span; plain numbers are seconds.
#[derive(Debug)]
pub(in crate::config) enum Span {}

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Kind for Span {
    type Value = Duration;
    const NAME: &'static str = "a duration";
    const PLACEHOLDER: &'static str = "DURATION";

    fn allowed() -> String {
        "write seconds, such as 5, or a whole number with a unit: 500ms, 5s, 5m, 1h".to_owned()
    }
    fn parse(text: &str) -> Option<Duration> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
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
pub(in crate::config) enum Deadline {}

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
pub(in crate::config) enum Limit {}

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
pub(in crate::config) enum Size {}

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Kind for Size {
    type Value = u64;
    const NAME: &'static str = "a size";
    const PLACEHOLDER: &'static str = "SIZE";

    fn allowed() -> String {
        "write bytes, such as 65536, or a whole number with a unit: 32KiB, 512MiB, 2GiB".to_owned()
    }
    fn parse(text: &str) -> Option<u64> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..end].parse().ok()?;
        let unit = match text[end..].trim() {
            "" => "B",
            unit => unit,
        };
        let (_, bytes) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        number.checked_mul(*bytes).filter(|bytes| *bytes > 0)
    }
    fn show(value: &u64) -> String {
        // The last unit is one byte, which divides everything.
        let (unit, per) = SIZES.iter().find(|(_, per)| value.is_multiple_of(*per)).expect("bytes");
        match *unit {
            "B" => value.to_string(),
            unit => format!("{}{unit}", value / per),
        }
    }
}
