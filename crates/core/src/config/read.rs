//! Taking each setting from its strongest source: flag, environment, file, machine, table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::error::ConfigError;
use super::file;
use super::kind::{Kind, Raw, read};
use super::nearest::nearest;
use super::secret::Secret;
use super::setting::Setting;

/// What a configuration is made from. The caller reads the environment and the file.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Flags that were given, by setting key: `("port", "8080")`.
    pub flags: Vec<(String, String)>,
    /// The environment. Variables that are no settings are passed over.
    pub env: Vec<(String, String)>,
    /// The TOML file, where there is one.
    pub file: Option<File>,
    /// Defaults that depend on the machine, by setting key: they count as defaults.
    pub machine: Vec<(&'static str, String)>,
    /// What the settings are for.
    pub role: Role,
}

/// What a process is in the grid. Some defaults and demands differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Everything in one process.
    #[default]
    Standalone,
    /// Lets clients in.
    Gateway,
    /// Owns browsers.
    Worker,
}

/// A TOML file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its name as people know it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file, by name and line.
    File {
        /// The file's name.
        name: String,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Env(String),
    /// A flag, without its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::File { name, .. } => f.pad(&format!("file {name}")),
            Self::Env(name) => f.pad(&format!("env {name}")),
            Self::Flag(name) => f.pad(&format!("flag --{name}")),
        }
    }
}

/// A setting with the value that is in force.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The setting.
    pub setting: &'static Setting,
    /// The value for people; hidden where it may be a credential.
    pub value: String,
    /// The value as TOML writes it; hidden likewise.
    pub toml: String,
    /// Where it came from.
    pub origin: Origin,
    /// True when it is not the default, wherever it came from.
    pub changed: bool,
}

impl fmt::Display for Entry {
    /// The name, the value and where it came from, as a part of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} ({})", self.setting.key, self.value, self.origin)
    }
}

/// Hands out values, and remembers where each came from and what was wrong.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    file: BTreeMap<String, (usize, Raw)>,
    pub(super) entries: Vec<Entry>,
    pub(super) errors: Vec<ConfigError>,
    pub(super) unreadable: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources, settings: &[&'static Setting]) -> Self {
        let mut reader = Self {
            sources,
            file: BTreeMap::new(),
            entries: Vec::new(),
            errors: Vec::new(),
            unreadable: BTreeSet::new(),
        };
        if let Some(file) = &sources.file {
            let parsed = file::parse(file);
            (reader.file, reader.errors) = (parsed.values, parsed.errors);
        }
        reader.report_unknown_keys(settings);
        reader
    }

    fn report_unknown_keys(&mut self, settings: &[&'static Setting]) {
        let known: Vec<_> = settings.iter().map(|setting| setting.key).collect();
        let name = self.sources.file.as_ref().map(|file| file.name.as_str()).unwrap_or_default();
        for (key, (line, _)) in &self.file {
            if !known.contains(&key.as_str()) {
                self.errors.push(ConfigError::UnknownKey {
                    place: format!("{name}:{line}"),
                    key: key.clone(),
                    nearest: nearest(key, &known).map(str::to_owned),
                });
            }
        }
    }

    /// The value of a setting from its strongest source. What cannot be read is reported, and the
    /// default stands in so that the rest can be checked too.
    pub(super) fn take<K: Kind>(&mut self, setting: &'static Setting) -> K::Value {
        let (origin, place, raw) = self.strongest(setting);
        let (value, origin) = match raw.as_ref().map(|raw| (read::<K>(raw), raw)) {
            None => (K::of_default(setting.default), Origin::Default),
            Some((Some(value), _)) => (value, origin),
            Some((None, raw)) => {
                self.unreadable.insert(setting.key);
                self.errors.push(ConfigError::Value {
                    place,
                    key: setting.key,
                    given: if K::SECRET { Secret::SHOWN.to_owned() } else { raw.quoted() },
                    kind: K::NAME,
                    allowed: K::allowed(),
                });
                (K::of_default(setting.default), Origin::Default)
            }
        };
        let default = K::show(&K::of_default(setting.default));
        let hidden_or_other = K::SECRET || K::show(&value) != default;
        self.entries.push(Entry {
            setting,
            changed: origin != Origin::Default && hidden_or_other,
            value: K::show(&value),
            toml: K::toml(&value),
            origin,
        });
        value
    }

    /// Where the value is, how an error would name that place, and the value.
    fn strongest(&self, setting: &Setting) -> (Origin, String, Option<Raw>) {
        let text = |text: &str| Some(Raw::Text(text.to_owned()));
        let last = |pairs: &[(String, String)], name: &str| {
            pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        };
        if let Some(value) = last(&self.sources.flags, setting.key) {
            let flag = setting.flag();
            return (Origin::Flag(flag.clone()), format!("--{flag}"), text(&value));
        }
        let variable = setting.env_name();
        // An empty variable is how shells and Compose files write "not set".
        if let Some(value) = last(&self.sources.env, &variable).filter(|v| !v.trim().is_empty()) {
            return (Origin::Env(variable.to_string()), variable.into_owned(), text(&value));
        }
        if let (Some(file), Some((line, raw))) = (&self.sources.file, self.file.get(setting.key)) {
            let place = format!("{}:{line}: {}", file.name, setting.key);
            return (
                Origin::File { name: file.name.clone(), line: *line },
                place,
                Some(raw.clone()),
            );
        }
        let machine = self.sources.machine.iter().find(|(key, _)| *key == setting.key);
        let place = format!("{} of this machine", setting.key);
        (Origin::Default, place, machine.and_then(|(_, value)| text(value)))
    }
}
