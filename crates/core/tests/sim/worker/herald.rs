//! What a worker tells Redis, and when: the production's cadence on a simulated connection.

use std::rc::Rc;
use std::time::Duration;

use flotilla_core::cadence::Cadence;
use flotilla_core::pool::Moment;

use crate::history::Fact;
use crate::msg::Msg;
use crate::net::ConnId;
use crate::redis;
use crate::world::{Heard, Timer, World};

use super::Worker;

/// How long Redis may take.
const WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Herald {
    pub(super) cadence: Cadence,
    conn: Option<ConnId>,
    connected: bool,
    planned: Option<Moment>,
    /// True while a message is under way.
    telling: bool,
    /// How many messages were begun.
    told: u32,
}

impl Herald {
    pub(super) fn new(cadence: Cadence) -> Self {
        Self { cadence, conn: None, connected: false, planned: None, telling: false, told: 0 }
    }

    pub(super) fn is(&self, conn: ConnId) -> bool {
        self.conn == Some(conn)
    }
}

impl Worker {
    pub(super) fn plan_tell(&mut self, world: &mut World) {
        let now = self.now(world);
        let Some(at) = self.herald.cadence.next().map(|at| at.max(now)) else { return };
        if self.herald.planned.is_none_or(|planned| planned > at) {
            self.herald.planned = Some(at);
            world.after(self.me, at - now, Timer::Tell);
        }
    }

    pub(super) fn tell_if_due(&mut self, world: &mut World) {
        self.herald.planned = None;
        let now = self.now(world);
        if self.done || self.herald.cadence.next().is_none_or(|at| at > now) {
            return;
        }
        self.herald.cadence.begin(now);
        self.herald.telling = true;
        match self.herald.conn {
            Some(conn) if self.herald.connected => self.tell(world, conn),
            _ => self.herald.conn = Some(world.connect(self.me, redis::ADDRESS)),
        }
        self.herald.told += 1;
        world.after(self.me, WITHIN, Timer::TellLate(self.herald.told));
    }

    fn tell(&mut self, world: &mut World, conn: ConnId) {
        let advert: Rc<str> = self.sealed(world).into();
        world.leaked.adverts.push(advert.clone());
        let (key, ttl) = (self.id.0.clone(), world.setup.timing.ttl);
        world.send(self.me, conn, Msg::Tell { key, advert, ttl });
    }

    pub(super) fn redis_heard(&mut self, world: &mut World, conn: ConnId, heard: Heard) {
        match heard {
            Heard::Connected => {
                self.herald.connected = true;
                self.tell(world, conn);
            }
            Heard::Said(Msg::Told) => {
                let now = self.now(world);
                self.herald.telling = false;
                self.herald.cadence.end(true, now);
                self.plan_tell(world);
            }
            _ => self.redis_gone(world, conn),
        }
    }

    pub(super) fn tell_late(&mut self, world: &mut World, told: u32) {
        // Late only if it is still that message which is under way.
        if self.herald.told == told
            && self.herald.telling
            && let Some(conn) = self.herald.conn
        {
            self.redis_gone(world, conn);
        }
    }

    fn redis_gone(&mut self, world: &mut World, conn: ConnId) {
        world.close(self.me, conn);
        self.herald.conn = None;
        self.herald.connected = false;
        if std::mem::take(&mut self.herald.telling) {
            let now = self.now(world);
            self.herald.cadence.end(false, now);
        }
        self.plan_tell(world);
    }

    pub(super) fn say_goodbye(&mut self, world: &mut World) {
        world.note(Fact::Goodbye { worker: self.me });
        if let Some(conn) = self.herald.conn.filter(|_| self.herald.connected) {
            let (key, instance) = (self.id.0.clone(), self.instance.0.clone());
            world.send(self.me, conn, Msg::Goodbye { key, instance });
        }
    }
}
