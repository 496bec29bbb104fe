//! A session that is being relayed, as others see it.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flotilla_core::ending::Ending;
use flotilla_core::metrics::{Direction, Passed, Relay};
use flotilla_core::refusal::Served;
use flotilla_core::wanted::Isolation;
use flotilla_relay::{Counters, FlowCounters};
use tokio::sync::oneshot;

#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) served: Served,
    pub(crate) isolation: Isolation,
    pub(crate) worker: String,
    pub(crate) began: Instant,
    /// The same, in seconds since 1970.
    pub(crate) began_at: u64,
    /// Ends it, once.
    pub(crate) end: Option<oneshot::Sender<Ending>>,
    traffic: Arc<Counters>,
    /// What of it is in the grid's counters already.
    counted: [Passed; 2],
}

impl Active {
    pub(crate) fn new(
        served: Served,
        isolation: Isolation,
        worker: String,
        traffic: Arc<Counters>,
        end: oneshot::Sender<Ending>,
    ) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            served,
            isolation,
            worker,
            began: Instant::now(),
            began_at: since_1970.map_or(0, |since| since.as_secs()),
            end: Some(end),
            traffic,
            counted: [Passed::default(); 2],
        }
    }

    /// Adds what has passed since the last call to the grid's counters.
    pub(crate) fn count(&mut self, relay: &Relay) {
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
