//! An outage of Redis in the log: when it begins, what else is found out, when it ends. Never a
//! line for every try.

use std::mem::Discriminant;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_core::metrics::{AdvertFault, StoreOperation};

use super::fault::Fault;

/// What is counted about Redis as it happens.
pub trait Observer: Send + Sync + 'static {
    /// An operation has ended after this time, well or not.
    fn operation(&self, operation: StoreOperation, took: Duration, ok: bool);
    /// Redis can be reached from now on, or cannot.
    fn reachable(&self, reachable: bool);
    /// Something that was found in Redis was not believed.
    fn rejected(&self, reason: AdvertFault);
}

/// Whether Redis is away, and what of that has been logged.
pub(crate) struct Outage {
    observer: Arc<dyn Observer>,
    /// What it costs, for the log.
    meanwhile: &'static str,
    state: State,
}

enum State {
    New,
    There,
    Away { since: Instant, logged: Vec<Discriminant<Fault>> },
}

// === impl Outage ===

impl Outage {
    pub(crate) fn new(observer: Arc<dyn Observer>, meanwhile: &'static str) -> Self {
        Self { observer, meanwhile, state: State::New }
    }

    /// Redis does what it is asked.
    pub(crate) fn over(&mut self, redis: &impl std::fmt::Display) {
        match std::mem::replace(&mut self.state, State::There) {
            State::There => return,
            State::New => tracing::info!(%redis, "Redis is there"),
            State::Away { since, .. } => {
                let away_seconds = since.elapsed().as_secs_f64();
                tracing::info!(%redis, away_seconds, "Redis is there again");
            }
        }
        self.observer.reachable(true);
    }

    /// It does not.
    pub(crate) fn goes_on(&mut self, fault: &Fault) {
        let meanwhile = self.meanwhile;
        match &mut self.state {
            State::Away { logged, .. } => {
                if !logged.contains(&fault.kind()) {
                    logged.push(fault.kind());
                    tracing::warn!(%fault, "Redis is still away, for another reason");
                }
            }
            _ => {
                let logged = vec![fault.kind()];
                self.state = State::Away { since: Instant::now(), logged };
                tracing::warn!(%fault, "Redis cannot be used: {meanwhile}");
                self.observer.reachable(false);
            }
        }
    }
}
