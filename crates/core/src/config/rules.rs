//! What must hold between settings: the timing rules, and a few agreements.
//!
//! The golden rule is that a worker's heartbeat interval stays below the time that the worker is
//! remembered for, and below the time that a command to it stays valid.

use std::fmt;
use std::time::Duration;

use super::Config;
use super::kind::{Kind, Span};
use super::timing::Timing;

/// A timing that a rule speaks about, by its name in the table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The setting's key.
    pub key: &'static str,
    /// Reads it.
    pub get: fn(&Timing) -> Duration,
    /// Writes it.
    pub set: fn(&mut Timing, Duration),
}

macro_rules! field {
    ($name:ident) => {
        Field {
            key: stringify!($name),
            get: |timing| timing.$name,
            set: |timing, value| timing.$name = value,
        }
    };
}

/// What a timing must stay below.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// Another timing.
    Timing(Field),
    /// A constant of the outside world.
    Fixed(Duration),
}

/// `lower < upper`, always.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What must be smaller.
    pub lower: Field,
    /// What it must be smaller than.
    pub upper: Bound,
    /// Why.
    pub why: &'static str,
    /// In which order to change both so that the rule holds all the time.
    pub order: &'static str,
}

/// Every timing rule.
pub static RULES: [Rule; 4] = [
    Rule {
        lower: field!(heartbeat_interval),
        upper: Bound::Timing(field!(redis_key_ttl)),
        why: "a worker that is remembered for less than one heartbeat disappears while it is well",
        order: "to raise HEARTBEAT_INTERVAL, raise REDIS_KEY_TTL first; to lower REDIS_KEY_TTL, \
                lower HEARTBEAT_INTERVAL first",
    },
    Rule {
        lower: field!(heartbeat_interval),
        upper: Bound::Timing(field!(shutdown_command_ttl)),
        why: "workers read commands with their heartbeat, so a shorter-lived command is never seen",
        order: "to raise HEARTBEAT_INTERVAL, raise SHUTDOWN_COMMAND_TTL first; to lower \
                SHUTDOWN_COMMAND_TTL, lower HEARTBEAT_INTERVAL first",
    },
    Rule {
        lower: field!(worker_select_timeout),
        upper: Bound::Fixed(Duration::from_secs(15)),
        why: "proxies and clients give an unanswered request 15 s to be written, so a longer search \
              ends in a broken connection instead of a reason",
        order: "lower WORKER_SELECT_TIMEOUT",
    },
    Rule {
        lower: field!(ping_interval),
        upper: Bound::Timing(field!(peer_timeout)),
        why: "an end that is pinged less often than it must answer counts as lost while it is well",
        order: "to raise FLOTILLA_PING_INTERVAL, raise FLOTILLA_PEER_TIMEOUT first; to lower \
                FLOTILLA_PEER_TIMEOUT, lower FLOTILLA_PING_INTERVAL first",
    },
];

impl Rule {
    /// The value that `lower` must stay below.
    pub fn bound(&self, timing: &Timing) -> Duration {
        match self.upper {
            Bound::Timing(field) => (field.get)(timing),
            Bound::Fixed(value) => value,
        }
    }

    /// True where the rule is kept.
    pub fn holds(&self, timing: &Timing) -> bool {
        (self.lower.get)(timing) < self.bound(timing)
    }

    /// The settings that the rule speaks about.
    pub fn keys(&self) -> Vec<&'static str> {
        match self.upper {
            Bound::Timing(field) => vec![self.lower.key, field.key],
            Bound::Fixed(_) => vec![self.lower.key],
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.upper {
            Bound::Timing(field) => write!(f, "{} < {}", self.lower.key, field.key),
            Bound::Fixed(value) => write!(f, "{} < {}", self.lower.key, Span::show(&value)),
        }
    }
}

/// The timing rules that a configuration breaks. One that was loaded breaks none.
pub fn violations(config: &Config) -> Vec<&'static Rule> {
    RULES
        .iter()
        .filter(|rule| !rule.holds(&config.timing))
        .collect()
}

/// A rule that a configuration breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Violation {
    /// The settings that it is about.
    pub keys: Vec<&'static str>,
    /// The rule, the values with their sources, and what to do.
    pub message: String,
}
