//! What happens in a roll, for people and for programs.

use std::fmt;

use flotilla_core::rollout::Action;
use serde::Serialize;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A new one is being started.
    Starting {
        /// Its name.
        name: String,
        /// The one whose place it takes, where that has gone.
        #[serde(skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
    },
    /// The platform has started it.
    Started {
        /// Its name.
        name: String,
    },
    /// The platform could not.
    NotStarted {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// A new one takes sessions; one is being had there.
    Probing {
        /// Which.
        id: String,
    },
    /// The session passed.
    Proved {
        /// Which.
        id: String,
        /// What it was like.
        how: String,
    },
    /// The session failed.
    NotProved {
        /// Which.
        id: String,
        /// Why.
        why: String,
    },
    /// One is told to take no more sessions.
    Draining {
        /// Which.
        id: String,
    },
    /// It takes none any more.
    Drained {
        /// Which.
        id: String,
    },
    /// One has no sessions left, and is told to end.
    Stopping {
        /// Which.
        id: String,
    },
    /// It has ended.
    Stopped {
        /// Which.
        id: String,
    },
    /// One could not be told something. It is told again.
    NotTold {
        /// Which.
        id: String,
        /// Why not.
        why: String,
    },
    /// The roll gives up, and gives back what it can.
    GivingUp {
        /// Why.
        why: String,
    },
    /// One is told to take sessions again.
    Undraining {
        /// Which.
        id: String,
    },
    /// It takes sessions again.
    Undrained {
        /// Which.
        id: String,
    },
    /// What was started and never seen is being ended.
    Discarding {
        /// Its name.
        name: String,
    },
    /// It has ended.
    Discarded {
        /// Its name.
        name: String,
    },
    /// It could not be ended.
    NotDiscarded {
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
    /// What runs can be looked at no more, or again.
    Noted {
        /// In words.
        what: String,
    },
}

impl Event {
    /// The beginning of an action.
    pub fn of(action: &Action) -> Self {
        match action.clone() {
            Action::Start { name, replaces } => Self::Starting { name, replaces },
            Action::Discard { name } => Self::Discarding { name },
            Action::Probe(who) => Self::Probing { id: who.id },
            Action::Drain(who) => Self::Draining { id: who.id },
            Action::Undrain(who) => Self::Undraining { id: who.id },
            Action::Stop(who) => Self::Stopping { id: who.id },
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting { name, replaces: None } => write!(f, "{name}: starting"),
            Self::Starting { name, replaces: Some(old) } => {
                write!(f, "{name}: starting in place of {old}")
            }
            Self::Started { name } => write!(f, "{name}: started"),
            Self::NotStarted { name, why } => write!(f, "{name}: could not be started: {why}"),
            Self::Probing { id } => write!(f, "{id}: takes sessions; having one there"),
            Self::Proved { id, how } => write!(f, "{id}: its first session passed ({how})"),
            Self::NotProved { id, why } => write!(f, "{id}: its first session failed: {why}"),
            Self::Draining { id } => write!(f, "{id}: draining"),
            Self::Drained { id } => write!(f, "{id}: takes no new sessions"),
            Self::Stopping { id } => write!(f, "{id}: its last session has ended; stopping it"),
            Self::Stopped { id } => write!(f, "{id}: stopped"),
            Self::NotTold { id, why } => write!(f, "{id}: could not be told: {why}"),
            Self::GivingUp { why } => write!(f, "giving up: {why}"),
            Self::Undraining { id } => write!(f, "{id}: is to take sessions again"),
            Self::Undrained { id } => write!(f, "{id}: takes sessions again"),
            Self::Discarding { name } => write!(f, "{name}: was never seen; ending it"),
            Self::Discarded { name } => write!(f, "{name}: ended"),
            Self::NotDiscarded { name, why } => {
                write!(f, "{name}: could not be ended, look after it: {why}")
            }
            Self::Noted { what } => f.write_str(what),
        }
    }
}
