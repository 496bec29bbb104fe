//! What must hold between settings: the timing rules, and a few agreements.
//!
//! The golden rule is that a worker's heartbeat interval stays below the time that the worker is
//! remembered for, and below the time that a command to it stays valid.

use std::fmt;
use std::time::Duration;

use super::Config;
use super::error::Violation;
use super::kind::{Kind, Span};
use super::read::Entry;
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

/// Every timing, in the order of the table.
pub(super) const FIELDS: [Field; 8] = [
    field!(heartbeat_interval),
    field!(redis_key_ttl),
    field!(shutdown_command_ttl),
    field!(reaper_run_interval),
    field!(worker_select_timeout),
    field!(drain_timeout),
    field!(ping_interval),
    field!(peer_timeout),
];

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
        order: "only WORKER_SELECT_TIMEOUT can be changed: lower it",
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
    RULES.iter().filter(|rule| !rule.holds(&config.timing)).collect()
}

/// Says which rules are broken, with the values and where each came from.
pub(super) fn check(config: &Config, entries: &[Entry]) -> Vec<Violation> {
    violations(config)
        .into_iter()
        .map(|rule| Violation { keys: rule.keys(), message: describe(rule, entries) })
        .collect()
}

fn describe(rule: &Rule, entries: &[Entry]) -> String {
    let values: Vec<_> =
        rule.keys().into_iter().filter_map(|key| Some(entry(entries, key)?.to_string())).collect();
    format!(
        "{rule} does not hold: {}. {}. The safe order of changes: {}",
        values.join(", "),
        sentence(rule.why),
        rule.order
    )
}

pub(super) fn entry<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.setting.key == key)
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
