//! The gateway's port to workers: have a session opened, get two ends to relay between.

pub use flotilla_core::attempt::NotOpened;
use flotilla_core::ending::Ending;
use flotilla_core::id::{SessionId, WorkerId};
use flotilla_core::order::{Deed, Outcome};
use flotilla_core::pool::Demand;
use flotilla_core::status::WorkerStatus;
use flotilla_relay::{RequestHead, ResponseHead, Socket};

use crate::line::Permit;

/// A session that a worker is asked to take.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its name.
    pub session: SessionId,
    /// Which browser it may run in.
    pub demand: Demand,
    /// The client's handshake, as it came.
    pub handshake: RequestHead,
    /// Whether the client is to come to the worker by itself, where it can.
    pub direct: bool,
}

/// A session that a worker has taken, and how it goes on.
#[derive(Debug)]
pub enum Taken<L> {
    /// Through this gateway.
    Relayed(Opened<L>),
    /// Without it.
    Direct(Redirect),
}

/// A session whose client is to come to its worker. The worker keeps the slot for it for a while.
pub struct Redirect {
    /// Where to: an address that is good for one connection.
    pub location: String,
    /// How long the worker took to admit it and to have its browser.
    pub granted_after: std::time::Duration,
}

impl std::fmt::Debug for Redirect {
    /// Without the address: whoever has it has the session.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redirect")
            .field("granted_after", &self.granted_after)
            .finish_non_exhaustive()
    }
}

impl<L> Taken<L> {
    /// How long the worker took to admit it and to have its browser.
    pub fn granted_after(&self) -> std::time::Duration {
        match self {
            Self::Relayed(opened) => opened.granted_after,
            Self::Direct(redirect) => redirect.granted_after,
        }
    }
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

    /// Has a session opened, or a slot kept for its client. The permit is dropped as soon as the
    /// worker has taken the slot or refused. Dropping the future gives everything back.
    fn open(
        &self,
        worker: &WorkerId,
        ask: Ask,
        permit: Permit,
    ) -> impl Future<Output = Result<Taken<Self::Lease>, NotOpened>> + Send;

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
