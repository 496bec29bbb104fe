//! One fake worker: its slots, its gate, its board.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flotilla_core::advert::BrowserCount;
use flotilla_core::board::Board;
use flotilla_core::keyring::{Purpose, SharedKeyring};
use flotilla_core::refusal::Served;
use flotilla_core::ticket::{Gate, Route, TicketError};
use flotilla_core::{Advert, BrowserKind, Instance, WorkerId};
use tokio::sync::watch;

use super::crowd::{CrowdConfig, Tally};

/// A worker without browsers.
#[derive(Debug)]
pub struct FakeWorker {
    board: Arc<Board>,
    news: watch::Sender<()>,
    started: Instant,
    keyring: SharedKeyring,
    slots: usize,
    serves: Vec<Served>,
    // A std mutex: held for a count, never across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    tally: Tally,
    /// Slots that sessions hold which there are not: as if they had come by other gateways.
    said: usize,
    draining: bool,
    /// When slots were given back.
    freed: Vec<Instant>,
}

/// A slot of a fake worker. Given back when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<FakeWorker>);

/// Why a session was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    Ticket(TicketError),
    Busy,
    Draining,
}

// === impl FakeWorker ===

impl FakeWorker {
    pub(super) fn new(
        at: usize,
        address: SocketAddr,
        config: &CrowdConfig,
        keyring: &SharedKeyring,
    ) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let identity = Advert {
            id: WorkerId(format!("fake-{at}")),
            instance: Instance(format!("{:016x}", since_1970.as_nanos() as u64)),
            started_at: since_1970.as_secs(),
            endpoint: address.to_string(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            ..Advert::default()
        };
        let state = State {
            gate: Gate::new(identity.id.clone(), identity.instance.clone()),
            tally: Tally::default(),
            said: 0,
            draining: false,
            freed: Vec::new(),
        };
        let worker = Self {
            board: Arc::new(Board::new(identity)),
            news: watch::Sender::new(()),
            started: Instant::now(),
            keyring: keyring.clone(),
            slots: config.slots,
            serves: config.serves.clone(),
            state: Mutex::new(state),
        };
        worker.post(&worker.state());
        worker
    }

    /// Where its newest advert hangs.
    pub fn board(&self) -> Arc<Board> {
        self.board.clone()
    }

    /// Wakes when there is something new on the board.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// The zero of its uptime.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// From now on it takes sessions for this many of its slots at most, as if other gateways'
    /// sessions held the others.
    pub fn leave_free(&self, free: usize) {
        let mut state = self.state();
        state.said = self.slots.saturating_sub(free);
        self.post(&state);
    }

    /// Takes no new sessions.
    pub fn drain(&self) {
        let mut state = self.state();
        state.draining = true;
        self.post(&state);
    }

    /// What it has been through.
    pub fn tally(&self) -> Tally {
        self.state().tally
    }

    /// When slots were given back since this was asked last.
    pub fn take_freed(&self) -> Vec<Instant> {
        std::mem::take(&mut self.state().freed)
    }

    /// The advert as of now, signed.
    pub(super) fn advert(&self) -> String {
        self.board.read(self.started.elapsed()).seal(&self.keyring.get())
    }

    /// The answer to a dial-back.
    pub(super) fn hello(&self, nonce: &str) -> String {
        let advert = self.advert();
        let said = format!("{nonce} {advert}");
        format!("{} {advert}", self.keyring.get().sign(Purpose::Proof, said.as_bytes()))
    }

    /// Takes a session, with a ticket for it.
    pub(super) fn take(self: &Arc<Self>, ticket: &str) -> Result<Slot, NotTaken> {
        let (keyring, uptime) = (self.keyring.get(), self.started.elapsed());
        let mut state = self.state();
        if let Err(error) = state.gate.take(&keyring, ticket, &[Route::Relayed], uptime) {
            state.tally.bad_tickets += 1;
            return Err(NotTaken::Ticket(error));
        }
        let full = state.tally.held + state.said >= self.slots;
        if full || state.draining {
            state.tally.refused += 1;
            return Err(if state.draining { NotTaken::Draining } else { NotTaken::Busy });
        }
        state.tally.admitted += 1;
        state.tally.held += 1;
        state.tally.most_held = state.tally.most_held.max(state.tally.held);
        self.post(&state);
        Ok(Slot(self.clone()))
    }

    fn post(&self, state: &State) {
        let used = state.tally.held + state.said;
        let lifetime = state.tally.admitted;
        let advert = Advert {
            slots: self.slots,
            used,
            lifetime,
            draining: state.draining,
            serves: self.serves.clone(),
            browsers: vec![BrowserCount { browser: BrowserKind::Chromium, active: used, lifetime }],
            ..Advert::default()
        };
        if self.board.post(&advert) {
            self.news.send_replace(());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Its worker's advert as of now.
    pub(super) fn advert(&self) -> String {
        self.0.advert()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.tally.held -= 1;
        state.freed.push(Instant::now());
        self.0.post(&state);
    }
}
