//! When a worker tells the registry about itself: at once when something changed, else with every
//! heartbeat, one message at a time, and after a failure with patience.
//!
//! Thousands of workers may begin at once, or lose the registry at once. Each has its own beat and
//! its own patience, so that they do not go on in step.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::Duration;

use crate::id::WorkerId;
use crate::pool::Moment;

/// The first wait after a failure; it doubles up to a heartbeat.
const RETRY: Duration = Duration::from_millis(100);

/// The rhythm of one worker.
#[derive(Debug)]
pub struct Cadence {
    heartbeat: Duration,
    changed: bool,
    /// When the message under way began.
    telling: Option<Moment>,
    /// When the last message that arrived began.
    told: Option<Moment>,
    failures: u32,
    not_before: Moment,
    /// Tells this one apart from others.
    own: u64,
}

// === impl Cadence ===

impl Cadence {
    /// Nothing has been told yet.
    pub fn new(heartbeat: Duration) -> Self {
        Self {
            heartbeat,
            changed: true,
            telling: None,
            told: None,
            failures: 0,
            not_before: Moment::ZERO,
            own: 0,
        }
    }

    /// Its own beat and patience, of all that there could be.
    #[must_use]
    pub fn of(mut self, id: &WorkerId) -> Self {
        self.own = hash(&id.0);
        self
    }

    /// There is something new to tell.
    pub fn changed(&mut self) {
        self.changed = true;
    }

    /// When to tell next; `None` while a message is under way.
    pub fn next(&self) -> Option<Moment> {
        if self.telling.is_some() {
            return None;
        }
        let due = match self.told {
            Some(told) if !self.changed => self.beat_before(told + self.heartbeat),
            _ => Moment::ZERO,
        };
        Some(due.max(self.not_before))
    }

    /// A message is under way. What changes from now on is for the next.
    pub fn begin(&mut self, now: Moment) {
        self.telling = Some(now);
        self.changed = false;
    }

    /// The message arrived, or did not.
    pub fn end(&mut self, arrived: bool, now: Moment) {
        let began = self.telling.take().unwrap_or(now);
        if arrived {
            self.told = Some(began);
            self.failures = 0;
            self.not_before = Moment::ZERO;
        } else {
            self.changed = true;
            let wait = RETRY * 2u32.saturating_pow(self.failures.min(16));
            self.failures += 1;
            let wait = wait.min(self.heartbeat);
            // Half of it at least.
            self.not_before = now + wait / 2 + self.share_of(wait / 2, u64::from(self.failures));
        }
    }

    /// The last of its beats until then. They are half a heartbeat apart, so that the first comes
    /// early where it must and the others a whole heartbeat after the one before.
    fn beat_before(&self, latest: Moment) -> Moment {
        let apart = self.heartbeat / 2;
        let first = self.share_of(apart, 0);
        let after = latest.saturating_sub(first).as_nanos() % apart.as_nanos().max(1);
        latest.saturating_sub(Duration::from_nanos(u64::try_from(after).unwrap_or(0)))
    }

    /// A part of that time that is its own.
    fn share_of(&self, time: Duration, salt: u64) -> Duration {
        const PARTS: u32 = 1 << 16;
        let part = hash(&(self.own, salt)) % u64::from(PARTS);
        time / PARTS * u32::try_from(part).unwrap_or(0)
    }

    /// How many messages in a row did not arrive.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// The same for the same in every process of a release; nobody compares it across releases.
fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_secs(5);

    fn secs(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    /// Worker `n`'s, of many.
    fn cadence(n: usize) -> Cadence {
        Cadence::new(HEARTBEAT).of(&WorkerId(format!("w-{n}")))
    }

    /// How many fall into each tenth of that time.
    fn tenths(
        from: Moment,
        length: Duration,
        moments: impl Iterator<Item = Moment>,
    ) -> [usize; 10] {
        let mut tenths = [0; 10];
        for moment in moments {
            let at = (moment - from).as_secs_f64() / length.as_secs_f64() * 10.0;
            tenths[(at as usize).min(9)] += 1;
        }
        tenths
    }

    #[test]
    fn a_change_is_told_at_once_and_silence_is_broken_with_every_heartbeat() {
        for n in 0..1000 {
            let mut cadence = cadence(n);
            assert_eq!(cadence.next(), Some(secs(0)));
            cadence.begin(secs(1));
            assert_eq!(cadence.next(), None, "one message at a time");
            cadence.end(true, secs(2));
            let first = cadence.next().unwrap();
            assert!(first > secs(1) + HEARTBEAT / 2 && first <= secs(1) + HEARTBEAT, "{first:?}");
            cadence.begin(first);
            cadence.end(true, first);
            assert_eq!(cadence.next(), Some(first + HEARTBEAT));
            cadence.changed();
            assert_eq!(cadence.next(), Some(secs(0)));
        }
    }

    #[test]
    fn what_changes_while_a_message_is_under_way_is_told_after_it() {
        let mut cadence = cadence(0);
        cadence.begin(secs(1));
        cadence.changed();
        cadence.end(true, secs(2));
        assert_eq!(cadence.next(), Some(secs(0)));
    }

    #[test]
    fn after_failures_it_waits_longer_each_time_but_never_longer_than_a_heartbeat() {
        for n in 0..1000 {
            let mut cadence = cadence(n);
            let mut most = RETRY;
            for _ in 0..10 {
                cadence.begin(secs(10));
                cadence.end(false, secs(10));
                let wait = cadence.next().unwrap() - secs(10);
                assert!(wait >= most / 2 && wait <= most, "{wait:?} of {most:?}");
                most = (most * 2).min(HEARTBEAT);
            }
            cadence.begin(secs(20));
            cadence.end(true, secs(20));
            assert!(cadence.next() > Some(secs(22)), "it is patient no more");
        }
    }

    #[test]
    fn those_that_begin_or_fail_at_once_do_not_go_on_in_step() {
        let beats = (0..1000).map(|n| {
            let mut cadence = cadence(n);
            cadence.begin(secs(0));
            cadence.end(true, secs(0));
            cadence.next().unwrap()
        });
        let beats = tenths(HEARTBEAT / 2, HEARTBEAT / 2, beats);
        assert!(beats.iter().all(|beats| (60..140).contains(beats)), "{beats:?}");
        let tries = (0..1000).map(|n| {
            let mut cadence = cadence(n);
            for _ in 0..10 {
                cadence.begin(secs(9));
                cadence.end(false, secs(9));
            }
            cadence.next().unwrap() - secs(9)
        });
        let tries = tenths(HEARTBEAT / 2, HEARTBEAT / 2, tries);
        assert!(tries.iter().all(|tries| (60..140).contains(tries)), "{tries:?}");
    }
}
