//! Redis: keys that expire, and a channel. It forgets everything when it dies.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use flotilla_core::pool::Moment;

use crate::history::Fact;
use crate::msg::Msg;
use crate::net::ConnId;
use crate::world::{Heard, Me, World};

pub(crate) const ADDRESS: &str = "redis:6379";

pub(crate) struct Redis {
    me: Me,
    keys: BTreeMap<String, (Rc<str>, Moment)>,
    subscribers: BTreeSet<ConnId>,
}

impl Redis {
    pub(crate) fn start(me: Me, world: &mut World) -> Self {
        world.listen(me, ADDRESS);
        Self { me, keys: BTreeMap::new(), subscribers: BTreeSet::new() }
    }

    pub(crate) fn wipe(&mut self) {
        self.keys.clear();
    }

    pub(crate) fn heard(&mut self, world: &mut World, conn: ConnId, heard: Heard) {
        match heard {
            Heard::Said(msg) => self.said(world, conn, msg),
            Heard::Eof | Heard::Reset => {
                self.subscribers.remove(&conn);
                world.close(self.me, conn);
            }
            Heard::Accepted | Heard::Connected | Heard::Refused => {}
        }
    }

    fn said(&mut self, world: &mut World, conn: ConnId, msg: Msg) {
        let answer = match msg {
            Msg::Tell { key, advert, ttl } => {
                self.keys.insert(key, (advert.clone(), world.now + ttl));
                self.publish(world, Msg::Published { advert });
                Msg::Told
            }
            Msg::Goodbye { key, instance } => {
                self.keys.remove(&key);
                self.publish(world, Msg::Left { key, instance });
                Msg::Told
            }
            Msg::Subscribe => {
                self.subscribers.insert(conn);
                Msg::Subscribed
            }
            Msg::Snapshot => Msg::Entries { adverts: self.alive(world.now) },
            _ => return,
        };
        world.send(self.me, conn, answer);
    }

    fn publish(&self, world: &mut World, msg: Msg) {
        for conn in &self.subscribers {
            world.send(self.me, *conn, msg.clone());
        }
    }

    fn alive(&mut self, now: Moment) -> Vec<Rc<str>> {
        self.keys.retain(|_, (_, until)| *until > now);
        self.keys.values().map(|(advert, _)| advert.clone()).collect()
    }

    /// What is left: as many keys as there are workers.
    pub(crate) fn rest(&mut self, world: &mut World, workers: usize) {
        let keys = self.alive(world.now).len();
        let what = format!("{keys} keys for {workers} workers");
        world.note(Fact::Rest { who: self.me, what, ok: keys == workers });
    }
}
