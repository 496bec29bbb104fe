//! Somebody who connects to say one thing: an operator, or an intruder.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::msg::Msg;
use crate::net::ConnId;
use crate::world::{Heard, Me, Timer, World};

pub(crate) struct Errands {
    me: Me,
    open: BTreeMap<ConnId, Msg>,
}

impl Errands {
    pub(crate) fn start(me: Me) -> Self {
        Self { me, open: BTreeMap::new() }
    }

    pub(crate) fn run(&mut self, world: &mut World, address: &str, msg: Msg) {
        let conn = world.connect(self.me, address);
        world.after(self.me, Duration::from_secs(4), Timer::Late(conn, 0));
        self.open.insert(conn, msg);
    }

    pub(crate) fn heard(&mut self, world: &mut World, conn: ConnId, heard: Heard) {
        match heard {
            Heard::Connected => {
                if let Some(msg) = self.open.get(&conn) {
                    world.send(self.me, conn, msg.clone());
                }
            }
            Heard::Said(Msg::Ping) => world.send(self.me, conn, Msg::Pong),
            // An intruder who got in stays until he is late.
            Heard::Said(Msg::Processing { .. } | Msg::Switching) | Heard::Accepted => {}
            _ => self.leave(world, conn),
        }
    }

    pub(crate) fn late(&mut self, world: &mut World, conn: ConnId) {
        self.leave(world, conn);
    }

    fn leave(&mut self, world: &mut World, conn: ConnId) {
        self.open.remove(&conn);
        world.close(self.me, conn);
    }
}
