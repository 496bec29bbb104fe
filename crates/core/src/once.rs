//! What is good once only, remembered for as long as it could come again.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;

/// Names of what has been here, each until a moment of a clock that never goes back.
#[derive(Debug)]
pub struct Once<K> {
    seen: HashSet<K>,
    /// The same by when they can be forgotten.
    forget: BTreeSet<(u64, K)>,
}

impl<K: Clone + Eq + Hash + Ord> Once<K> {
    /// Remembers nothing.
    pub fn new() -> Self {
        Self { seen: HashSet::new(), forget: BTreeSet::new() }
    }

    /// `true` for who comes for the first time, who is remembered until then.
    pub fn first(&mut self, key: K, until: u64) -> bool {
        let first = self.seen.insert(key.clone());
        if first {
            self.forget.insert((until, key));
        }
        first
    }

    /// Forgets who could not come again.
    pub fn forget(&mut self, now: u64) {
        while self.forget.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, key)) = self.forget.pop_first() {
                self.seen.remove(&key);
            }
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

impl<K: Clone + Eq + Hash + Ord> Default for Once<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_been_here_is_known_until_the_time_is_over() {
        let mut once = Once::new();
        assert!(once.first("a", 10));
        assert!(!once.first("a", 20), "and that does not make it good for longer");
        assert!(once.first("b", 30));
        once.forget(9);
        assert!(!once.first("a", 10));
        once.forget(10);
        assert_eq!(once.len(), 1);
        assert!(once.first("a", 40));
    }
}
