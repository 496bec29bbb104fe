//! A gateway's view of the fleet, shared by those who feed it and those who choose from it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flotilla_core::WorkerId;
use flotilla_core::fleet::Fleet;
use flotilla_core::pool::Moment;
use flotilla_core::refusal::Served;
use flotilla_core::registry::{Directory, Registry};
use flotilla_core::status::{RegistryKind, RegistryStatus};
use flotilla_core::view::{Patience, View};
use tokio::sync::watch;

/// The view of a gateway that finds its workers through a registry elsewhere.
#[derive(Debug)]
pub struct SharedView {
    started: Instant,
    // A std mutex: held for map operations, never across an await.
    view: Mutex<View>,
    changed: watch::Sender<()>,
    latency: Mutex<Option<Duration>>,
}

impl SharedView {
    /// Knows nobody yet, and counts as blind until the registry has been reached.
    pub fn new(patience: Patience) -> Self {
        let mut view = View::new(patience);
        view.lost_registry(Moment::ZERO);
        Self {
            started: Instant::now(),
            view: Mutex::new(view),
            changed: watch::Sender::new(()),
            latency: Mutex::default(),
        }
    }

    /// Wakes after every change.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How long the registry's last answer took.
    pub fn answered_after(&self, latency: Duration) {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner) = Some(latency);
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }
}

impl Registry for SharedView {
    fn look<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T {
        look(self.lock().fleet())
    }

    fn claim(&self, served: Served) -> Option<WorkerId> {
        self.lock().fleet_mut().claim(served)
    }

    fn offered(&self) -> Vec<Served> {
        self.lock().offered()
    }

    fn settle(&self, id: &WorkerId) {
        self.lock().fleet_mut().settle(id);
    }

    fn ailing(&self, id: &WorkerId, served: Served, wait: Duration) -> bool {
        self.view(|view, now| view.ailing(id, served, now + wait))
    }

    fn status(&self) -> RegistryStatus {
        let latency = *self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        RegistryStatus {
            kind: RegistryKind::Redis,
            reachable: self.lock().blind_since().is_none(),
            latency_ms: latency.map(|latency| latency.as_secs_f64() * 1000.0),
        }
    }
}

impl Directory for SharedView {
    fn view<T>(&self, act: impl FnOnce(&mut View, Moment) -> T) -> T {
        let acted = self.quietly(act);
        self.changed.send_replace(());
        acted
    }

    fn quietly<T>(&self, act: impl FnOnce(&mut View, Moment) -> T) -> T {
        let now = self.now();
        act(&mut self.lock(), now)
    }
}
