//! A session that was let in: relayed until one of its ends, or the gateway, ends it.

use flotilla_core::ending::{EndCause, Ending};

use crate::history::Fact;
use crate::msg::Msg;
use crate::net::ConnId;
use crate::world::{Heard, Timer, World};

use super::{Gateway, Phase};

impl Gateway {
    /// The browser has answered: the client is let in.
    pub(super) fn opened(&mut self, world: &mut World, guest: ConnId) {
        let now = self.now(world);
        let session = self.session_of(guest);
        let Some(found) = self.guests.get_mut(&guest) else { return };
        let Phase::Trying(tried) = &found.phase else { return };
        let conn = tried.conn;
        found.phase = Phase::Live { upstream: conn, since: world.now };
        self.book.begin(found.session.clone(), guest, now);
        world.note(Fact::LetIn { gateway: self.me, guest, session, conn });
        world.send(self.me, guest, Msg::LetIn { session: session.name() });
        world.after(self.me, world.setup.timing.ping, Timer::Ping(guest));
        if let Some(limit) = world.setup.timing.max_duration {
            world.after(self.me, limit, Timer::Limit(guest));
        }
    }

    pub(super) fn client_closes(&mut self, world: &mut World, guest: ConnId) {
        if let Some(upstream) = self.upstream(guest) {
            world.send(self.me, upstream, Msg::Close { ending: None });
            self.over(world, guest, EndCause::ClientClose, None);
        } else {
            self.client_leaves(world, guest);
        }
    }

    pub(super) fn client_leaves(&mut self, world: &mut World, guest: ConnId) {
        if self.upstream(guest).is_some() {
            return self.over(world, guest, EndCause::ClientLost, None);
        }
        if self.give_up(world, guest).is_some() {
            world.note(Fact::GaveUp { gateway: self.me, guest });
        }
        world.close(self.me, guest);
    }

    pub(super) fn upstream_heard(&mut self, world: &mut World, guest: ConnId, heard: Heard) {
        match heard {
            Heard::Said(Msg::Ping) => {
                if let Some(upstream) = self.upstream(guest) {
                    world.send(self.me, upstream, Msg::Pong);
                }
            }
            Heard::Said(Msg::Close { ending }) => {
                let cause = ending.as_ref().map_or(EndCause::WorkerCrash, |ending| ending.cause);
                self.over(world, guest, cause, ending);
            }
            Heard::Eof | Heard::Reset => {
                self.over(world, guest, EndCause::WorkerLost, Some(lost()))
            }
            _ => {}
        }
    }

    fn upstream(&self, guest: ConnId) -> Option<ConnId> {
        match self.guests.get(&guest)?.phase {
            Phase::Live { upstream, .. } => Some(upstream),
            _ => None,
        }
    }

    /// The session is over. The client is told why, where it did not end it itself.
    fn over(&mut self, world: &mut World, guest: ConnId, cause: EndCause, tell: Option<Ending>) {
        let Some(upstream) = self.upstream(guest) else { return };
        let Some(found) = self.guests.get(&guest) else { return };
        if let Some(record) = self.book.end(&found.session, cause) {
            let (gateway, session) = (self.me, self.session_of(guest));
            world.note(Fact::Ended { gateway, guest, session, cause: record.cause });
        }
        if tell.is_some() {
            world.send(self.me, guest, Msg::Close { ending: tell });
        }
        self.guests.remove(&guest);
        self.upstreams.remove(&upstream);
        world.close(self.me, guest);
        world.close(self.me, upstream);
    }

    pub(super) fn over_limit(&mut self, world: &mut World, guest: ConnId) {
        if let Some(limit) = world.setup.timing.max_duration {
            self.over(world, guest, EndCause::Deadline, Some(Ending::too_long(limit)));
        }
    }

    /// Pings both ends, and gives up on one that has been silent for too long.
    pub(super) fn look_after(&mut self, world: &mut World, guest: ConnId) {
        let Some(Phase::Live { upstream, since }) = self.guests.get(&guest).map(|g| &g.phase)
        else {
            return;
        };
        let (upstream, since, timing) = (*upstream, *since, world.setup.timing.clone());
        let silent =
            |conn| world.now - world.heard_at(self.me, conn).max(since) >= timing.peer_timeout;
        if silent(guest) {
            return self.over(world, guest, EndCause::ClientLost, None);
        }
        if silent(upstream) {
            return self.over(world, guest, EndCause::WorkerLost, Some(lost()));
        }
        for conn in [guest, upstream] {
            world.send(self.me, conn, Msg::Ping);
        }
        world.after(self.me, timing.ping, Timer::Ping(guest));
    }

    pub(super) fn drain_over(&mut self, world: &mut World) {
        let live: Vec<_> = self.guests.keys().copied().collect();
        for guest in live {
            match self.upstream(guest) {
                Some(_) => self.over(world, guest, EndCause::DrainKill, Some(Ending::drained())),
                None => self.refuse(world, guest, "draining"),
            }
        }
    }
}

fn lost() -> Ending {
    let reason = "Flotilla: the worker of this session was lost. Connect again for another";
    Ending { cause: EndCause::WorkerLost, code: 1011, reason: reason.to_owned() }
}
