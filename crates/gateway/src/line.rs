//! Waiting for a slot: the queue, and who may try next.
//!
//! A slot that the registry shows as free may be tried by one client at a time: whoever is called
//! gets a [`Permit`], and while it is held, one free slot fewer is counted. The worker's answer
//! settles it; a client whose slot was gone after all takes back its place in the queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_core::queue::{Full, Place};
use flotilla_core::refusal::Served;
use flotilla_core::turns::Turns;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How many slots are free for such a session, as far as is known.
type Free = Box<dyn Fn(Served) -> usize + Send + Sync>;

/// The line before the workers.
pub(crate) struct Line {
    free: Free,
    // A std mutex: held for queue operations, never across an await.
    turns: Mutex<Turns<Waiter>>,
}

struct Waiter {
    since: Instant,
    call: oneshot::Sender<Permit>,
}

/// The right to try for a free slot. Drop it when the worker has answered.
#[must_use]
pub struct Permit {
    line: Arc<Line>,
    served: Served,
    answered: Option<Answered>,
}

/// What else is to be done when the worker has answered.
type Answered = Box<dyn FnOnce() + Send>;

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
        Arc::new(Self { free, turns: Mutex::new(Turns::new(limit)) })
    }

    /// Comes into the line; nothing is taken yet.
    pub(crate) fn enter(self: &Arc<Self>, key: &str, served: Served) -> Stay {
        Stay { line: self.clone(), key: key.to_owned(), served, since: Instant::now(), place: None }
    }

    /// Calls everybody for whom a slot seems free now.
    pub(crate) fn call_next(self: &Arc<Self>) {
        loop {
            let called = self.turns().call(&self.free);
            let Some((served, waiter)) = called else { return };
            // Who has left meanwhile drops the permit, which gives the slot to the next.
            let _ = waiter.call.send(self.permit(served));
        }
    }

    /// How many wait, for each browser and version.
    pub(crate) fn waiting(&self) -> HashMap<Served, usize> {
        self.turns().waiting().collect()
    }

    /// How long the one has waited that came first.
    pub(crate) fn oldest_wait(&self) -> Duration {
        self.turns().oldest().map(|waiter| waiter.since.elapsed()).unwrap_or_default()
    }

    fn permit(self: &Arc<Self>, served: Served) -> Permit {
        Permit { line: self.clone(), served, answered: None }
    }

    fn turns(&self) -> MutexGuard<'_, Turns<Waiter>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
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
            let mut turns = self.line.turns();
            let free = (self.line.free)(self.served);
            let waiter = Waiter { since: self.since, call };
            if turns.enter(&self.key, &mut self.place, self.served, free, waiter)?.is_some() {
                return Ok(self.line.permit(self.served));
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
        self.place.map_or(0, |place| self.line.turns().ahead(&self.key, place))
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let left = self.line.turns().leave(&self.key, place);
            drop(left);
        }
    }
}

impl Permit {
    /// Has this done too when the worker has answered.
    pub(crate) fn and_then(mut self, answered: impl FnOnce() + Send + 'static) -> Self {
        self.answered = Some(Box::new(answered));
        self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(answered) = self.answered.take() {
            answered();
        }
        self.line.turns().answered(self.served);
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
        assert_eq!(line.turns().trying(), 0);
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
