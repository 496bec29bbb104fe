//! A worker: the production's gate, pool, board and cadence, and around them what its tasks do.

mod browsers;
mod herald;
mod visits;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_core::advert::{Advert, BrowserCount};
use flotilla_core::board::Board;
use flotilla_core::book::Book;
use flotilla_core::cadence::Cadence;
use flotilla_core::ending::{EndCause, Ending};
use flotilla_core::launcher::BrowserId;
use flotilla_core::pool::{Effect, Moment, Pool};
use flotilla_core::ticket::Gate;
use flotilla_core::{Instance, SessionId, WorkerId};

use crate::history::{Fact, Sid};
use crate::msg::{Msg, Order};
use crate::net::ConnId;
use crate::setup::WorkerSetup;
use crate::world::{Heard, Me, Name, Timer, World};

use browsers::Chrome;
use herald::Herald;
use visits::{Stage, Visit};

pub(crate) struct Worker {
    me: Me,
    setup: WorkerSetup,
    id: WorkerId,
    pub(crate) instance: Instance,
    gate: Gate,
    pool: Pool,
    board: Board,
    herald: Herald,
    visits: BTreeMap<ConnId, Visit>,
    /// Whose session is whose connection.
    sessions: BTreeMap<SessionId, ConnId>,
    browsers: BTreeMap<BrowserId, Chrome>,
    launching: BTreeSet<BrowserId>,
    book: Book<ConnId>,
    /// Sessions that held a slot when last looked at.
    holding: BTreeSet<SessionId>,
    wakes_at: Option<Moment>,
    stopping: bool,
    /// True when the process has nothing left to do.
    pub(crate) done: bool,
}

/// The name under which this worker is known: a second one may have it too.
pub(crate) fn id(name: Name) -> WorkerId {
    WorkerId(format!("w{}", name.number % 100))
}

impl Worker {
    pub(crate) fn start(me: Me, world: &mut World, endpoint: &str) -> Self {
        world.listen(me, endpoint);
        let setup = world.setup.worker(me.name).clone();
        let (id, instance) = (id(me.name), Instance(format!("{:?}-{}", me.name, me.life)));
        let wall = world.wall.get(&world.procs[&me.name].host).copied().unwrap_or_default();
        let started_at = (1_700_000_000 + wall).unsigned_abs() + world.now.as_secs();
        let identity = Advert {
            id: id.clone(),
            instance: instance.clone(),
            endpoint: endpoint.to_owned(),
            started_at,
            ..Advert::default()
        };
        let mut worker = Self {
            me,
            gate: Gate::new(id.clone(), instance.clone()),
            pool: Pool::new(setup.limits.clone()),
            board: Board::new(identity),
            herald: Herald::new(Cadence::new(world.setup.timing.heartbeat)),
            visits: BTreeMap::new(),
            sessions: BTreeMap::new(),
            browsers: BTreeMap::new(),
            launching: BTreeSet::new(),
            book: Book::new(),
            holding: BTreeSet::new(),
            wakes_at: None,
            stopping: false,
            done: false,
            setup,
            id,
            instance,
        };
        if let Some(tenant) = worker.setup.keep_ready.clone() {
            let (kind, version) = worker.setup.serves[0];
            worker.pool.keep_ready(kind, version, &tenant, Moment::ZERO);
        }
        worker.carry_out(world);
        worker
    }

    pub(crate) fn heard(&mut self, world: &mut World, conn: ConnId, heard: Heard) {
        if self.herald.is(conn) {
            return self.redis_heard(world, conn, heard);
        }
        match heard {
            Heard::Accepted => {}
            Heard::Said(msg) => self.said(world, conn, msg),
            Heard::Eof | Heard::Reset => self.part(world, conn, EndCause::ClientLost),
            Heard::Connected | Heard::Refused => {}
        }
        self.carry_out(world);
    }

    fn said(&mut self, world: &mut World, conn: ConnId, msg: Msg) {
        match msg {
            Msg::Session { ticket } => self.take(world, conn, &ticket),
            Msg::Hello { nonce } => self.prove(world, conn, &nonce),
            Msg::Close { .. } => self.part(world, conn, EndCause::ClientClose),
            Msg::Ping => world.send(self.me, conn, Msg::Pong),
            Msg::Order(order) => {
                self.obey(world, order);
                world.close(self.me, conn);
            }
            _ => {}
        }
    }

    pub(crate) fn due(&mut self, world: &mut World, timer: Timer) {
        let now = self.now(world);
        match timer {
            Timer::Look => {
                self.wakes_at = None;
                self.pool.tick(now);
            }
            Timer::Launched(browser) => self.launch_over(world, &browser),
            Timer::Exited(browser, died) => self.browser_exits(world, &browser, died),
            Timer::Disposed(conn) => self.disposed(world, conn),
            Timer::Dialled(conn) => self.dialled(world, conn),
            Timer::Ping(conn) => self.look_after(world, conn),
            Timer::Limit(conn) => self.over_limit(world, conn),
            Timer::Tell => self.tell_if_due(world),
            Timer::TellLate(told) => self.tell_late(world, told),
            Timer::DrainOver => self.drain_over(world),
            _ => {}
        }
        self.carry_out(world);
    }

    fn now(&self, world: &World) -> Moment {
        world.uptime(self.me)
    }

    fn obey(&mut self, world: &mut World, order: Order) {
        let now = self.now(world);
        if self.stopping {
            return;
        }
        world.note(Fact::Ordered { worker: self.me, order: order.clone() });
        match order {
            Order::Drain => {
                world.note(Fact::Draining { who: self.me });
                self.pool.drain(now);
            }
            Order::Undrain => {
                world.note(Fact::Undrained { worker: self.me });
                self.pool.undrain(now);
            }
            Order::EndOldest => self.end_oldest(world),
            Order::Stop => {
                world.note(Fact::Draining { who: self.me });
                self.stopping = true;
                self.pool.drain(now);
                world.after(self.me, world.setup.timing.drain_timeout, Timer::DrainOver);
            }
        }
    }

    fn end_oldest(&mut self, world: &mut World) {
        let live = self.pool.sessions().filter(|held| !held.releasing);
        let oldest = live.min_by_key(|held| (held.since, held.session)).map(|h| h.session.clone());
        let Some(session) = oldest else { return };
        let reason = "Flotilla: an operator ended this session".to_owned();
        let ending = Ending { cause: EndCause::Operator, code: 4000, reason };
        self.note_order(world, &session);
        self.pool.end(&session, &ending);
    }

    fn drain_over(&mut self, world: &mut World) {
        let live = self.pool.sessions().filter(|held| !held.releasing);
        let live: Vec<_> = live.map(|held| held.session.clone()).collect();
        live.iter().for_each(|session| self.note_order(world, session));
        self.pool.end_all(&Ending::drained());
    }

    fn note_order(&self, world: &mut World, session: &SessionId) {
        if let Some(conn) = self.sessions.get(session).copied() {
            let session = Sid::of(session);
            world.note(Fact::EndOrdered { worker: self.me, conn, session });
        }
    }

    /// Carries out the pool's decisions, says what changed, and goes when it is done.
    fn carry_out(&mut self, world: &mut World) {
        // Carrying one out may bring about others.
        loop {
            let effects = self.pool.take_effects();
            if effects.is_empty() {
                break;
            }
            effects.into_iter().for_each(|effect| self.perform(world, effect));
        }
        self.note_free(world);
        if self.board.post(&self.advert()) {
            self.herald.cadence.changed();
        }
        self.plan_tell(world);
        self.plan_wake(world);
        if self.stopping && self.pool.drained() && !self.done {
            self.done = true;
            self.say_goodbye(world);
        }
    }

    fn perform(&mut self, world: &mut World, effect: Effect) {
        match effect {
            Effect::Launch { browser, .. } => self.launch(world, browser),
            Effect::Close { browser } => self.close_browser(world, browser),
            Effect::Release { session, .. } => self.dispose(world, &session),
            Effect::Grant { session, browser } => self.granted(world, &session, browser),
            Effect::Refuse { session, why } => self.refused(world, &session, &why),
            Effect::End { session, ending } => self.ended(world, &session, ending),
            Effect::Gone { .. } => {}
        }
    }

    /// What the worker says of itself.
    fn advert(&self) -> Advert {
        let mut browsers = self.pool.browsers().map(|(_, browser)| browser).peekable();
        let starting = browsers.peek().is_some() && browsers.all(|browser| browser.is_coming());
        let counts: Vec<BrowserCount> = self.pool.counts();
        Advert {
            slots: self.pool.slots(),
            used: self.pool.used(),
            lifetime: self.pool.admitted_ever(),
            starting: starting && self.pool.admitted_ever() == 0,
            draining: self.pool.is_draining(),
            serves: self.setup.serves.clone(),
            browsers: counts,
            ..Advert::default()
        }
    }

    /// The advert as of now, signed.
    fn sealed(&self, world: &World) -> String {
        self.board.read(self.now(world)).seal(&world.keyring)
    }

    fn note_free(&mut self, world: &mut World) {
        let now: BTreeSet<_> = self.pool.sessions().map(|held| held.session.clone()).collect();
        for session in self.holding.difference(&now) {
            let session = Sid::of(session);
            world.note(Fact::SlotFree { worker: self.me, session });
        }
        self.holding = now;
    }

    fn plan_wake(&mut self, world: &mut World) {
        let now = self.now(world);
        let Some(at) = self.pool.next_wake(now) else { return };
        if self.wakes_at.is_none_or(|planned| planned > at || planned <= now) {
            self.wakes_at = Some(at);
            world.after(self.me, at - now, Timer::Look);
        }
    }

    pub(crate) fn rest(&self, world: &mut World) {
        let (used, draining) = (self.pool.used(), self.pool.is_draining());
        let visits = self.visits.len();
        let what = format!("{used} slots used, {visits} visits, draining: {draining}");
        let ok = used == 0 && visits == 0 && !draining && self.book.is_empty();
        world.note(Fact::Rest { who: self.me, what, ok });
    }

    /// A browser's process that the seed picks.
    pub(crate) fn some_browser(&self, number: u64) -> Option<BrowserId> {
        let at = number as usize % self.browsers.len().max(1);
        self.browsers.keys().nth(at).cloned()
    }

    pub(crate) fn all_browsers(&self) -> Vec<BrowserId> {
        self.browsers.keys().cloned().collect()
    }

    fn stage(&self, conn: ConnId) -> Option<&Stage> {
        self.visits.get(&conn).map(|visit| &visit.stage)
    }
}
