//! Why a roll ends before its end, in words.

use std::time::Duration;

/// Why a roll was given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A new one could not be started.
    #[error("{name} could not be started: {why}")]
    NotStarted {
        /// The new one.
        name: String,
        /// What the platform said.
        why: String,
    },
    /// A new one was started, and never seen.
    #[error("{name} was started, and was not seen within {} s", .within.as_secs_f64())]
    NotSeen {
        /// The new one.
        name: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// A new one takes no sessions.
    #[error("{id} is new and takes no sessions: it is {state} after {} s", .within.as_secs_f64())]
    NotAvailable {
        /// The new one.
        id: String,
        /// What it is instead.
        state: &'static str,
        /// How long it was waited for.
        within: Duration,
    },
    /// A new one's first session failed.
    #[error("{id} is new and its first session failed: {why}")]
    ProbeFailed {
        /// The new one.
        id: String,
        /// What went wrong.
        why: String,
    },
    /// A new one has gone, or begun another life.
    #[error("{id} is new and has died")]
    Lost {
        /// The new one.
        id: String,
    },
    /// Sessions outlived the patience of the drain.
    #[error(
        "{sessions} session(s) of {id} go on after {} s. It takes new ones again; nothing was cut",
        .within.as_secs_f64()
    )]
    StillInUse {
        /// The old one.
        id: String,
        /// How many it still has.
        sessions: usize,
        /// How long they were waited for.
        within: Duration,
    },
    /// An old one does not do as it is told.
    #[error("{id} could not be told to {order}: {why}")]
    NotTold {
        /// The old one.
        id: String,
        /// What.
        order: &'static str,
        /// What came back.
        why: String,
    },
    /// An old one that has no sessions does not go.
    #[error("{id} was told to stop, has no sessions, and still runs after {} s", .within.as_secs_f64())]
    NotStopped {
        /// The old one.
        id: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// What is there cannot be seen any more.
    #[error("what runs could not be seen for {} s: {why}", .within.as_secs_f64())]
    Blind {
        /// How long.
        within: Duration,
        /// Why.
        why: String,
    },
    /// The next step would break the promise, and nothing is under way that could change that.
    #[error(
        "the next step would break the promise: {available} with {slots} slot(s) are available, \
         and {floor} with {slots_floor} slot(s) must stay"
    )]
    Stuck {
        /// How many are available.
        available: usize,
        /// Their slots.
        slots: usize,
        /// How many must be.
        floor: usize,
        /// How many slots must be.
        slots_floor: usize,
    },
    /// Somebody wanted it to end.
    #[error("it was interrupted")]
    Interrupted,
}
