//! `config show`: what is in force and where it came from.

use std::fmt::Write;

use serde_json::{Value, json};

use super::Loaded;
use super::read::{Entry, Origin};

impl Loaded {
    /// A short name for these settings: the same for the same values, wherever they came from.
    /// Credentials are no part of it.
    pub fn hash(&self) -> String {
        let rows = self.entries.iter().filter(|entry| !entry.setting.secret);
        let hash = rows
            .flat_map(|entry| format!("{}={}\n", entry.setting.key, entry.toml).into_bytes())
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                // FNV-1a: stable over releases of Rust, which the standard hasher is not.
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        format!("{hash:016x}")
    }

    /// The rows that are shown.
    fn rows(&self, only_changed: bool) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| entry.changed || !only_changed).collect()
    }

    /// For people: setting, value and source, with notes below.
    pub fn table(&self, only_changed: bool) -> String {
        let rows = self.rows(only_changed);
        if rows.is_empty() {
            return "Every setting has its default.\n".to_owned();
        }
        let keys = rows.iter().map(|row| row.setting.key.len()).max().unwrap_or_default() + 2;
        let values = rows.iter().map(|row| shown(row).chars().count().min(40)).max().unwrap_or(0);
        let mut out = String::new();
        let mut group = "";
        for row in &rows {
            if row.setting.group != group {
                let gap = if group.is_empty() { "" } else { "\n" };
                group = row.setting.group;
                let _ = writeln!(out, "{gap}{group}");
            }
            let mark = if row.setting.note.is_some() { "*" } else { "" };
            let key = format!("{}{mark}", row.setting.key);
            let _ = writeln!(out, "  {key:keys$}{:values$}  {}", shown(row), row.origin);
        }
        if let Some(note) = rows.iter().find_map(|row| row.setting.note) {
            let _ = writeln!(out, "\n* {note}");
        }
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        out
    }

    /// For programs.
    pub fn json(&self, only_changed: bool) -> Value {
        let settings: Vec<_> = self.rows(only_changed).into_iter().map(row_json).collect();
        json!({ "hash": self.hash(), "settings": settings, "notes": self.notes })
    }
}

/// The value, or in words what none means.
fn shown(entry: &Entry) -> String {
    match (entry.value.as_str(), entry.setting.default_text()) {
        ("", "") => "not set".to_owned(),
        ("", words) if entry.origin == Origin::Default => words.replace('`', ""),
        ("", _) => "none".to_owned(),
        (value, _) => value.to_owned(),
    }
}

fn row_json(entry: &Entry) -> Value {
    let setting = entry.setting;
    json!({
        "key": setting.key,
        "group": setting.group,
        "value": (!entry.value.is_empty()).then_some(&entry.value),
        "source": entry.origin.to_string(),
        "changed": entry.changed,
        "default": setting.default_text(),
        "env": setting.env_name(),
        "flag": format!("--{}", setting.flag()),
        "secret": setting.secret,
        "live": setting.live,
        "note": setting.note,
    })
}
