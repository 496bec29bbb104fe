//! What passes in the sessions that no gateway relays, for the counters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_core::SessionId;
use flotilla_core::metrics::{Direction, Metrics, Passed, Relay};
use flotilla_relay::{Counters, FlowCounters};

/// The direct sessions that are connected.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<HashMap<SessionId, Counting>>);

#[derive(Debug)]
struct Counting {
    traffic: Arc<Counters>,
    counted: [Passed; 2],
}

/// One of them. What passed last is counted when it is dropped.
pub(super) struct Tallied<'a> {
    tally: &'a Tally,
    metrics: &'a Metrics,
    session: &'a SessionId,
    pub(super) traffic: Arc<Counters>,
}

impl Tally {
    pub(super) fn begin<'a>(&'a self, metrics: &'a Metrics, session: &'a SessionId) -> Tallied<'a> {
        let traffic = Arc::new(Counters::default());
        let counting = Counting { traffic: traffic.clone(), counted: Default::default() };
        self.lock().insert(session.clone(), counting);
        Tallied { tally: self, metrics, session, traffic }
    }

    /// Adds what has passed since the last call.
    pub(super) fn count(&self, relay: &Relay) {
        self.lock().values_mut().for_each(|counting| counting.count(relay));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Counting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tallied<'_> {
    fn drop(&mut self) {
        if let Some(mut gone) = self.tally.lock().remove(self.session) {
            gone.count(&self.metrics.relay);
        }
    }
}

impl Counting {
    fn count(&mut self, relay: &Relay) {
        let flows =
            [(&self.traffic.up, Direction::ToBrowser), (&self.traffic.down, Direction::ToClient)];
        for ((flow, direction), counted) in flows.into_iter().zip(&mut self.counted) {
            relay.count(direction, passed(flow), counted);
        }
    }
}

fn passed(flow: &FlowCounters) -> Passed {
    Passed { bytes: flow.read(), messages: flow.messages(), stalled: flow.stalled() }
}
