//! A session that is relayed here, from its browser's answer to its end, or until another process
//! goes on with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_core::SessionId;
use flotilla_core::ending::Ending;
use flotilla_core::refusal::Served;
use flotilla_core::registry::Registry;
use flotilla_core::wanted::Isolation;
use flotilla_relay::{CloseReason, Counters, Ended, Parked, RelayOptions, Relayed, relay_until};
use tokio::sync::oneshot;

use crate::gateway::{GatewayConfig, Inner};
use crate::handover::{Carried, Moved};
use crate::settle::settle;
use crate::workers::Workers;

/// A session whose relay can begin, or go on.
#[derive(Debug)]
pub(crate) struct Relaying<L> {
    pub(crate) id: SessionId,
    pub(crate) served: Served,
    pub(crate) isolation: Isolation,
    pub(crate) worker: String,
    pub(crate) began: Instant,
    /// How long it may last, from its beginning.
    pub(crate) limit: Option<Duration>,
    pub(crate) traffic: Arc<Counters>,
    /// Resolves when the worker ends it.
    pub(crate) ending: oneshot::Receiver<Ending>,
    /// What the client is told when the worker's side vanishes.
    pub(crate) lost: Ending,
    /// Resolves when somebody here ends it.
    pub(crate) asked: oneshot::Receiver<Ending>,
    pub(crate) lease: L,
    pub(crate) parked: Box<Parked>,
}

/// Relays until the end, and settles; or until another process has it.
pub(crate) async fn relayed<R: Registry, W: Workers>(
    gateway: &Arc<Inner<R, W>>,
    session: Relaying<W::Lease>,
) {
    let carried = gateway.carried(&session);
    let Relaying { id, served, began, traffic, mut asked, lease, mut parked, .. } = session;
    let left = |limit: Duration| (limit.saturating_sub(began.elapsed()), Ending::too_long(limit));
    let ended = Ended::new(session.ending, session.lost, session.limit.map(left), close_reason);
    let options = relay_options(&gateway.config);
    let outcome = loop {
        let asked = async {
            match (&mut asked).await {
                Ok(ending) => ending,
                Err(_) => std::future::pending().await,
            }
        };
        let decided = ended.decided(asked);
        let summoned = gateway.summoned(&id);
        match relay_until(parked, &options, &traffic, decided, || ended.lost(), summoned).await {
            Relayed::Ended(outcome) => break outcome,
            Relayed::Parked(mut standing, summons) => {
                match summons.offer(&carried, &mut standing, &traffic, began).await {
                    // Whoever has it now counts its end.
                    Moved::Away => return,
                    Moved::Not => parked = standing,
                }
            }
        }
    };
    drop(lease);
    let cause = ended.cause().map(|ending| ending.cause);
    settle(&gateway.metrics, &id, served, began.elapsed(), &outcome, cause);
}

impl<R, W> Inner<R, W> {
    fn carried<L>(&self, session: &Relaying<L>) -> Carried {
        Carried {
            id: session.id.clone(),
            browser: session.served.0,
            version: session.served.1,
            isolation: session.isolation,
            worker: session.worker.clone(),
            began_at: self.active().get(&session.id).map_or(0, |active| active.began_at),
            limit: session.limit,
            age: Duration::ZERO,
        }
    }
}

fn close_reason(ending: &Ending) -> CloseReason {
    CloseReason::new(ending.code, ending.reason.clone())
}

fn relay_options(config: &GatewayConfig) -> RelayOptions {
    RelayOptions {
        ping_interval: config.ping_interval,
        client_timeout: config.peer_timeout,
        upstream_timeout: config.peer_timeout,
        ..RelayOptions::default()
    }
}
