//! A session that is being relayed, as others see it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flotilla_core::ending::Ending;
use flotilla_core::metrics::{Direction, Relay};
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
    counted: [Counted; 2],
}

/// What of a session's traffic is in the grid's counters already.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    bytes: u64,
    messages: u64,
    stalled: Duration,
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
            counted: [Counted::default(); 2],
        }
    }

    /// Adds what has passed since the last call to the grid's counters. A session may last for
    /// days: its bytes are counted whenever somebody looks, not only at its end.
    pub(crate) fn count(&mut self, relay: &Relay) {
        let flows =
            [(&self.traffic.up, Direction::ToBrowser), (&self.traffic.down, Direction::ToClient)];
        for ((flow, direction), counted) in flows.into_iter().zip(&mut self.counted) {
            let now = Counted::from(flow);
            relay.bytes.add(direction, now.bytes.saturating_sub(counted.bytes));
            relay.messages.add(direction, now.messages.saturating_sub(counted.messages));
            relay.stall.add(direction, now.stalled.saturating_sub(counted.stalled));
            *counted = now;
        }
    }
}

impl From<&FlowCounters> for Counted {
    fn from(flow: &FlowCounters) -> Self {
        Self { bytes: flow.read(), messages: flow.messages(), stalled: flow.stalled() }
    }
}
