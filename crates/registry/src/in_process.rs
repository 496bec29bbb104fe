//! The registry of a grid in one process: a publication is seen at once.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_core::fleet::Fleet;
use flotilla_core::refusal::Served;
use flotilla_core::registry::Registry;
use flotilla_core::status::RegistryStatus;
use flotilla_core::{Advert, WorkerId};
use tokio::sync::watch;

/// The registry of a grid in one process.
#[derive(Debug)]
pub struct InProcess {
    // A std mutex: held for a map operation, never across an await.
    fleet: Mutex<Fleet>,
    changed: watch::Sender<()>,
}

impl InProcess {
    /// An empty fleet.
    pub fn new() -> Self {
        Self { fleet: Mutex::default(), changed: watch::Sender::new(()) }
    }

    /// Says what a worker says of itself.
    pub fn publish(&self, advert: Advert) {
        self.fleet().update(advert);
        self.changed.send_replace(());
    }

    /// Wakes after every publication.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry for InProcess {
    fn look<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T {
        look(&self.fleet())
    }

    fn claim(&self, served: Served) -> Option<WorkerId> {
        self.fleet().claim(served)
    }

    /// Also what a worker serves that takes no sessions just now: it may again.
    fn offered(&self) -> Vec<Served> {
        let fleet = self.fleet();
        let offered: BTreeSet<_> = fleet.workers().flat_map(|w| w.serves.iter().copied()).collect();
        offered.into_iter().collect()
    }

    fn settle(&self, id: &WorkerId) {
        self.fleet().settle(id);
    }

    /// There is no other worker to ask.
    fn ailing(&self, _: &WorkerId, _: Served, _: Duration) -> bool {
        false
    }

    fn status(&self) -> RegistryStatus {
        RegistryStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use flotilla_core::{BrowserKind, PlaywrightVersion};

    use super::*;

    #[tokio::test]
    async fn a_publication_is_seen_and_wakes_who_waits() {
        let registry = InProcess::new();
        let mut changes = registry.subscribe();
        let served = (BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 });
        let id = WorkerId("w".into());
        let serves = vec![served];
        registry.publish(Advert { id: id.clone(), slots: 1, serves, ..Advert::default() });
        changes.changed().await.unwrap();
        assert_eq!(registry.claim(served), Some(id));
    }

    #[test]
    fn what_a_draining_worker_serves_can_be_waited_for() {
        let registry = InProcess::new();
        let served = (BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 });
        let (id, serves) = (WorkerId("w".into()), vec![served]);
        registry.publish(Advert { id, slots: 1, draining: true, serves, ..Advert::default() });
        assert_eq!(registry.claim(served), None);
        assert_eq!(registry.offered(), [served]);
    }
}
