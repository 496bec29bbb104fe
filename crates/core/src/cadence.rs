//! When a worker tells the registry about itself: at once when something changed, else with every
//! heartbeat, one message at a time, and after a failure with patience.

use std::time::Duration;

use crate::mutant::{self, Mutant};
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
}

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
        }
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
            Some(_) if !self.changed && mutant::is(Mutant::ForgetTheHeartbeat) => return None,
            Some(told) if !self.changed => told + self.heartbeat,
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
            self.not_before = now + wait.min(self.heartbeat);
        }
    }

    /// How many messages in a row did not arrive.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_change_is_told_at_once_and_silence_is_broken_with_every_heartbeat() {
        let mut cadence = Cadence::new(secs(5));
        assert_eq!(cadence.next(), Some(secs(0)));
        cadence.begin(secs(1));
        assert_eq!(cadence.next(), None, "one message at a time");
        cadence.end(true, secs(2));
        assert_eq!(cadence.next(), Some(secs(6)));
        cadence.changed();
        assert_eq!(cadence.next(), Some(secs(0)));
    }

    #[test]
    fn what_changes_while_a_message_is_under_way_is_told_after_it() {
        let mut cadence = Cadence::new(secs(5));
        cadence.begin(secs(1));
        cadence.changed();
        cadence.end(true, secs(2));
        assert_eq!(cadence.next(), Some(secs(0)));
    }

    #[test]
    fn after_failures_it_waits_longer_each_time_but_never_longer_than_a_heartbeat() {
        let mut cadence = Cadence::new(secs(5));
        let waits: Vec<_> = (0..8)
            .map(|_| {
                cadence.begin(secs(10));
                cadence.end(false, secs(10));
                cadence.next().unwrap() - secs(10)
            })
            .collect();
        assert!(waits.is_sorted() && waits[0] < secs(1) && waits[7] == secs(5), "{waits:?}");
        cadence.begin(secs(20));
        cadence.end(true, secs(20));
        assert_eq!(cadence.next(), Some(secs(25)));
    }
}
