//! The gateway's port to workers: have a session opened, get two ends to relay between.

use flotilla_core::ending::Ending;
use flotilla_core::id::{SessionId, WorkerId};
use flotilla_core::order::{Deed, Outcome};
use flotilla_core::pool::Demand;
use flotilla_core::status::WorkerStatus;
use flotilla_relay::{RequestHead, ResponseHead, Socket};

use crate::line::Permit;

/// A session that a worker is asked to take.
#[derive(Debug)]
pub struct Ask {
    /// Its name.
    pub session: SessionId,
    /// Which browser it may run in.
    pub demand: Demand,
    /// The client's handshake, as it came.
    pub handshake: RequestHead,
}

/// A session that a worker has taken: its browser has answered the handshake.
#[derive(Debug)]
pub struct Opened<L> {
    /// The connection to the browser's server.
    pub upstream: Socket,
    /// The answer to the handshake: 101.
    pub response: ResponseHead,
    /// Resolves when the worker ends the session, and why. A worker elsewhere says so with a close
    /// frame instead.
    pub ending: tokio::sync::oneshot::Receiver<Ending>,
    /// What the client is told when the worker's side vanishes without a word.
    pub lost: Ending,
    /// How long the worker took to admit it and to have its browser.
    pub granted_after: std::time::Duration,
    /// Holds the slot. Dropped when the relay is over: the worker frees the slot once the
    /// contexts are disposed.
    pub lease: L,
}

/// Why a worker did not take a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It has no free slot after all: another may have, or this one later. The registry knows.
    Busy,
    /// It cannot be had for this session; another may. The registry knows.
    Elsewhere(String),
    /// It is draining.
    Draining,
    /// The browser keeps failing; the next try is some time away.
    BackingOff {
        /// Until then.
        wait: std::time::Duration,
        /// The last failure.
        why: String,
    },
    /// The browser did not come up.
    LaunchFailed(String),
    /// The browser's server refused the handshake, with this answer for the client.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// The worker or the browser could not be reached.
    Unreachable(String),
}

/// Why nobody knows whether a worker has done what it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderFailed {
    /// There is no such worker.
    #[error("there is no such worker")]
    Unknown,
    /// It did not answer, or not as a worker does.
    #[error("{0}")]
    Unanswered(String),
}

/// The workers that a gateway can reach.
pub trait Workers: Send + Sync + 'static {
    /// What holds a slot.
    type Lease: Send + 'static;

    /// Has a session opened. The permit is dropped as soon as the worker has taken the slot or
    /// refused. Dropping the future gives everything back.
    fn open(
        &self,
        worker: &WorkerId,
        ask: Ask,
        permit: Permit,
    ) -> impl Future<Output = Result<Opened<Self::Lease>, OpenError>> + Send;

    /// The workers as they are now, for people.
    fn report(&self) -> impl Future<Output = Vec<WorkerStatus>> + Send;

    /// Has a worker do something. With the answer it is so, and what this gateway knows of the
    /// worker is as new as the answer.
    fn order(
        &self,
        worker: &WorkerId,
        deed: Deed,
    ) -> impl Future<Output = Result<Outcome, OrderFailed>> + Send;
}
