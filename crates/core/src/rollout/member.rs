//! One of those that are rolled: what is seen of it, and what was done about it.

use std::time::Duration;

use super::plan::Patience;
use crate::pool::Moment;
use crate::status::WorkerState;

/// One life of one: whoever starts again under an old name is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// Its name.
    pub id: String,
    /// Differs between two lives of that name.
    pub life: u64,
}

/// What is seen of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub who: Life,
    /// Whether it is what the roll wants.
    pub new: bool,
    /// How it is.
    pub state: WorkerState,
    /// Its slots.
    pub slots: usize,
    /// Sessions on it.
    pub sessions: usize,
    /// How long the oldest of them has lasted, as far as is known.
    pub oldest: Duration,
}

impl Seen {
    pub(super) fn serves(&self) -> bool {
        matches!(self.state, WorkerState::Available | WorkerState::Busy)
    }

    /// It takes no sessions and has none: by its own word, so that none can come any more.
    pub(super) fn is_done(&self) -> bool {
        self.state == WorkerState::Draining && self.sessions == 0
    }
}

/// An order that was given to one.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) since: Moment,
    /// When it was given the last time.
    pub(super) told: Moment,
    /// Set when it could not be delivered: why, and when it is given again.
    pub(super) failed: Option<(String, Moment)>,
}

impl Order {
    /// Whether it is to be given again now.
    fn again(&mut self, now: Moment) -> bool {
        let again = self.failed.take_if(|(_, at)| *at <= now).is_some();
        if again {
            self.told = now;
        }
        again
    }
}

/// A new one's first session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    NotYet,
    Asked(Moment),
    Passed,
}

/// One of those that are rolled.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) seen: Seen,
    /// This roll started it.
    pub(super) ours: bool,
    pub(super) last_seen: Moment,
    /// Since when it does not serve.
    pub(super) down: Option<Moment>,
    pub(super) probe: Probe,
    pub(super) drain: Option<Order>,
    pub(super) undrain: Option<Order>,
    pub(super) stop: Option<Order>,
    /// The platform says that its process has ended.
    pub(super) stopped: bool,
}

impl Member {
    pub(super) fn new(seen: Seen, now: Moment) -> Self {
        let down = (!seen.serves()).then_some(now);
        let (probe, drain, undrain, stop) = (Probe::NotYet, None, None, None);
        Self {
            seen,
            ours: false,
            last_seen: now,
            down,
            probe,
            drain,
            undrain,
            stop,
            stopped: false,
        }
    }

    pub(super) fn see(&mut self, seen: &Seen, now: Moment) {
        self.seen = seen.clone();
        self.last_seen = now;
        self.down = if seen.serves() { None } else { self.down.or(Some(now)) };
    }

    /// One that was told to stop is gone when its process has ended, any other when it has been
    /// missing for a while.
    pub(super) fn is_gone(&self, patience: &Patience, now: Moment) -> bool {
        let missing = now.saturating_sub(self.last_seen);
        let ended = match self.stop {
            Some(_) => self.stopped,
            None => missing >= patience.settle,
        };
        ended && !missing.is_zero()
    }

    pub(super) fn is_proved(&self) -> bool {
        self.seen.new && self.probe == Probe::Passed
    }

    /// New, and not proved.
    pub(super) fn is_on_trial(&self) -> bool {
        self.seen.new && self.probe != Probe::Passed
    }

    /// It was told to go, or to take no more sessions.
    pub(super) fn is_leaving(&self) -> bool {
        self.drain.is_some() || self.stop.is_some()
    }

    /// It can be counted on.
    pub(super) fn is_available(&self, now: Moment) -> bool {
        let trusted = !self.seen.new || self.is_proved();
        self.seen.serves() && trusted && !self.is_leaving() && self.last_seen == now
    }

    /// Gives the order, unless it was given; again when it could not be delivered.
    pub(super) fn order(order: &mut Option<Order>, now: Moment) -> bool {
        match order {
            Some(given) => given.again(now),
            None => {
                *order = Some(Order { since: now, told: now, failed: None });
                true
            }
        }
    }
}

/// Since when, and what became of it.
pub(super) fn overdue(order: Option<&Order>, within: Duration, now: Moment) -> Option<String> {
    let order = order.filter(|order| now.saturating_sub(order.since) >= within)?;
    Some(order.failed.as_ref().map(|(why, _)| why.clone()).unwrap_or_default())
}
