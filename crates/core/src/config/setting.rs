//! One row of the table of settings.

use std::borrow::Cow;

use super::kind::Kind;

/// What is known about a setting: everything that people see of it comes from here.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The TOML key, which is also the field's name in the code.
    pub key: &'static str,
    /// The heading under which it is listed.
    pub group: &'static str,
    /// The default as it would be written; empty where there is none.
    pub default: &'static str,
    /// The kind of value, with its article: `a port`.
    pub kind: &'static str,
    /// A word for the value in help: `PORT`.
    pub placeholder: &'static str,
    /// What may be written, as the end of a sentence: `write a number from 0 to 65535`.
    pub allowed: fn() -> String,
    /// True when its flag may stand without a value, which then is `true`.
    pub switch: bool,
    /// True for what may contain a credential: its value is never shown.
    pub secret: bool,
    /// True where a running grid could take a new value over without a restart.
    pub live: bool,
    /// What a person should know when this is set, though nothing is wrong.
    pub note: Option<&'static str>,
    env: Option<&'static str>,
    default_in_words: Option<&'static str>,
    sample: Option<&'static str>,
    doc: &'static str,
}

/// The note on settings of a grid of several processes.
const FLEET: &str = "only `flotilla gateway` and `flotilla worker` use it";

impl Setting {
    pub(super) const fn new<K: Kind>(
        key: &'static str,
        group: &'static str,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            key,
            group,
            default,
            kind: K::NAME,
            placeholder: K::PLACEHOLDER,
            allowed: K::allowed,
            switch: K::SWITCH,
            secret: K::SECRET,
            live: false,
            note: None,
            env: None,
            default_in_words: None,
            sample: None,
            doc,
        }
    }

    /// A variable's name other than `FLOTILLA_` and the key.
    pub(super) const fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }

    /// How the default reads where it is not a value.
    pub(super) const fn shown(mut self, words: &'static str) -> Self {
        self.default_in_words = Some(words);
        self
    }

    /// A value for the example file, as TOML, where the default is none.
    pub(super) const fn sample(mut self, toml: &'static str) -> Self {
        self.sample = Some(toml);
        self
    }

    /// A running grid could take a new value over.
    pub(super) const fn live(mut self) -> Self {
        self.live = true;
        self
    }

    /// Of a grid of several processes only.
    pub(super) const fn fleet(mut self) -> Self {
        self.note = Some(FLEET);
        self
    }

    /// The environment variable.
    pub fn env_name(&self) -> Cow<'static, str> {
        match self.env {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("FLOTILLA_{}", self.key.to_uppercase())),
        }
    }

    /// The flag, without its dashes.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The default for people.
    pub fn default_text(&self) -> &'static str {
        self.default_in_words.unwrap_or(self.default)
    }

    /// The value in the example file, where that is not the default.
    pub(super) fn sample_toml(&self) -> Option<&'static str> {
        self.sample
    }

    /// The documentation, one paragraph.
    pub fn doc(&self) -> String {
        self.doc.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    /// The first sentence of the documentation, without its full stop.
    pub fn summary(&self) -> String {
        let doc = self.doc();
        let end = doc.find(". ").unwrap_or(doc.len());
        doc[..end].trim_end_matches('.').to_owned()
    }
}
