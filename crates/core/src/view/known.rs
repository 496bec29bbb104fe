//! One worker, as a gateway knows it.

use std::sync::Arc;
use std::time::Duration;

use super::{Check, Patience};
use crate::advert::Advert;
use crate::pool::Moment;
use crate::refusal::Served;
use crate::status::{WorkerState, WorkerStatus};
use crate::ticket::millis;

/// How sure a gateway is of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was heard of, and has not been dialled back yet.
    Unproved,
    /// It was dialled back, and is the one that was meant.
    Proved,
    /// It cannot be reached, and why.
    Unroutable(String),
    /// It was not heard of for its TTL.
    Expired,
}

/// One worker.
#[derive(Clone, Debug)]
pub struct Known {
    /// The newest of what it said.
    pub advert: Arc<Advert>,
    /// How sure we are.
    pub standing: Standing,
    /// When it was last heard of.
    pub heard: Moment,
    /// Its uptime at the beginning of our clock, as far as is known: adverts may be late, never
    /// early, so the largest is the nearest.
    uptime_at_zero: i128,
    /// Another worker that claims its name.
    pub(super) challenger: Option<Arc<Advert>>,
    /// What the view counts it for.
    pub(super) offered: Vec<Served>,
    pub(super) due: Option<Moment>,
    pub(super) checking: bool,
    pub(super) failures: u32,
    /// How soon it was asked again, the last time that it had to be asked itself.
    pub(super) pace: Duration,
    /// When a session of ours there ended last.
    pub(super) vacated: Option<Moment>,
    /// Not dialled back for a challenger before this.
    pub(super) next_try: Moment,
}

impl Known {
    pub(super) fn new(advert: Arc<Advert>, now: Moment) -> Self {
        Self {
            uptime_at_zero: uptime_at_zero(&advert, now),
            advert,
            standing: Standing::Unproved,
            heard: now,
            challenger: None,
            offered: Vec::new(),
            due: None,
            checking: false,
            failures: 0,
            pace: Duration::MAX,
            vacated: None,
            next_try: Moment::ZERO,
        }
    }

    /// Takes in a newer advert of the same life; `false` when it is not newer.
    pub(super) fn news(&mut self, advert: Arc<Advert>, now: Moment) -> bool {
        if advert.seq <= self.advert.seq {
            return false;
        }
        self.uptime_at_zero = self.uptime_at_zero.max(uptime_at_zero(&advert, now));
        self.heard = now;
        if advert.endpoint != self.advert.endpoint || self.standing == Standing::Expired {
            self.standing = Standing::Unproved;
        }
        self.advert = advert;
        true
    }

    /// Another life takes this one's place.
    pub(super) fn succeed(&mut self, successor: Arc<Advert>, now: Moment) {
        let offered = std::mem::take(&mut self.offered);
        *self = Self { offered, ..Self::new(successor, now) };
    }

    /// What it was counted for and what it is to be counted for, where that differs.
    pub(super) fn change_of_offer(&mut self) -> Option<(Vec<Served>, Vec<Served>)> {
        let offers = match self.standing {
            Standing::Expired => &[][..],
            _ => &self.advert.serves,
        };
        if offers == self.offered {
            return None;
        }
        let offers = offers.to_vec();
        Some((std::mem::replace(&mut self.offered, offers.clone()), offers))
    }

    /// When to try next after a failure.
    pub(super) fn back_off(&mut self, patience: &Patience, now: Moment) -> Moment {
        let wait = patience.retry * 2u32.saturating_pow(self.failures.min(16));
        self.failures += 1;
        now + wait.min(patience.retry_most)
    }

    /// How soon to ask it itself when the registry is lost: at once where a slot may have become
    /// free that nobody told us of.
    pub(super) fn pace_without_registry(&mut self, poll: Duration, now: Moment) -> Duration {
        let lately = |ended| now.saturating_sub(ended) < super::LATELY;
        self.pace = if self.vacated.is_some_and(lately) { super::SOON } else { poll };
        self.pace
    }

    pub(super) fn check(&self) -> Check {
        Check {
            id: self.advert.id.clone(),
            instance: self.advert.instance.clone(),
            endpoint: self.advert.endpoint.clone(),
        }
    }

    /// A moment of its uptime, this much from now; for a ticket's end.
    pub fn uptime_in(&self, from_now: Duration, now: Moment) -> u64 {
        let then = self.uptime_at_zero + i128::from(millis(now + from_now));
        u64::try_from(then).unwrap_or(0)
    }

    /// The worker as people are told of it.
    pub fn status(&self, ttl: Duration, now: Moment) -> WorkerStatus {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        WorkerStatus {
            id: self.advert.id.to_string(),
            state: self.state(ttl, now),
            slots: count(self.advert.slots),
            used: count(self.advert.used),
            sessions_served: self.advert.lifetime,
            started_at: self.advert.started_at,
            release: self.advert.release.clone(),
            endpoint: self.advert.endpoint.clone(),
            heartbeat_age_seconds: self.age(now).as_secs_f64(),
            uptime_seconds: self.uptime_in(Duration::ZERO, now) as f64 / 1000.0,
            problem: match &self.standing {
                Standing::Unroutable(why) => Some(why.clone()),
                _ => None,
            },
            serves: self.advert.serves.clone(),
            browsers: Vec::new(),
        }
    }

    /// How long ago it was last heard of.
    pub fn age(&self, now: Moment) -> Duration {
        now.saturating_sub(self.heard)
    }

    /// Its state for people. Half its TTL without a word, it has stalled.
    pub fn state(&self, patience_ttl: Duration, now: Moment) -> WorkerState {
        match self.standing {
            Standing::Expired => WorkerState::Dead,
            Standing::Unroutable(_) => WorkerState::Unroutable,
            _ if self.age(now) >= patience_ttl / 2 => WorkerState::Stalled,
            _ if self.advert.draining => WorkerState::Draining,
            Standing::Unproved => WorkerState::Starting,
            Standing::Proved if self.advert.starting => WorkerState::Starting,
            Standing::Proved if self.advert.free() == 0 => WorkerState::Busy,
            Standing::Proved => WorkerState::Available,
        }
    }
}

fn uptime_at_zero(advert: &Advert, now: Moment) -> i128 {
    i128::from(advert.uptime_ms) - i128::from(millis(now))
}
