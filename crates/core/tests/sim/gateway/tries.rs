//! One try to bring a session to a worker: a claim, a ticket, a connection, an answer.

use std::time::Duration;

use flotilla_core::WorkerId;
use flotilla_core::advert::Advert;
use flotilla_core::attempt::{Next, NotOpened, Target};
use flotilla_core::refusal::Served;
use flotilla_core::ticket::Route;

use crate::history::{Fact, Slip};
use crate::msg::Msg;
use crate::net::ConnId;
use crate::world::{Heard, Timer, World};

use super::{Gateway, Phase, Try};

const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// What is added to a browser's own time for the way there and back.
const SLACK: Duration = Duration::from_secs(15);

/// The stages of a try that may take too long.
const CONNECTING: u32 = 1;
const ASKED: u32 = 2;
const ADMITTED: u32 = 3;

impl Gateway {
    /// It is this client's turn: it counts as trying already.
    pub(super) fn begin_try(&mut self, world: &mut World, conn: ConnId) {
        let now = self.now(world);
        let Some(guest) = self.guests.get_mut(&conn) else { return };
        let served = guest.served;
        let claimed = self.view.fleet_mut().claim(served);
        let Some(target) = claimed.and_then(|id| Target::of(&self.view, &id, now)) else {
            // Its slot is gone: back to its place.
            self.turns.answered(served);
            return self.wait(world, conn);
        };
        let limit = world.setup.timing.max_duration;
        let nonce = world.rng.next();
        let (session, demand) = (guest.session.clone(), guest.demand.clone());
        let ticket =
            target.ticket(session, demand, Route::Relayed, limit, nonce).seal(&world.keyring);
        let upstream = world.connect(self.me, &target.endpoint);
        guest.phase =
            Phase::Trying(Try { conn: upstream, target, ticket, connected: false, permit: true });
        self.upstreams.insert(upstream, conn);
        self.note_asked(world, conn, upstream);
        world.after(self.me, CONNECT_WITHIN, Timer::Late(upstream, CONNECTING));
        world.after(self.me, world.setup.timing.select_timeout, Timer::Late(upstream, ASKED));
    }

    fn note_asked(&self, world: &mut World, guest: ConnId, conn: ConnId) {
        let Some(Phase::Trying(tried)) = self.guests.get(&guest).map(|guest| &guest.phase) else {
            return;
        };
        let (session, ticket) = (self.session_of(guest), Slip::of(&tried.ticket));
        let (worker, instance) = (tried.target.worker.0.clone(), tried.target.instance.0.clone());
        let gateway = self.me;
        world.leaked.tickets.push(tried.ticket.clone());
        let (w, i) = (worker.clone(), instance.clone());
        world.note(Fact::Ticketed { gateway, session, ticket, worker: w, instance: i });
        world.note(Fact::Asked { gateway, guest, conn, worker, instance });
    }

    pub(super) fn worker_answers(&mut self, world: &mut World, guest: ConnId, heard: Heard) {
        match heard {
            Heard::Connected => self.ask(world, guest),
            Heard::Said(Msg::Processing { advert }) => self.processing(world, guest, &advert),
            Heard::Said(Msg::Switching) => self.opened(world, guest),
            Heard::Said(Msg::NotOpened { code, status, words, wait, advert }) => {
                if let Some(advert) = advert {
                    self.answered(world, &advert);
                }
                let not_opened = NotOpened::read(code, status, &words, wait);
                self.not_opened(world, guest, not_opened);
            }
            Heard::Refused => self.try_failed(world, guest, "connection refused"),
            Heard::Eof | Heard::Reset => self.try_failed(world, guest, "connection lost"),
            Heard::Said(_) | Heard::Accepted => {}
        }
    }

    fn ask(&mut self, world: &mut World, guest: ConnId) {
        let Some(Phase::Trying(tried)) = self.guests.get_mut(&guest).map(|g| &mut g.phase) else {
            return;
        };
        tried.connected = true;
        let (conn, ticket) = (tried.conn, tried.ticket.clone());
        world.send(self.me, conn, Msg::Session { ticket });
    }

    /// The worker has taken the session; its browser may take a while.
    fn processing(&mut self, world: &mut World, guest: ConnId, advert: &str) {
        self.answered(world, advert);
        let wait = world.setup.timing.launch_timeout + SLACK;
        if let Some(conn) = self.tried(guest).map(|tried| tried.conn) {
            world.after(self.me, wait, Timer::Late(conn, ADMITTED));
        }
        self.has_answered(world, guest);
    }

    /// Takes in what the worker says of itself in its answer.
    fn answered(&mut self, world: &mut World, advert: &str) {
        let now = self.now(world);
        if let Ok(advert) = Advert::open(&world.keyring, advert) {
            self.view.answered(advert, now);
            self.changed(world);
        }
    }

    /// The worker has answered: the client counts as trying no more.
    fn has_answered(&mut self, world: &mut World, guest: ConnId) {
        let Some(found) = self.guests.get_mut(&guest) else { return };
        let served = found.served;
        if let Phase::Trying(tried) = &mut found.phase
            && std::mem::take(&mut tried.permit)
        {
            let worker = tried.target.worker.clone();
            self.drop_permit(world, served, &worker);
        }
    }

    pub(super) fn drop_permit(&mut self, world: &mut World, served: Served, worker: &WorkerId) {
        self.view.fleet_mut().settle(worker);
        self.turns.answered(served);
        self.call_next(world);
    }

    fn tried(&self, guest: ConnId) -> Option<&Try> {
        match &self.guests.get(&guest)?.phase {
            Phase::Trying(tried) => Some(tried),
            _ => None,
        }
    }

    pub(super) fn try_late(&mut self, world: &mut World, guest: ConnId, conn: ConnId, stage: u32) {
        let Some(tried) = self.tried(guest).filter(|tried| tried.conn == conn) else { return };
        let late = match stage {
            CONNECTING => !tried.connected,
            ASKED => tried.permit,
            _ => true,
        };
        if late {
            self.try_failed(world, guest, "no answer came in time");
        }
    }

    fn try_failed(&mut self, world: &mut World, guest: ConnId, why: &str) {
        self.not_opened(world, guest, NotOpened::Failed(why.to_owned()));
    }

    fn not_opened(&mut self, world: &mut World, guest: ConnId, not_opened: NotOpened) {
        let Some(tried) = self.tried(guest) else { return };
        let (conn, target) = (tried.conn, tried.target.clone());
        let now = self.now(world);
        world.close(self.me, conn);
        self.upstreams.remove(&conn);
        world.note(Fact::Missed { gateway: self.me, guest, why: format!("{not_opened:?}") });
        not_opened.teach(&mut self.view, &target, now);
        self.has_answered(world, guest);
        let Some(found) = self.guests.get_mut(&guest) else { return };
        let served = found.served;
        found.phase = Phase::Pausing;
        let view = &mut self.view;
        let next = not_opened.next(served, |wait| view.ailing(&target.worker, served, now + wait));
        match next {
            Next::Refuse(refusal) => self.refuse(world, guest, refusal.code),
            Next::Again { after, .. } if after.is_zero() => self.turn(world, guest),
            Next::Again { after, .. } => world.after(self.me, after, Timer::Again(guest)),
        }
        self.changed(world);
    }
}
