//! A gateway's sessions, handed to the process that takes its place.
//!
//! The successor connects to the predecessor's [`Door`], is told what the predecessor knows, and
//! gets the listener. When it is ready, the predecessor stops accepting and hands over one session
//! after the other: it stands still, its connections and its state go over, and only when the
//! successor has said that it has them does the predecessor let go. Until then the session is the
//! predecessor's, whatever becomes of the successor. Who is still on the way in, or out, when the
//! successor comes is served to that end by the predecessor, and handed over once it is relayed.

mod door;
mod giving;
mod taking;
mod wire;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use flotilla_core::wanted::Isolation;
use flotilla_core::{BrowserKind, PlaywrightVersion, SessionId};
use flotilla_relay::{Counters, Parked};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::gateway::Inner;

pub use door::Door;
pub use giving::HandedOver;
pub use taking::{Predecessor, Successor, TakeOverError};

/// Raised whenever two releases could misunderstand each other.
pub const PROTOCOL: u32 = 1;

/// What is known of a session besides its relay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Carried {
    pub(crate) id: SessionId,
    pub(crate) browser: BrowserKind,
    pub(crate) version: PlaywrightVersion,
    pub(crate) isolation: Isolation,
    pub(crate) worker: String,
    /// In seconds since 1970, for people.
    pub(crate) began_at: u64,
    /// How long it may last, from its beginning.
    pub(crate) limit: Option<Duration>,
    /// How long it has lasted.
    pub(crate) age: Duration,
}

/// Somebody elsewhere wants a session.
#[derive(Debug)]
pub(crate) struct Summons(oneshot::Sender<Offer>);

/// A session that stands still, for another process.
#[derive(Debug)]
struct Offer {
    carried: Carried,
    state: Vec<u8>,
    connections: [OwnedFd; 2],
    /// Dropped when the session stays where it is.
    taken: oneshot::Sender<()>,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Away,
    Not,
}

impl Summons {
    /// Offers the session, and waits for what becomes of it.
    pub(crate) async fn offer(
        self,
        carried: &Carried,
        parked: &mut Parked,
        counters: &Counters,
        began: Instant,
    ) -> Moved {
        let (taken, verdict) = oneshot::channel();
        let carried = Carried { age: began.elapsed(), ..carried.clone() };
        let offer = parked.state(counters).and_then(|state| {
            let (client, upstream) = parked.connections();
            let connections = [client.try_clone_to_owned()?, upstream.try_clone_to_owned()?];
            Ok(Offer { carried, state, connections, taken })
        });
        match offer {
            Ok(offer) => match self.0.send(offer) {
                Ok(()) if verdict.await.is_ok() => Moved::Away,
                _ => Moved::Not,
            },
            Err(error) => {
                tracing::warn!(%error, "a session cannot be handed over");
                Moved::Not
            }
        }
    }
}

impl<R, W> Inner<R, W> {
    /// Resolves when another process wants the session.
    pub(crate) fn summoned(&self, id: &SessionId) -> impl Future<Output = Summons> + use<R, W> {
        let (summon, summons) = oneshot::channel();
        if let Some(active) = self.active().get_mut(id) {
            active.summon = Some(summon);
        }
        async move {
            match summons.await {
                Ok(summons) => summons,
                Err(_) => std::future::pending().await,
            }
        }
    }
}
