//! Whose turn it is to try for a free slot: the queue, and how many try already.
//!
//! A slot that seems free may be tried by one client at a time: who is called counts as trying
//! until it has been answered. A client whose slot was gone after all takes back its place.

use std::collections::HashMap;

use crate::queue::{Full, Place, Queue};
use crate::refusal::Served;

/// The line before the workers. `T` is what the owner keeps for each that waits.
#[derive(Debug)]
pub struct Turns<T> {
    queue: Queue<Served, T>,
    trying: HashMap<Served, usize>,
}

impl<T> Turns<T> {
    /// A line for `limit` at most.
    pub fn new(limit: usize) -> Self {
        Self { queue: Queue::new(limit), trying: HashMap::new() }
    }

    /// Whether a newcomer may try at once: nobody waits before it, and a slot seems free. If so,
    /// it counts as trying from now on.
    pub fn try_at_once(&mut self, served: Served, free: usize) -> bool {
        let may = self.queue.is_empty() && self.is_free(served, free);
        if may {
            self.begin(served);
        }
        may
    }

    /// Joins the line.
    ///
    /// # Errors
    /// When it is full.
    pub fn join(&mut self, key: &str, served: Served, waiter: T) -> Result<Place, Full> {
        self.queue.join(key, served, waiter)
    }

    /// Takes back the place that this one had before it was called.
    pub fn rejoin(&mut self, key: &str, place: Place, served: Served, waiter: T) {
        self.queue.rejoin(key, place, served, waiter);
    }

    /// Leaves the line; `None` when already called.
    pub fn leave(&mut self, key: &str, place: Place) -> Option<T> {
        self.queue.leave(key, place)
    }

    /// The next for whom a slot seems free, given how many are. It counts as trying.
    pub fn call(&mut self, free: impl Fn(Served) -> usize) -> Option<(Served, T)> {
        let trying = &self.trying;
        let fits = |served| free(served) > trying.get(&served).copied().unwrap_or(0);
        let (_, served, waiter) = self.queue.call(fits)?;
        self.begin(served);
        Some((served, waiter))
    }

    /// One that tried has been answered.
    pub fn answered(&mut self, served: Served) {
        if let Some(trying) = self.trying.get_mut(&served) {
            *trying = trying.saturating_sub(1);
        }
    }

    /// How many of the same key are ahead of this place.
    pub fn ahead(&self, key: &str, place: Place) -> usize {
        self.queue.ahead(key, place)
    }

    /// How many wait for what.
    pub fn waiting(&self) -> impl Iterator<Item = (Served, usize)> {
        self.queue.waiting()
    }

    /// The one that came first.
    pub fn oldest(&self) -> Option<&T> {
        self.queue.oldest()
    }

    /// How many try now.
    pub fn trying(&self) -> usize {
        self.trying.values().sum()
    }

    fn is_free(&self, served: Served, free: usize) -> bool {
        free > self.trying.get(&served).copied().unwrap_or(0)
    }

    fn begin(&mut self, served: Served) {
        *self.trying.entry(served).or_default() += 1;
    }
}
