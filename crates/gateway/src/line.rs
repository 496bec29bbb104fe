//! Waiting for a slot: the queue, and who may try next.
//!
//! A slot that the registry shows as free may be tried by one client at a time: whoever is called
//! gets a [`Permit`], and while it is held, one free slot fewer is counted. The worker's answer
//! settles it; a client whose slot was gone after all takes back its place in the queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_core::queue::{Full, Place, Queue};
use flotilla_core::refusal::Served;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How many slots are free for such a session, as far as is known.
type Free = Box<dyn Fn(Served) -> usize + Send + Sync>;

/// The line before the workers.
pub(crate) struct Line {
    free: Free,
    // A std mutex: held for queue operations, never across an await.
    state: Mutex<State>,
}

struct State {
    queue: Queue<Waiter>,
    trying: HashMap<Served, usize>,
}

struct Waiter {
    served: Served,
    since: Instant,
    call: oneshot::Sender<Permit>,
}

/// The right to try for a free slot. Drop it when the worker has answered.
#[must_use]
pub struct Permit {
    line: Arc<Line>,
    served: Served,
}

/// One client's stay in the line, across several tries.
pub(crate) struct Stay {
    line: Arc<Line>,
    key: String,
    served: Served,
    since: Instant,
    place: Option<Place>,
}

impl Line {
    pub(crate) fn new(limit: usize, free: Free) -> Arc<Self> {
        let state = State { queue: Queue::new(limit), trying: HashMap::new() };
        Arc::new(Self { free, state: Mutex::new(state) })
    }

    /// Comes into the line; nothing is taken yet.
    pub(crate) fn enter(self: &Arc<Self>, key: &str, served: Served) -> Stay {
        Stay { line: self.clone(), key: key.to_owned(), served, since: Instant::now(), place: None }
    }

    /// Calls everybody for whom a slot seems free now.
    pub(crate) fn call_next(self: &Arc<Self>) {
        loop {
            let mut state = self.lock();
            let State { queue, trying } = &mut *state;
            let called = queue.call(|waiter| self.is_free(trying, waiter.served));
            let Some((_, waiter)) = called else { return };
            let permit = self.permit(&mut state, waiter.served);
            drop(state);
            // Who has left meanwhile drops the permit, which gives the slot to the next.
            let _ = waiter.call.send(permit);
        }
    }

    /// How many wait, for each browser and version.
    pub(crate) fn waiting(&self) -> HashMap<Served, usize> {
        self.lock().queue.iter().fold(HashMap::new(), |mut counts, waiter| {
            *counts.entry(waiter.served).or_default() += 1;
            counts
        })
    }

    /// How long the one has waited that came first.
    pub(crate) fn oldest_wait(&self) -> Duration {
        self.lock().queue.iter().map(|waiter| waiter.since.elapsed()).max().unwrap_or_default()
    }

    fn is_free(&self, trying: &HashMap<Served, usize>, served: Served) -> bool {
        (self.free)(served) > trying.get(&served).copied().unwrap_or_default()
    }

    fn permit(self: &Arc<Self>, state: &mut State, served: Served) -> Permit {
        *state.trying.entry(served).or_default() += 1;
        Permit { line: self.clone(), served }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stay {
    /// Waits for its turn. Called again, it has the place that it had before.
    ///
    /// # Errors
    /// When the queue is full; the caller holds the deadline.
    pub(crate) async fn turn(&mut self) -> Result<Permit, Full> {
        let (call, called) = oneshot::channel();
        {
            let mut state = self.line.lock();
            let at_once = self.place.is_none()
                && state.queue.is_empty()
                && self.line.is_free(&state.trying, self.served);
            if at_once {
                return Ok(self.line.permit(&mut state, self.served));
            }
            let waiter = Waiter { served: self.served, since: self.since, call };
            match self.place {
                Some(place) => state.queue.rejoin(&self.key, place, waiter),
                None => self.place = Some(state.queue.join(&self.key, waiter)?),
            }
        }
        self.line.call_next();
        // The sender lives in the queue until it is called, and the queue as long as this stay.
        called.await.map_err(|_| Full { waiting: 0, limit: 0 })
    }

    /// How long it has been here.
    pub(crate) fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    /// How many of its own key are before it.
    pub(crate) fn ahead(&self) -> usize {
        self.place.map_or(0, |place| self.line.lock().queue.ahead(&self.key, place))
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let left = self.line.lock().queue.leave(&self.key, place);
            drop(left);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        if let Some(trying) = state.trying.get_mut(&self.served) {
            *trying = trying.saturating_sub(1);
        }
        drop(state);
        self.line.call_next();
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("served", &self.served).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use flotilla_core::{BrowserKind, PlaywrightVersion};

    use super::*;

    const SERVED: Served = (BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 });

    fn line(limit: usize, free: &Arc<AtomicUsize>) -> Arc<Line> {
        let free = free.clone();
        Line::new(limit, Box::new(move |_| free.load(Ordering::SeqCst)))
    }

    #[tokio::test]
    async fn a_free_slot_is_tried_by_one_at_a_time_in_order() {
        let free = Arc::new(AtomicUsize::new(1));
        let line = line(10, &free);
        let first = line.enter("", SERVED).turn().await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for n in 0..5 {
            let mut stay = line.enter("", SERVED);
            let order = order.clone();
            tasks.push(tokio::spawn(async move {
                let permit = stay.turn().await.unwrap();
                order.lock().unwrap().push(n);
                drop(permit);
            }));
            while line.waiting().get(&SERVED).copied().unwrap_or_default() < n + 1 {
                tokio::task::yield_now().await;
            }
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
        assert!(line.lock().trying.values().all(|n| *n == 0));
    }

    #[tokio::test]
    async fn who_finds_the_slot_gone_keeps_its_place() {
        let free = Arc::new(AtomicUsize::new(1));
        let line = line(10, &free);
        let holder = line.enter("", SERVED).turn().await.unwrap();
        let mut early = line.enter("", SERVED);
        let mut late = line.enter("", SERVED);
        {
            let mut early_turn = Box::pin(early.turn());
            assert!(futures_poll(&mut early_turn).is_none());
            let mut late_turn = Box::pin(late.turn());
            assert!(futures_poll(&mut late_turn).is_none());
            drop(holder);
            let permit = futures_poll(&mut early_turn).expect("called").unwrap();
            free.store(0, Ordering::SeqCst);
            drop(permit);
            assert!(futures_poll(&mut late_turn).is_none());
            drop(late_turn);
        }
        assert_eq!(late.ahead(), 0);
        let mut again = Box::pin(early.turn());
        assert!(futures_poll(&mut again).is_none());
        free.store(1, Ordering::SeqCst);
        line.call_next();
        assert!(futures_poll(&mut again).is_some());
    }

    #[tokio::test]
    async fn the_line_is_bounded_and_forgets_who_leaves() {
        let free = Arc::new(AtomicUsize::new(0));
        let line = line(1, &free);
        let mut stay = line.enter("", SERVED);
        let mut turn = Box::pin(stay.turn());
        assert!(futures_poll(&mut turn).is_none());
        assert_eq!(line.enter("", SERVED).turn().await.unwrap_err(), Full { waiting: 1, limit: 1 });
        drop(turn);
        drop(stay);
        assert!(line.waiting().is_empty());
    }

    /// Polls once.
    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
