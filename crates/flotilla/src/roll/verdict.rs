//! What a roll came to: what clients noticed of it, measured, in one sentence.

use std::time::Duration;

use flotilla_core::rollout::{Rollout, Seen, Stage};
use serde::Serialize;

use super::census::Counted;
use super::connects::Connected;

/// The fewest that were available, as far as one saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lowest {
    /// How many.
    pub available: usize,
    /// Their slots.
    pub slots: usize,
}

impl Lowest {
    /// Nobody has looked yet.
    pub const UNSEEN: Self = Self { available: usize::MAX, slots: usize::MAX };

    /// Somebody looked: whoever takes sessions counts, as for clients.
    pub fn look(&mut self, fleet: &[Seen]) {
        use flotilla_core::status::WorkerState::{Available, Busy};
        let serving = fleet.iter().filter(|seen| matches!(seen.state, Available | Busy));
        let slots = serving.clone().map(|seen| seen.slots).sum();
        self.available = self.available.min(serving.count());
        self.slots = self.slots.min(slots);
    }
}

/// What a roll came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// True when everything is new and no client noticed.
    pub ok: bool,
    /// Why the roll was given up, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What was rolled: `workers` or `gateways`.
    pub what: &'static str,
    /// How many were replaced.
    pub replaced: usize,
    /// Of how many.
    pub of: usize,
    /// How long it took.
    pub seconds: f64,
    /// Connects of our own and clients that were not let in.
    pub failed_connects: u64,
    /// Sessions that were ended by anything but their client or a limit.
    pub sessions_killed: u64,
    /// The connects that were made for the sake of it, before the roll.
    pub before: Connected,
    /// And while it went on.
    pub during: Connected,
    /// What the gateways counted meanwhile.
    pub counted: Counted,
    /// The fewest that were available.
    pub lowest: Lowest,
    /// How many were promised.
    pub promised: Lowest,
}

impl Verdict {
    /// Judges.
    pub(crate) fn new(
        what: &'static str,
        stage: &Stage,
        rollout: Promise,
        took: Duration,
        (before, during): (Connected, Connected),
        counted: &Counted,
        lowest: Lowest,
    ) -> Self {
        let failure = match stage {
            Stage::Done => None,
            Stage::Failed(why) | Stage::GivingUp(why) => Some(why.to_string()),
            Stage::Rolling | Stage::Paused => Some("it was left".to_owned()),
        };
        let failed_connects = during.failed as u64 + counted.turned_away();
        let unnoticed = failed_connects == 0 && counted.killed() == 0;
        Self {
            ok: failure.is_none() && unnoticed,
            failure,
            what,
            replaced: rollout.replaced,
            of: rollout.of,
            seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
            failed_connects,
            sessions_killed: counted.killed(),
            before,
            during,
            counted: counted.clone(),
            lowest,
            promised: rollout.promised,
        }
    }

    /// The sentence.
    pub fn sentence(&self) -> String {
        let Self { what, replaced, of, seconds, .. } = self;
        let slots = match self.what {
            "workers" => format!(
                "{} slots at the fewest ({} promised)",
                self.lowest.slots, self.promised.slots
            ),
            _ => format!(
                "{} at the fewest ({} promised)",
                self.lowest.available, self.promised.available
            ),
        };
        format!(
            "{replaced} of {of} {what} replaced in {seconds} s; failed connects: {} (of {}), \
             sessions killed: {} (of {} that ended); connect p50 {} ms (before {}), p95 {} ms \
             (before {}); {slots}",
            self.failed_connects,
            self.during.tries,
            self.sessions_killed,
            self.counted.ended_in_all(),
            self.during.p50_ms,
            self.before.p50_ms,
            self.during.p95_ms,
            self.before.p95_ms,
        )
    }
}

/// What a roll promised and how far it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) replaced: usize,
    pub(crate) of: usize,
    pub(crate) promised: Lowest,
}

impl Promise {
    pub(crate) fn of(rollout: &Rollout, floor: usize) -> Self {
        let standing = rollout.standing();
        let promised = Lowest { available: floor, slots: rollout.slots_floor() };
        Self { replaced: standing.proved, of: standing.desired, promised }
    }
}
