//! The TOML file, flattened to keys with their lines.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::kind::Raw;
use super::read::File;

/// What a file says, and what in it cannot be a setting.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Every key with its line and value.
    pub(super) values: BTreeMap<String, (usize, Raw)>,
    /// What is wrong with the file itself.
    pub(super) errors: Vec<ConfigError>,
}

/// Reads a file. One that is not TOML has an error and no values.
pub(super) fn parse(file: &File) -> Parsed {
    let mut parsed = Parsed::default();
    let table = match DeTable::parse(&file.text) {
        Ok(table) => table,
        Err(error) => {
            parsed.errors.push(ConfigError::Syntax {
                place: place(file, error.span().map_or(0, |span| span.start)),
                why: format!("this is not TOML: {}", error.message()),
            });
            return parsed;
        }
    };
    for (key, value) in table.get_ref() {
        let at = key.span().start;
        match raw(value.get_ref()) {
            Some(raw) => {
                parsed.values.insert(key.get_ref().to_string(), (line(&file.text, at), raw));
            }
            None => parsed.errors.push(ConfigError::Syntax {
                place: place(file, at),
                why: format!(
                    "{} cannot be a table, a date or a nested list: settings are text, numbers, \
                     true, false, and lists of these, all at the top of the file",
                    key.get_ref()
                ),
            }),
        }
    }
    parsed
}

fn raw(value: &DeValue<'_>) -> Option<Raw> {
    match value {
        DeValue::Array(items) => {
            items.iter().map(|item| scalar(item.get_ref())).collect::<Option<_>>().map(Raw::Items)
        }
        other => scalar(other).map(Raw::Text),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        // Digits as they were written: `1.65` is a version and must not become a float.
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn place(file: &File, at: usize) -> String {
    format!("{}:{}", file.name, line(&file.text, at))
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
