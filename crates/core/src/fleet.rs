//! The workers that may be given sessions, and which of them a session is offered to.
//!
//! Every worker stands in one ordered set for each browser and version that it serves, so that a
//! choice is the first entry of a set and an update costs O(log n) for each entry.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::advert::Advert;
use crate::browser::BrowserKind;
use crate::id::WorkerId;
use crate::refusal::Served;
use crate::version::PlaywrightVersion;

/// The order of choice: most free slots first; among equals the one that has served longest, so
/// that workers reach their limits one after another and not all at once.
type Rank = (Reverse<usize>, Reverse<u64>, WorkerId);

/// A gateway's view of the workers that it may choose.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    workers: HashMap<WorkerId, Entry>,
    ranks: HashMap<Served, BTreeSet<Rank>>,
    free: HashMap<Served, usize>,
}

#[derive(Clone, Debug)]
struct Entry {
    advert: Arc<Advert>,
    /// Sessions on their way there, not yet answered: they count for the order of choice only.
    pending: usize,
    /// Browsers that it could not launch just now.
    ailing: HashSet<Served>,
}

impl Entry {
    fn rank(&self) -> Rank {
        let free = self.advert.free().saturating_sub(self.pending);
        (Reverse(free), Reverse(self.advert.lifetime), self.advert.id.clone())
    }

    /// What it may be chosen for.
    fn standing_for(&self) -> impl Iterator<Item = Served> {
        let serves = if self.advert.draining { &[][..] } else { &self.advert.serves };
        serves.iter().copied().filter(|served| !self.ailing.contains(served))
    }
}

impl Fleet {
    /// Takes in what a worker says of itself. Where that does not change its place in the order, as
    /// with most heartbeats, the order is not touched.
    pub fn update(&mut self, advert: impl Into<Arc<Advert>>) {
        let advert = advert.into();
        if let Some(entry) = self.workers.get_mut(&advert.id)
            && stand_alike(&entry.advert, &advert)
        {
            entry.advert = advert;
            return;
        }
        let (pending, ailing) = match self.take(&advert.id) {
            Some(old) => (old.pending, old.ailing),
            None => Default::default(),
        };
        self.put(Entry { advert, pending, ailing });
    }

    /// Forgets a worker.
    pub fn remove(&mut self, id: &WorkerId) {
        self.take(id);
    }

    /// The worker to offer a session to, if any has a free slot as far as is known. The session
    /// counts as on its way there until [`Fleet::settle`].
    pub fn claim(&mut self, served: Served) -> Option<WorkerId> {
        let id = self.choose(served.0, served.1)?.clone();
        self.change(&id, |entry| entry.pending += 1);
        Some(id)
    }

    /// The worker has answered, or never will.
    pub fn settle(&mut self, id: &WorkerId) {
        self.change(id, |entry| entry.pending = entry.pending.saturating_sub(1));
    }

    /// Whether this worker is well enough for such sessions. What it could not launch a moment
    /// ago, another may.
    pub fn set_ailing(&mut self, id: &WorkerId, served: Served, ailing: bool) {
        self.change(id, |entry| match ailing {
            true => drop(entry.ailing.insert(served)),
            false => drop(entry.ailing.remove(&served)),
        });
    }

    /// The worker that would be chosen now.
    pub fn choose(&self, kind: BrowserKind, version: PlaywrightVersion) -> Option<&WorkerId> {
        let (Reverse(free), _, id) = self.ranks.get(&(kind, version))?.first()?;
        (*free > 0).then_some(id)
    }

    /// Slots that are free for such a session, over all workers.
    pub fn free(&self, kind: BrowserKind, version: PlaywrightVersion) -> usize {
        self.free.get(&(kind, version)).copied().unwrap_or_default()
    }

    /// Sessions that are on their way to a worker.
    pub fn pending(&self) -> usize {
        self.workers.values().map(|entry| entry.pending).sum()
    }

    /// Slots for which somebody may be called. None while all that are free are being tried, be it
    /// for another browser of the same worker: who is called then could only come back.
    pub fn to_try(&self, served: Served) -> usize {
        match self.choose(served.0, served.1) {
            Some(_) => self.free(served.0, served.1),
            None => 0,
        }
    }

    /// Workers that take such sessions, free or not.
    pub fn serving(&self, served: Served) -> usize {
        self.ranks.get(&served).map_or(0, BTreeSet::len)
    }

    /// Whether another worker takes such sessions, free or not.
    pub fn has_another(&self, id: &WorkerId, served: Served) -> bool {
        self.ranks.get(&served).is_some_and(|set| set.iter().any(|(.., other)| other != id))
    }

    /// Every browser and version that some worker serves, in order.
    pub fn served(&self) -> Vec<Served> {
        let mut served: Vec<_> = self.ranks.keys().copied().collect();
        served.sort_unstable();
        served
    }

    /// One worker.
    pub fn worker(&self, id: &WorkerId) -> Option<&Advert> {
        self.workers.get(id).map(|entry| &*entry.advert)
    }

    /// Every worker, in no order.
    pub fn workers(&self) -> impl Iterator<Item = &Advert> {
        self.workers.values().map(|entry| &*entry.advert)
    }

    fn change(&mut self, id: &WorkerId, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.take(id) {
            change(&mut entry);
            self.put(entry);
        }
    }

    fn put(&mut self, entry: Entry) {
        for served in entry.standing_for() {
            self.ranks.entry(served).or_default().insert(entry.rank());
            *self.free.entry(served).or_default() += entry.advert.free();
        }
        self.workers.insert(entry.advert.id.clone(), entry);
    }

    fn take(&mut self, id: &WorkerId) -> Option<Entry> {
        let old = self.workers.remove(id)?;
        for served in old.standing_for() {
            if let Some(set) = self.ranks.get_mut(&served) {
                if set.remove(&old.rank()) {
                    *self.free.entry(served).or_default() -= old.advert.free();
                }
                if set.is_empty() {
                    self.ranks.remove(&served);
                    self.free.remove(&served);
                }
            }
        }
        Some(old)
    }
}

/// Whether both have the same place in the order of choice.
fn stand_alike(one: &Advert, other: &Advert) -> bool {
    let place = |advert: &Advert| (advert.free(), advert.lifetime, advert.draining);
    place(one) == place(other) && one.serves == other.serves
}

#[cfg(test)]
mod tests {
    use super::*;

    const V65: PlaywrightVersion = PlaywrightVersion { major: 1, minor: 65 };
    const CHROMIUM: BrowserKind = BrowserKind::Chromium;
    const SERVED: Served = (CHROMIUM, V65);

    fn advert(id: &str, used: usize, lifetime: u64) -> Advert {
        let id = WorkerId(id.to_owned());
        Advert { id, slots: 5, used, lifetime, serves: vec![SERVED], ..Advert::default() }
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

    #[test]
    fn sessions_on_their_way_spread_over_the_workers() {
        let mut fleet = Fleet::default();
        fleet.update(advert("a", 3, 0));
        fleet.update(advert("b", 3, 0));
        let claimed: Vec<_> = std::iter::from_fn(|| fleet.claim(SERVED)).map(|id| id.0).collect();
        assert_eq!(claimed, ["a", "b", "a", "b"]);
        assert_eq!(fleet.free(CHROMIUM, V65), 4, "only a worker's word takes a slot");
        fleet.settle(&WorkerId("b".into()));
        assert_eq!(fleet.claim(SERVED), Some(WorkerId("b".into())));
    }

    #[test]
    fn a_worker_that_cannot_launch_a_browser_is_passed_over_for_that_browser() {
        let mut fleet = Fleet::default();
        let firefox = (BrowserKind::Firefox, V65);
        fleet.update(Advert { serves: vec![SERVED, firefox], ..advert("a", 0, 0) });
        fleet.set_ailing(&WorkerId("a".into()), firefox, true);
        assert_eq!((fleet.free(firefox.0, V65), fleet.serving(firefox)), (0, 0));
        assert_eq!(chosen(&fleet), Some("a"));
        fleet.update(Advert { serves: vec![SERVED, firefox], ..advert("a", 1, 1) });
        assert_eq!(fleet.serving(firefox), 0, "it ails until somebody says otherwise");
        fleet.set_ailing(&WorkerId("a".into()), firefox, false);
        assert_eq!(fleet.free(firefox.0, V65), 4);
    }

    proptest::proptest! {
        #[test]
        fn the_index_agrees_with_a_search(
            updates in proptest::collection::vec((0u8..20, 0usize..7, 0u64..4, 0u8..6), 1..80)
        ) {
            let mut fleet = Fleet::default();
            for (id, used, lifetime, what) in updates {
                let advert = Advert { draining: what == 1, ..advert(&id.to_string(), used, lifetime) };
                let id = advert.id.clone();
                match what {
                    0 => fleet.remove(&id),
                    2 => drop(fleet.claim(SERVED)),
                    3 => fleet.settle(&id),
                    4 => fleet.set_ailing(&id, SERVED, used > 3),
                    _ => fleet.update(advert),
                }
                let standing = || fleet.workers.values().filter(|e| e.standing_for().count() > 0);
                let best = standing().map(Entry::rank).min().filter(|r| r.0.0 > 0).map(|r| r.2);
                proptest::prop_assert_eq!(fleet.choose(CHROMIUM, V65).cloned(), best);
                let free: usize = standing().map(|e| e.advert.free()).sum();
                proptest::prop_assert_eq!(fleet.free(CHROMIUM, V65), free);
            }
        }
    }
}
