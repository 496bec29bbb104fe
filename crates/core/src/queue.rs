//! The queue for a slot: first come first served within a key, turns between keys, bounded.
//!
//! It decides only who is next. Deadlines and the waiting itself are the gateway's.

use std::collections::{HashMap, VecDeque};

use crate::mutant::{self, Mutant};

/// Who waits. Numbers are given in order of arrival and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// How many wait.
    pub waiting: usize,
    /// How many may.
    pub limit: usize,
}

/// A queue with turns between keys. `T` is what the owner keeps for each that waits.
#[derive(Debug)]
pub struct Queue<T> {
    limit: usize,
    next: u64,
    len: usize,
    /// Keys that have somebody waiting, in the order of their turns.
    turns: VecDeque<String>,
    lines: HashMap<String, VecDeque<(Place, T)>>,
}

impl<T> Queue<T> {
    /// An empty queue for `limit` at most.
    pub fn new(limit: usize) -> Self {
        Self { limit, next: 0, len: 0, turns: VecDeque::new(), lines: HashMap::new() }
    }

    /// Joins the end of the key's line.
    ///
    /// # Errors
    /// When the queue is full.
    pub fn join(&mut self, key: &str, waiter: T) -> Result<Place, Full> {
        if self.len >= self.limit {
            return Err(Full { waiting: self.len, limit: self.limit });
        }
        let place = self.reserve();
        self.line(key).push_back((place, waiter));
        self.len += 1;
        Ok(place)
    }

    /// A place behind everybody who has one, for who does not wait yet and may come to.
    pub fn reserve(&mut self) -> Place {
        let place = Place(self.next);
        self.next += 1;
        place
    }

    /// Takes back the place that this waiter had: it was called, but the slot was gone.
    pub fn rejoin(&mut self, key: &str, place: Place, waiter: T) {
        let line = self.line(key);
        let mut at = line.partition_point(|(other, _)| *other < place);
        if mutant::is(Mutant::ForgetAPlace) {
            at = line.len();
        }
        line.insert(at, (place, waiter));
        self.len += 1;
    }

    /// Who is next: the first that fits, of the first key in turn that has one.
    pub fn call(&mut self, mut fits: impl FnMut(&T) -> bool) -> Option<(Place, T)> {
        let (turn, at) = self.turns.iter().enumerate().find_map(|(turn, key)| {
            let at = self.lines.get(key)?.iter().position(|(_, waiter)| fits(waiter))?;
            Some((turn, at))
        })?;
        let key = self.turns.remove(turn)?;
        let line = self.lines.get_mut(&key)?;
        let called = line.remove(at)?;
        self.len -= 1;
        if line.is_empty() {
            self.lines.remove(&key);
        } else if mutant::is(Mutant::KeepTheTurn) {
            self.turns.push_front(key);
        } else {
            self.turns.push_back(key);
        }
        Some(called)
    }

    /// Leaves the queue; `None` when already called.
    pub fn leave(&mut self, key: &str, place: Place) -> Option<T> {
        let line = self.lines.get_mut(key)?;
        let at = line.iter().position(|(other, _)| *other == place)?;
        let (_, waiter) = line.remove(at)?;
        self.len -= 1;
        if line.is_empty() {
            self.lines.remove(key);
            self.turns.retain(|other| other != key);
        }
        Some(waiter)
    }

    /// How many of the same key are ahead of this place.
    pub fn ahead(&self, key: &str, place: Place) -> usize {
        self.lines.get(key).map_or(0, |line| line.partition_point(|(other, _)| *other < place))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many may wait.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// All that wait, in no order between keys.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.lines.values().flatten().map(|(_, waiter)| waiter)
    }

    fn line(&mut self, key: &str) -> &mut VecDeque<(Place, T)> {
        if !self.lines.contains_key(key) {
            self.turns.push_back(key.to_owned());
        }
        self.lines.entry(key.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(queue: &mut Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.call(|_| true).map(|(_, waiter)| waiter)).collect()
    }

    #[test]
    fn one_key_is_served_in_order_of_arrival() {
        let mut queue = Queue::new(10);
        for n in 0..5 {
            queue.join("a", n).unwrap();
        }
        assert_eq!(calls(&mut queue), [0, 1, 2, 3, 4]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_flood_of_one_key_delays_another_by_one_turn() {
        let mut queue = Queue::new(100);
        for n in 0..50 {
            queue.join("flood", n).unwrap();
        }
        queue.join("other", 99).unwrap();
        assert_eq!(calls(&mut queue)[..3], [0, 99, 1]);
    }

    #[test]
    fn the_queue_is_bounded_and_says_so() {
        let mut queue = Queue::new(1);
        queue.join("a", 1).unwrap();
        assert_eq!(queue.join("b", 2), Err(Full { waiting: 1, limit: 1 }));
    }

    #[test]
    fn who_leaves_is_not_called_and_who_rejoins_has_its_old_place() {
        let mut queue = Queue::new(10);
        let first = queue.join("a", 1).unwrap();
        let second = queue.join("a", 2).unwrap();
        queue.join("a", 3).unwrap();
        assert_eq!(queue.ahead("a", second), 1);
        assert_eq!(queue.leave("a", second), Some(2));
        assert_eq!(queue.leave("a", second), None);
        let (place, waiter) = queue.call(|_| true).unwrap();
        assert_eq!((place, waiter), (first, 1));
        queue.rejoin("a", place, waiter);
        assert_eq!(calls(&mut queue), [1, 3]);
    }

    #[test]
    fn who_cannot_be_served_now_does_not_hold_up_the_others() {
        let mut queue = Queue::new(10);
        for n in [1, 2, 3] {
            queue.join("a", n).unwrap();
        }
        assert_eq!(queue.call(|n| n % 2 == 0).unwrap().1, 2);
        assert_eq!(queue.call(|n| *n > 5), None);
        assert_eq!(calls(&mut queue), [1, 3]);
    }

    proptest::proptest! {
        #[test]
        fn nobody_is_lost_and_a_key_keeps_its_order(ops in proptest::collection::vec((0u8..3, 0u8..4), 1..200)) {
            let mut queue = Queue::new(30);
            let (mut waiting, mut at) = (std::collections::BTreeMap::<String, Vec<(Place, u32)>>::new(), 0);
            for (op, key) in ops {
                let key = key.to_string();
                match op {
                    0 => if let Ok(place) = queue.join(&key, at) {
                        waiting.entry(key).or_default().push((place, at));
                        at += 1;
                    },
                    1 => if let Some((_, waiter)) = queue.call(|_| true) {
                        let line = waiting.values_mut().find(|l| l.first().is_some_and(|w| w.1 == waiter));
                        line.expect("called out of order").remove(0);
                    },
                    _ => if let Some((place, waiter)) = waiting.get(&key).and_then(|l| l.last()).copied() {
                        proptest::prop_assert_eq!(queue.leave(&key, place), Some(waiter));
                        waiting.get_mut(&key).expect("there").pop();
                    },
                }
                proptest::prop_assert_eq!(queue.len(), waiting.values().map(Vec::len).sum::<usize>());
            }
        }
    }
}
