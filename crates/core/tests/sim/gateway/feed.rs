//! How a gateway hears of workers: a subscription for what is fresh, snapshots for what is true.

use std::time::Duration;

use flotilla_core::advert::Advert;
use flotilla_core::{Instance, WorkerId};

use crate::history::Fact;
use crate::msg::Msg;
use crate::net::ConnId;
use crate::redis;
use crate::world::{Heard, Timer, World};

use super::Gateway;

const WITHIN: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(300);

/// Two connections to Redis.
#[derive(Debug, Default)]
pub(super) struct Feed {
    channel: Link,
    snapshots: Link,
    asked: u32,
    answered: u32,
    /// True while it is to connect again in a moment.
    planned: bool,
}

#[derive(Debug, Default)]
struct Link {
    conn: Option<ConnId>,
    ready: bool,
}

impl Feed {
    pub(super) fn is(&self, conn: ConnId) -> bool {
        self.channel.conn == Some(conn) || self.snapshots.conn == Some(conn)
    }

    fn is_ready(&self) -> bool {
        self.channel.ready && self.snapshots.ready
    }
}

impl Gateway {
    /// Connects what is not connected.
    pub(super) fn feed_due(&mut self, world: &mut World) {
        self.feed.planned = false;
        for link in [&mut self.feed.channel, &mut self.feed.snapshots] {
            if link.conn.is_none() {
                let conn = world.connect(self.me, redis::ADDRESS);
                *link = Link { conn: Some(conn), ready: false };
                world.after(self.me, WITHIN, Timer::Late(conn, 0));
            }
        }
    }

    pub(super) fn feed_heard(&mut self, world: &mut World, conn: ConnId, heard: Heard) {
        let of_channel = self.feed.channel.conn == Some(conn);
        match heard {
            Heard::Connected if of_channel => world.send(self.me, conn, Msg::Subscribe),
            Heard::Connected => {
                self.feed.snapshots.ready = true;
                self.ask_snapshot(world);
            }
            Heard::Said(Msg::Subscribed) => {
                self.feed.channel.ready = true;
                self.ask_snapshot(world);
            }
            Heard::Said(Msg::Published { advert }) => {
                self.take_advert(world, &advert);
                self.changed(world);
            }
            Heard::Said(Msg::Left { key, instance }) => {
                self.view.left(&WorkerId(key), &Instance(instance));
                self.changed(world);
            }
            Heard::Said(Msg::Entries { adverts }) => {
                self.feed.answered = self.feed.asked;
                self.found(world);
                adverts.iter().for_each(|advert| self.take_advert(world, advert));
                self.changed(world);
            }
            Heard::Refused | Heard::Eof | Heard::Reset => self.feed_lost(world, conn),
            Heard::Said(_) | Heard::Accepted => {}
        }
    }

    fn take_advert(&mut self, world: &World, text: &str) {
        let now = self.now(world);
        // What is not of the fleet is logged and counted.
        if let Ok(advert) = Advert::open(&world.keyring, text) {
            self.view.heard(advert, now);
        }
    }

    pub(super) fn feed_late(&mut self, world: &mut World, conn: ConnId, asked: u32) {
        let of_channel = self.feed.channel.conn == Some(conn);
        let late = match of_channel {
            true => !self.feed.channel.ready,
            false if asked == 0 => !self.feed.snapshots.ready,
            false => self.feed.answered < asked,
        };
        if late {
            self.feed_lost(world, conn);
        }
    }

    pub(super) fn snapshot_due(&mut self, world: &mut World) {
        self.ask_snapshot(world);
    }

    /// The first answer counts as having found the registry only with a subscription beside it.
    fn ask_snapshot(&mut self, world: &mut World) {
        let Some(conn) = self.feed.snapshots.conn.filter(|_| self.feed.is_ready()) else { return };
        if self.feed.answered < self.feed.asked {
            return;
        }
        self.feed.asked += 1;
        world.send(self.me, conn, Msg::Snapshot);
        world.after(self.me, WITHIN, Timer::Late(conn, self.feed.asked));
        world.after(self.me, world.setup.timing.heartbeat, Timer::SnapshotDue);
    }

    fn found(&mut self, world: &mut World) {
        if self.view.blind_since().is_some() {
            world.note(Fact::Sees { gateway: self.me });
        }
        let now = self.now(world);
        self.view.found_registry(now);
    }

    fn feed_lost(&mut self, world: &mut World, conn: ConnId) {
        world.close(self.me, conn);
        if self.feed.channel.conn == Some(conn) {
            self.feed.channel = Link::default();
        } else {
            self.feed.snapshots = Link::default();
            self.feed.answered = self.feed.asked;
        }
        if self.view.blind_since().is_none() {
            world.note(Fact::Blind { gateway: self.me });
        }
        let now = self.now(world);
        self.view.lost_registry(now);
        if !std::mem::replace(&mut self.feed.planned, true) {
            world.after(self.me, RETRY, Timer::Feed);
        }
        self.changed(world);
    }
}
