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

    /// Comes to the line: for the first time, or back to the place that it has got then. Gives the
    /// waiter back if it may try at once, for nobody waits before it and a slot seems free; it
    /// counts as trying from now on.
    ///
    /// # Errors
    /// When the line is full.
    pub fn enter(
        &mut self,
        key: &str,
        place: &mut Option<Place>,
        served: Served,
        free: usize,
        waiter: T,
    ) -> Result<Option<T>, Full> {
        match *place {
            Some(place) => self.queue.rejoin(key, place, served, waiter),
            None if self.queue.is_empty() && self.is_free(served, free) => {
                // Should its slot turn out to be gone, it is before all who come from now on.
                *place = Some(self.queue.reserve());
                self.begin(served);
                return Ok(Some(waiter));
            }
            None => *place = Some(self.queue.join(key, served, waiter)?),
        }
        Ok(None)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::BrowserKind;
    use crate::version::PlaywrightVersion;

    const SERVED: Served = (BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 });

    #[test]
    fn who_tried_at_once_and_found_the_slot_gone_is_before_all_who_came_later() {
        let mut turns = Turns::new(10);
        let (mut first, mut second) = (None, None);
        assert_eq!(turns.enter("a", &mut first, SERVED, 1, "first"), Ok(Some("first")));
        assert_eq!(turns.enter("a", &mut second, SERVED, 1, "second"), Ok(None));
        turns.answered(SERVED);
        assert_eq!(turns.enter("a", &mut first, SERVED, 0, "first"), Ok(None));
        assert_eq!(turns.ahead("a", second.unwrap()), 1);
        assert_eq!(turns.call(|_| 1), Some((SERVED, "first")));
        assert_eq!(turns.call(|_| 1), None, "the slot is being tried");
        assert_eq!(turns.trying(), 1);
    }
}
