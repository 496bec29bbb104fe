//! What a roll wants done, hears, and tells of itself.

use std::time::Duration;

use super::failure::Failure;
use super::member::Life;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a new one.
    Start {
        /// What it is to be called.
        name: String,
        /// The one that has gone and whose place it takes; none while that one still runs.
        replaces: Option<String>,
    },
    /// End what was started under that name, and has not been seen.
    Discard {
        /// Its name.
        name: String,
    },
    /// Have a session on this new one.
    Probe(Life),
    /// Tell this one to take no more sessions.
    Drain(Life),
    /// Tell this one to take sessions again.
    Undrain(Life),
    /// End this one after its last session. An old one takes none and has none.
    Stop(Life),
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A new one could not be started.
    NotStarted {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// How the session on a new one went.
    Probed(Life, Result<(), String>),
    /// An order could not be delivered.
    NotTold(Life, String),
    /// The process of one that was told to stop has ended, as far as the platform can tell.
    Stopped(Life),
}

/// How far a roll is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It goes on.
    Rolling,
    /// It begins nothing, and finishes what it has begun.
    Paused,
    /// It failed, and gives back what it can.
    GivingUp(Failure),
    /// It failed. What it did not come to is as it was.
    Failed(Failure),
    /// Everything is new.
    Done,
}

/// How a roll stands, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many are wanted.
    pub desired: usize,
    /// New ones that have proved themselves.
    pub proved: usize,
    /// New ones that have not yet, those among them that are not to be seen yet.
    pub coming: usize,
    /// Old ones that were not told anything yet.
    pub old: usize,
    /// Old ones that are leaving.
    pub leaving: usize,
    /// Sessions on those.
    pub sessions_leaving: usize,
    /// The oldest of these.
    pub oldest_leaving: Duration,
    /// How many can be counted on.
    pub available: usize,
    /// Their slots.
    pub slots: usize,
}
