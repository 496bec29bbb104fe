//! The queue for a slot: first come first served within a key, turns between keys, bounded.
//!
//! It decides only who is next. Deadlines and the waiting itself are the gateway's.

mod line;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use line::Line;

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

/// A queue with turns between keys. `W` is what somebody waits for, of which there are few; `T` is
/// what the owner keeps for each that waits.
///
/// Whoever waits for the same with the same key stands in one line, so that a call looks at the
/// heads of lines only: it comes with every change of the fleet, and thousands may wait.
#[derive(Debug)]
pub struct Queue<W, T> {
    limit: usize,
    next: u64,
    len: usize,
    /// Keys that have somebody waiting, in the order of their turns.
    turns: VecDeque<String>,
    lines: HashMap<String, Line<W, T>>,
    /// How many wait for each.
    waiting: HashMap<W, usize>,
}

// === impl Queue ===

impl<W: Copy + Eq + Hash, T> Queue<W, T> {
    /// An empty queue for `limit` at most.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            next: 0,
            len: 0,
            turns: VecDeque::new(),
            lines: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// Joins the end of the key's line.
    ///
    /// # Errors
    /// When the queue is full.
    pub fn join(&mut self, key: &str, what: W, waiter: T) -> Result<Place, Full> {
        if self.len >= self.limit {
            return Err(Full { waiting: self.len, limit: self.limit });
        }
        let place = self.reserve();
        self.rejoin(key, place, what, waiter);
        Ok(place)
    }

    /// A place behind everybody who has one, for who does not wait yet and may come to.
    pub fn reserve(&mut self) -> Place {
        let place = Place(self.next);
        self.next += 1;
        place
    }

    /// Takes back the place that this waiter had: it was called, but the slot was gone.
    pub fn rejoin(&mut self, key: &str, place: Place, what: W, waiter: T) {
        if !self.lines.contains_key(key) {
            self.turns.push_back(key.to_owned());
        }
        self.lines.entry(key.to_owned()).or_default().insert(place, what, waiter);
        *self.waiting.entry(what).or_default() += 1;
        self.len += 1;
    }

    /// Who is next: the first whose wish can be granted, of the first key in turn that has one.
    pub fn call(&mut self, mut can_be_had: impl FnMut(W) -> bool) -> Option<(Place, W, T)> {
        let had: Vec<W> = self.waiting.keys().copied().filter(|what| can_be_had(*what)).collect();
        if had.is_empty() {
            return None;
        }
        let (turn, place) = self.turns.iter().enumerate().find_map(|(turn, key)| {
            let place = self.lines.get(key)?.first(&had)?;
            Some((turn, place))
        })?;
        let key = self.turns.remove(turn)?;
        let (what, waiter) = self.take(&key, place)?;
        if self.lines.contains_key(&key) {
            self.turns.push_back(key);
        }
        Some((place, what, waiter))
    }

    /// Leaves the queue; `None` when already called.
    pub fn leave(&mut self, key: &str, place: Place) -> Option<T> {
        let (_, waiter) = self.take(key, place)?;
        if !self.lines.contains_key(key) {
            self.turns.retain(|other| other != key);
        }
        Some(waiter)
    }

    /// How many of the same key are ahead of this place.
    pub fn ahead(&self, key: &str, place: Place) -> usize {
        self.lines.get(key).map_or(0, |line| line.ahead(place))
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

    /// How many wait for what.
    pub fn waiting(&self) -> impl Iterator<Item = (W, usize)> {
        self.waiting.iter().map(|(what, waiting)| (*what, *waiting))
    }

    /// The one that came first.
    pub fn oldest(&self) -> Option<&T> {
        let firsts = self.lines.values().filter_map(Line::oldest);
        firsts.min_by_key(|(place, _)| *place).map(|(_, waiter)| waiter)
    }

    /// Takes one out of its line, and the line away when it was the last.
    fn take(&mut self, key: &str, place: Place) -> Option<(W, T)> {
        let line = self.lines.get_mut(key)?;
        let (what, waiter) = line.take(place)?;
        if line.is_empty() {
            self.lines.remove(key);
        }
        if let Some(waiting) = self.waiting.get_mut(&what) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(&what);
            }
        }
        self.len -= 1;
        Some((what, waiter))
    }
}
