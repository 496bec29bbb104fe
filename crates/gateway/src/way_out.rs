//! How far a gateway is on its way out.
//!
//! Balancers learn from `/readyz` that a gateway wants no more clients, and not at once. For a
//! while it says so and lets in whoever still comes, so that nobody is turned away in between.
//! Then it turns newcomers away, and who waits already gets his turn.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A gateway's way out.
#[derive(Debug)]
pub(crate) struct WayOut {
    /// How long it lets in those who come although it is leaving.
    grace: Duration,
    stage: watch::Sender<Stage>,
    told_to_stop: watch::Sender<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is not leaving.
    Open,
    /// It wants no more clients, since then.
    Leaving(Instant),
    /// Those who wait are told that it is over.
    Over,
}

impl WayOut {
    pub(crate) fn new(grace: Duration) -> Self {
        let (stage, told_to_stop) = (watch::Sender::new(Stage::Open), watch::Sender::new(false));
        Self { grace, stage, told_to_stop }
    }

    /// Wants no more clients from now on.
    pub(crate) fn leave(&self) {
        self.stage.send_if_modified(|stage| {
            let open = *stage == Stage::Open;
            if open {
                *stage = Stage::Leaving(Instant::now());
            }
            open
        });
    }

    /// Wants clients again; `false` when it is too late for that.
    pub(crate) fn stay(&self) -> bool {
        if *self.told_to_stop.borrow() {
            return false;
        }
        self.stage.send_if_modified(|stage| {
            let leaving = matches!(stage, Stage::Leaving(_));
            if leaving {
                *stage = Stage::Open;
            }
            leaving
        });
        *self.stage.borrow() == Stage::Open
    }

    /// Lets nobody in from now on, not even those who wait.
    pub(crate) fn end(&self) {
        self.stage.send_replace(Stage::Over);
    }

    /// Whether it wants clients.
    pub(crate) fn is_open(&self) -> bool {
        *self.stage.borrow() == Stage::Open
    }

    /// Whether it lets in who comes now.
    pub(crate) fn lets_in(&self) -> bool {
        match *self.stage.borrow() {
            Stage::Open => true,
            Stage::Leaving(since) => since.elapsed() < self.grace,
            Stage::Over => false,
        }
    }

    /// How long it still lets in who comes.
    pub(crate) fn grace_left(&self) -> Duration {
        match *self.stage.borrow() {
            Stage::Leaving(since) => self.grace.saturating_sub(since.elapsed()),
            Stage::Open | Stage::Over => Duration::ZERO,
        }
    }

    /// Resolves when even those who wait are turned away.
    pub(crate) async fn over(&self) {
        let mut stage = self.stage.subscribe();
        // Its sender is here for as long as this borrows it.
        let _ = stage.wait_for(|stage| *stage == Stage::Over).await;
    }

    /// An operator wants the process to end.
    pub(crate) fn tell_to_stop(&self) {
        self.leave();
        self.told_to_stop.send_replace(true);
    }

    /// Resolves when an operator wants that.
    pub(crate) async fn told_to_stop(&self) {
        let _ = self.told_to_stop.subscribe().wait_for(|told| *told).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_let_in_for_a_while_and_it_can_be_called_off() {
        let way_out = WayOut::new(Duration::from_secs(600));
        assert!(way_out.is_open() && way_out.lets_in() && way_out.grace_left().is_zero());
        way_out.leave();
        assert!(!way_out.is_open() && way_out.lets_in() && !way_out.grace_left().is_zero());
        assert!(way_out.stay());
        assert!(way_out.is_open() && way_out.lets_in());
        way_out.tell_to_stop();
        assert!(!way_out.stay(), "it is ending");
        assert!(!way_out.is_open() && way_out.lets_in());
        way_out.end();
        assert!(!way_out.lets_in() && !way_out.stay());
    }

    #[tokio::test]
    async fn without_a_grace_newcomers_are_turned_away_at_once_and_who_waits_is_not() {
        let way_out = WayOut::new(Duration::ZERO);
        way_out.leave();
        assert!(!way_out.lets_in());
        let soon = Duration::from_millis(10);
        assert!(tokio::time::timeout(soon, way_out.over()).await.is_err());
        way_out.end();
        way_out.over().await;
    }
}
