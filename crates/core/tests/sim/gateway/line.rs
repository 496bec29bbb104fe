//! Waiting for a slot, as a client's stay in the line: its turn, its place, its deadline.

use flotilla_core::SessionId;
use flotilla_core::pool::{Demand, Moment};
use flotilla_core::refusal::Served;

use crate::history::{Fact, Sid};
use crate::msg::Msg;
use crate::net::ConnId;
use crate::world::{Timer, World};

use super::{Gateway, Guest, Phase};

/// More calls than this at one instant are no progress.
const CIRCLES: usize = 200;

impl Gateway {
    /// A client's handshake has come.
    pub(super) fn enter(&mut self, world: &mut World, conn: ConnId, key: String, demand: Demand) {
        let served = (demand.kind, demand.version);
        let session = SessionId(format!("s{}", conn.0));
        let (gateway, sid) = (self.me, Sid::of(&session));
        world.note(Fact::Entered { gateway, guest: conn, session: sid, key: key.clone(), served });
        let phase = Phase::Pausing;
        self.guests
            .insert(conn, Guest { session, key, demand, served, place: None, phase, late: false });
        if let Err(code) = self.serveable(served) {
            return self.refuse(world, conn, code);
        }
        world.after(self.me, world.setup.timing.queue_timeout, Timer::Deadline(conn));
        self.turn(world, conn);
    }

    fn serveable(&self, served: Served) -> Result<(), &'static str> {
        let offered = self.view.offered();
        match () {
            () if self.draining => Err("draining"),
            () if offered.is_empty() => Err("nothing_served"),
            () if !offered.contains(&served) => Err("browser_not_served"),
            () => Ok(()),
        }
    }

    /// It comes to the line, or comes back to its place.
    pub(super) fn turn(&mut self, world: &mut World, conn: ConnId) {
        if self.draining {
            return self.refuse(world, conn, "draining");
        }
        self.wait(world, conn);
        self.call_next(world);
        if self.guests.get(&conn).is_some_and(|guest| guest.late && guest.waits()) {
            self.refuse(world, conn, "queue_timeout");
        }
    }

    /// Takes its place in the line, or tries at once.
    pub(super) fn wait(&mut self, world: &mut World, conn: ConnId) {
        let Some(guest) = self.guests.get_mut(&conn) else { return };
        let free = self.view.fleet().to_try(guest.served);
        guest.phase = Phase::Waiting;
        match self.turns.enter(&guest.key, &mut guest.place, guest.served, free, conn) {
            Ok(None) => world.note(Fact::Joined { gateway: self.me, guest: conn }),
            Ok(Some(guest)) => {
                world.note(Fact::Called { gateway: self.me, guest });
                self.begin_try(world, guest);
            }
            Err(_) => {
                guest.phase = Phase::Pausing;
                self.refuse(world, conn, "queue_full");
            }
        }
    }

    /// Calls everybody for whom a slot seems free now.
    pub(super) fn call_next(&mut self, world: &mut World) {
        for _ in 0..CIRCLES {
            let fleet = self.view.fleet();
            let Some((_, guest)) = self.turns.call(|served| fleet.to_try(served)) else {
                return;
            };
            world.note(Fact::Called { gateway: self.me, guest });
            self.begin_try(world, guest);
        }
        world.note(Fact::Spins { who: self.me });
    }

    pub(super) fn again(&mut self, world: &mut World, conn: ConnId) {
        if self.guests.get(&conn).is_some_and(|guest| matches!(guest.phase, Phase::Pausing)) {
            self.turn(world, conn);
        }
    }

    pub(super) fn deadline(&mut self, world: &mut World, conn: ConnId) {
        match self.guests.get_mut(&conn) {
            Some(guest) if guest.waits() => self.refuse(world, conn, "queue_timeout"),
            // Who is tried now has until the worker has answered.
            Some(guest) => guest.late = true,
            None => {}
        }
    }

    /// Takes the client out of the line, or of its try, and gives back what it held.
    pub(super) fn give_up(&mut self, world: &mut World, conn: ConnId) -> Option<Guest> {
        let guest = self.guests.remove(&conn)?;
        match &guest.phase {
            Phase::Waiting => {
                if let Some(place) = guest.place {
                    self.turns.leave(&guest.key, place);
                }
                world.note(Fact::Unqueued { gateway: self.me, guest: conn });
            }
            Phase::Trying(tried) => {
                self.upstreams.remove(&tried.conn);
                world.close(self.me, tried.conn);
                if tried.permit {
                    self.drop_permit(world, guest.served, &tried.target.worker);
                }
            }
            Phase::Pausing | Phase::Live { .. } => {}
        }
        Some(guest)
    }

    pub(super) fn refuse(&mut self, world: &mut World, conn: ConnId, code: &'static str) {
        self.give_up(world, conn);
        world.note(Fact::Refused { gateway: self.me, guest: conn, code });
        world.send(self.me, conn, Msg::Refused { code });
        world.close(self.me, conn);
    }

    /// Has the view looked at then.
    pub(super) fn look_at(&mut self, world: &mut World, at: Moment) {
        if self.looks_at.is_none_or(|planned| planned > at) {
            self.looks_at = Some(at);
            let wait = at.saturating_sub(self.now(world));
            world.after(self.me, wait, Timer::Check);
        }
    }
}
