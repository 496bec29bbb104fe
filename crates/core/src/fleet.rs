//! Who is out there, as a gateway sees it, and which worker a session is offered to.
//!
//! Every worker stands in one ordered set for each browser and version that it serves, so that a
//! choice is the first entry of a set and an update costs O(log n) for each entry.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use crate::browser::BrowserKind;
use crate::id::WorkerId;
use crate::refusal::Served;
use crate::version::PlaywrightVersion;

/// What a worker says of itself. Only the worker knows better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// Its name.
    pub id: WorkerId,
    /// Sessions that it takes at one time.
    pub slots: usize,
    /// Slots that are taken.
    pub used: usize,
    /// Sessions admitted since it started.
    pub lifetime: u64,
    /// True when it takes no new sessions.
    pub draining: bool,
    /// Which browsers, for which Playwrights.
    pub serves: Vec<Served>,
}

impl Advert {
    /// Slots that a new session could have.
    pub fn free(&self) -> usize {
        if self.draining { 0 } else { self.slots.saturating_sub(self.used) }
    }
}

/// The order of choice: most free slots first; among equals the one that has served longest, so
/// that workers reach their limits one after another and not all at once.
type Rank = (Reverse<usize>, Reverse<u64>, WorkerId);

/// A gateway's view of the fleet.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    workers: HashMap<WorkerId, Advert>,
    ranks: HashMap<Served, BTreeSet<Rank>>,
    free: HashMap<Served, usize>,
}

impl Fleet {
    /// Takes in what a worker says of itself.
    pub fn update(&mut self, advert: Advert) {
        self.remove(&advert.id);
        if !advert.draining {
            for served in &advert.serves {
                self.ranks.entry(*served).or_default().insert(rank(&advert));
                *self.free.entry(*served).or_default() += advert.free();
            }
        }
        self.workers.insert(advert.id.clone(), advert);
    }

    /// Forgets a worker.
    pub fn remove(&mut self, id: &WorkerId) {
        let Some(old) = self.workers.remove(id) else {
            return;
        };
        for served in &old.serves {
            if let Some(set) = self.ranks.get_mut(served) {
                if set.remove(&rank(&old)) {
                    *self.free.entry(*served).or_default() -= old.free();
                }
                if set.is_empty() {
                    self.ranks.remove(served);
                    self.free.remove(served);
                }
            }
        }
    }

    /// The worker to offer a session to, if any has a free slot as far as is known.
    pub fn choose(&self, kind: BrowserKind, version: PlaywrightVersion) -> Option<&WorkerId> {
        let (Reverse(free), _, id) = self.ranks.get(&(kind, version))?.first()?;
        (*free > 0).then_some(id)
    }

    /// Slots that are free for such a session, over all workers.
    pub fn free(&self, kind: BrowserKind, version: PlaywrightVersion) -> usize {
        self.free.get(&(kind, version)).copied().unwrap_or_default()
    }

    /// Every browser and version that some worker serves, in order.
    pub fn served(&self) -> Vec<Served> {
        let mut served: Vec<_> = self.ranks.keys().copied().collect();
        served.sort_unstable();
        served
    }

    /// Every worker, in no order.
    pub fn workers(&self) -> impl Iterator<Item = &Advert> {
        self.workers.values()
    }
}

fn rank(advert: &Advert) -> Rank {
    (Reverse(advert.free()), Reverse(advert.lifetime), advert.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V65: PlaywrightVersion = PlaywrightVersion { major: 1, minor: 65 };
    const CHROMIUM: BrowserKind = BrowserKind::Chromium;

    fn advert(id: &str, used: usize, lifetime: u64) -> Advert {
        Advert {
            id: WorkerId(id.to_owned()),
            slots: 5,
            used,
            lifetime,
            draining: false,
            serves: vec![(CHROMIUM, V65)],
        }
    }

    fn chosen(fleet: &Fleet) -> Option<&str> {
        fleet.choose(CHROMIUM, V65).map(|id| id.0.as_str())
    }

    #[test]
    fn the_freest_worker_is_chosen_and_among_equals_the_longest_serving() {
        let mut fleet = Fleet::default();
        assert_eq!(chosen(&fleet), None);
        fleet.update(advert("a", 3, 0));
        fleet.update(advert("b", 1, 2));
        fleet.update(advert("c", 1, 9));
        assert_eq!(chosen(&fleet), Some("c"));
        fleet.update(advert("c", 5, 10));
        assert_eq!(chosen(&fleet), Some("b"));
    }

    #[test]
    fn full_draining_and_unfitting_workers_are_never_chosen() {
        let mut fleet = Fleet::default();
        fleet.update(advert("full", 5, 0));
        assert_eq!(chosen(&fleet), None);
        fleet.update(Advert { draining: true, ..advert("draining", 0, 0) });
        assert_eq!(chosen(&fleet), None);
        assert_eq!(fleet.choose(BrowserKind::Firefox, V65), None);
        assert_eq!(fleet.served(), [(CHROMIUM, V65)]);
        fleet.remove(&WorkerId("full".into()));
        assert_eq!(fleet.served(), []);
        assert_eq!(fleet.workers().count(), 1);
    }

    proptest::proptest! {
        #[test]
        fn the_index_agrees_with_a_search(
            updates in proptest::collection::vec((0u8..20, 0usize..7, 0u64..4, proptest::bool::ANY, proptest::bool::ANY), 1..80)
        ) {
            let mut fleet = Fleet::default();
            for (id, used, lifetime, draining, gone) in updates {
                let advert = Advert { draining, ..advert(&id.to_string(), used, lifetime) };
                if gone { fleet.remove(&advert.id) } else { fleet.update(advert) }
                let best = fleet.workers().filter(|w| w.free() > 0).map(rank).min().map(|r| r.2);
                proptest::prop_assert_eq!(fleet.choose(CHROMIUM, V65).cloned(), best);
                let free: usize = fleet.workers().map(Advert::free).sum();
                proptest::prop_assert_eq!(fleet.free(CHROMIUM, V65), free);
            }
        }
    }
}
