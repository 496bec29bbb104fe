//! What is logged, and how.

use super::group::group;
use super::kind::{Word, Words};

/// The least important events that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What went wrong.
    Error,
    /// What may go wrong.
    Warn,
    /// What happened.
    Info,
    /// What led to it.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The name, which is also a `tracing` filter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Words for LogLevel {
    const NAME: &'static str = "a log level";
    const PLACEHOLDER: &'static str = "LEVEL";
    const ALL: &'static [Self] = &[Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Words for LogFormat {
    const NAME: &'static str = "a log format";
    const PLACEHOLDER: &'static str = "FORMAT";
    const ALL: &'static [Self] = &[Self::Json, Self::Text];

    fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

group! {
    /// What is logged, and how.
    Log, "Logs" {
        /// The least important events to log.
        log_level: LogLevel as Word<LogLevel> = "info", env "LOG_LEVEL", live;
        /// How a log line is written: `json` for programs, `text` for people.
        log_format: LogFormat as Word<LogFormat> = "json", env "LOG_FORMAT";
    }
}
