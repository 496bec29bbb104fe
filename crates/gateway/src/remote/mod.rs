//! Workers elsewhere: a ticket, a connection, and the worker's own word on whether it takes the
//! session.

mod dial;
mod order;
mod prove;
mod reserve;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::WorkerId;
use flotilla_core::attempt::Target;
use flotilla_core::ending::Ending;
use flotilla_core::keyring::SharedKeyring;
use flotilla_core::order::{Deed, Outcome};
use flotilla_core::registry::Directory;
use flotilla_core::status::WorkerStatus;
use flotilla_core::ticket::Route;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::line::Permit;
use crate::workers::{Ask, NotOpened, Opened, OrderFailed, Taken, Workers};

pub use prove::Found;

/// What a gateway is told about reaching workers.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// How long a worker may take to say whether it takes a session.
    pub select_timeout: Duration,
    /// How long its browser may take after that.
    pub launch_timeout: Duration,
    /// How long a session may last.
    pub session_max_duration: Option<Duration>,
    /// How long a worker counts as there, for its state in reports.
    pub ttl: Duration,
}

/// The workers that a directory knows.
#[derive(Debug)]
pub struct Remote<D> {
    directory: Arc<D>,
    keyring: SharedKeyring,
    config: RemoteConfig,
    proving: JoinHandle<()>,
}

impl<D: Directory> Remote<D> {
    /// Reaches the workers of this directory, and keeps asking those that must prove themselves.
    pub fn new(
        directory: Arc<D>,
        keyring: SharedKeyring,
        config: RemoteConfig,
        changed: tokio::sync::watch::Receiver<()>,
        found: impl Fn(Found) + Send + Sync + 'static,
    ) -> Self {
        let prover = prove::Prover::new(directory.clone(), keyring.clone(), found);
        let proving = tokio::spawn(prover.run(changed));
        Self { directory, keyring, config, proving }
    }

    fn target(&self, id: &WorkerId) -> Option<Target> {
        self.directory.quietly(|view, now| Target::of(view, id, now))
    }

    fn ticket(&self, target: &Target, ask: &Ask, route: Route) -> String {
        let (session, demand) = (ask.session.clone(), ask.demand.clone());
        // Without random numbers the session's own name still tells tickets apart.
        let ticket =
            target.ticket(session, demand, route, self.config.session_max_duration, random());
        ticket.seal(&self.keyring.get())
    }

    /// Nobody is sent there until it has answered again.
    fn failed(&self, target: &Target, why: &str) -> NotOpened {
        self.taught(target, NotOpened::Failed(why.to_owned()))
    }

    /// The view knows it from now on.
    fn taught(&self, target: &Target, not_opened: NotOpened) -> NotOpened {
        self.directory.view(|view, now| not_opened.teach(view, target, now));
        not_opened
    }
}

impl<D: Directory> Workers for Remote<D> {
    /// The connection itself holds the slot; the lease asks after it where nobody else would tell.
    type Lease = Lease<D>;

    async fn open(
        &self,
        worker: &WorkerId,
        ask: Ask,
        permit: Permit,
    ) -> Result<Taken<Lease<D>>, NotOpened> {
        let Some(target) = self.target(worker) else {
            return Err(NotOpened::Elsewhere("the worker has just left".to_owned()));
        };
        if ask.direct
            && let Some(public) = &target.public
        {
            let ticket = self.ticket(&target, &ask, Route::Reserved);
            return self.reserve(&target, public, &ticket, permit).await.map(Taken::Direct);
        }
        let ticket = self.ticket(&target, &ask, Route::Relayed);
        let lease = Lease { directory: self.directory.clone(), id: target.worker.clone() };
        let dialled = self.dial(&target, &ticket, ask.handshake, permit).await?;
        let (_, ending) = oneshot::channel();
        Ok(Taken::Relayed(Opened {
            upstream: dialled.upstream,
            response: dialled.response,
            ending,
            lost: Ending::worker_lost(),
            granted_after: dialled.granted_after,
            lease,
        }))
    }

    async fn report(&self) -> Vec<WorkerStatus> {
        let ttl = self.config.ttl;
        self.directory.quietly(|view, now| {
            let mut all: Vec<_> = view.workers().map(|known| known.status(ttl, now)).collect();
            all.sort_by(|a, b| a.id.cmp(&b.id));
            all
        })
    }

    async fn order(&self, worker: &WorkerId, deed: Deed) -> Result<Outcome, OrderFailed> {
        self.give(worker, deed).await
    }
}

/// Zero on a system that has no random numbers.
fn random() -> u64 {
    let mut bits = [0; 8];
    let _ = getrandom::fill(&mut bits);
    u64::from_le_bytes(bits)
}

impl<D> Drop for Remote<D> {
    fn drop(&mut self) {
        self.proving.abort();
    }
}

/// A session on a worker elsewhere.
#[derive(Debug)]
pub struct Lease<D: Directory> {
    directory: Arc<D>,
    id: WorkerId,
}

impl<D: Directory> Drop for Lease<D> {
    /// Without the registry nobody tells us that the slot is free: we ask a little later.
    fn drop(&mut self) {
        if self.directory.quietly(|view, now| view.ask_again(&self.id, now)) {
            // Wakes the one who asks.
            self.directory.view(|_, _| ());
        }
    }
}
