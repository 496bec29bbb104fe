//! What was wrong with a configuration, in words for the person who wrote it.

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that is not of its setting's kind.
    #[error("{place}: {given} is not {kind}: {allowed}")]
    Value {
        /// Where it was written: a variable, a flag, or a file's line and key.
        place: String,
        /// The setting.
        key: &'static str,
        /// The value, quoted; hidden where it may be a credential.
        given: String,
        /// What it should have been, with its article.
        kind: &'static str,
        /// What may be written.
        allowed: String,
    },
    /// A key that no setting has.
    #[error("{place}: there is no setting {key:?}{}", did_you_mean(nearest.as_deref()))]
    UnknownKey {
        /// The file and line.
        place: String,
        /// The key.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A file that is not TOML.
    #[error("{place}: {why}")]
    Syntax {
        /// The file and line.
        place: String,
        /// The parser's words.
        why: String,
    },
    /// Settings that do not go together.
    #[error(transparent)]
    Rule(#[from] Violation),
}

/// Settings that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Violation {
    /// The settings that it is about.
    pub keys: Vec<&'static str>,
    /// What does not hold, the values with their sources, and what to do.
    pub message: String,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!(": did you mean {name:?}?"),
        None => ": `flotilla config show` lists them all".to_owned(),
    }
}
