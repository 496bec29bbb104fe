//! How the values of settings are written: one kind for each way.

mod measures;
mod plain;

use std::marker::PhantomData;

pub(super) use measures::{Deadline, Limit, Size, Span};
pub(super) use plain::{Count, Folder, Hidden, Host, Port, Switch, Text, Version};

/// A value as a source has it: a list only where the source has lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Raw {
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
    pub(in crate::config) fn quoted(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Items(items) => format!("{items:?}"),
        }
    }
}

/// A way of writing values. What `show` writes, `read` reads back.
pub(in crate::config) trait Kind {
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
        if Self::BARE { text } else { format!("{text:?}") }
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

pub(in crate::config) fn read<K: Kind>(raw: &Raw) -> Option<K::Value> {
    match raw {
        Raw::Text(_) => K::parse(raw.text()?),
        Raw::Items(items) => K::items(items),
    }
}

/// Something that may be left out.
#[derive(Debug)]
pub(in crate::config) struct Maybe<K>(PhantomData<K>);

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
        if text.is_empty() { Some(None) } else { K::parse(text).map(Some) }
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
pub(in crate::config) struct List<K>(PhantomData<K>);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<K::Value>;
    const NAME: &'static str = "a list";
    const PLACEHOLDER: &'static str = "LIST";

    fn allowed() -> String {
        format!("{}; several with commas between them", K::allowed())
    }
    fn parse(text: &str) -> Option<Self::Value> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(K::parse).collect()
    }
    fn items(items: &[String]) -> Option<Self::Value> {
        items.iter().map(|item| K::parse(item.trim())).collect()
    }
    fn show(value: &Self::Value) -> String {
        value.iter().map(K::show).collect::<Vec<_>>().join(",")
    }
    fn toml(value: &Self::Value) -> String {
        format!("[{}]", value.iter().map(K::toml).collect::<Vec<_>>().join(", "))
    }
}

/// A closed set of words.
pub(in crate::config) trait Words: Copy + 'static {
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
pub(in crate::config) struct Word<T>(PhantomData<T>);

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
        T::ALL.iter().copied().find(|word| word.word().eq_ignore_ascii_case(text))
    }
    fn show(value: &T) -> String {
        value.word().to_owned()
    }
}
