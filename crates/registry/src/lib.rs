//! Who is out there: the in-process registry.

use std::sync::{Mutex, PoisonError};

use flotilla_core::fleet::{Advert, Fleet};
use flotilla_core::registry::Registry;
use tokio::sync::watch;

/// The registry of a grid in one process: a publication is seen at once.
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

    /// Wakes after every publication.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry for InProcess {
    fn publish(&self, advert: Advert) {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner).update(advert);
        self.changed.send_replace(());
    }

    fn look<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T {
        look(&self.fleet.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use flotilla_core::{BrowserKind, PlaywrightVersion, WorkerId};

    use super::*;

    #[tokio::test]
    async fn a_publication_is_seen_and_wakes_who_waits() {
        let registry = InProcess::new();
        let mut changes = registry.subscribe();
        let v = PlaywrightVersion { major: 1, minor: 65 };
        registry.publish(Advert {
            id: WorkerId("w".into()),
            slots: 1,
            used: 0,
            lifetime: 0,
            draining: false,
            serves: vec![(BrowserKind::Chromium, v)],
        });
        changes.changed().await.unwrap();
        let chosen = registry.look(|fleet| fleet.choose(BrowserKind::Chromium, v).cloned());
        assert_eq!(chosen, Some(WorkerId("w".into())));
    }
}
