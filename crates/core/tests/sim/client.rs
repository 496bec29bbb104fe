//! A Playwright client: it connects, waits, holds its session for a while, and leaves in one way or
//! another.

use flotilla_core::ending::EndCause;

use crate::history::{Fact, Told};
use crate::msg::Msg;
use crate::net::{ConnId, Parting};
use crate::setup::{ClientSetup, Leaves};
use crate::world::{Heard, Me, Timer, World};

/// The steps of a client.
const PATIENCE_OVER: u32 = 0;
const HOLD_OVER: u32 = 1;

pub(crate) struct Client {
    me: Me,
    plan: ClientSetup,
    guest: ConnId,
    is_in: bool,
    /// True when nothing more is to come.
    over: bool,
}

impl Client {
    pub(crate) fn start(me: Me, world: &mut World, plan: ClientSetup) -> Self {
        let guest = world.connect(me, &format!("{:?}:8080", plan.gateway));
        world.note(Fact::Arrived { client: me, guest, gateway: plan.gateway });
        world.after(me, plan.patience, Timer::Step(PATIENCE_OVER));
        Self { me, plan, guest, is_in: false, over: false }
    }

    pub(crate) fn heard(&mut self, world: &mut World, heard: Heard) {
        match heard {
            Heard::Connected => {
                let (key, demand) = (self.plan.key.clone(), self.plan.demand.clone());
                world.send(self.me, self.guest, Msg::Want { key, demand });
            }
            Heard::Said(Msg::LetIn { .. }) => {
                self.is_in = true;
                self.told(world, Told::In);
                world.after(self.me, self.plan.hold, Timer::Step(HOLD_OVER));
            }
            Heard::Said(Msg::Refused { code }) => self.end(world, Told::Refused(code)),
            Heard::Said(Msg::Close { ending }) => {
                let cause = ending.map_or(EndCause::WorkerCrash, |ending| ending.cause);
                self.end(world, Told::Ended(cause));
            }
            Heard::Said(Msg::Ping) => world.send(self.me, self.guest, Msg::Pong),
            Heard::Refused => self.end(world, Told::NoGateway),
            Heard::Eof | Heard::Reset => self.end(world, Told::Gone),
            Heard::Said(_) | Heard::Accepted => {}
        }
    }

    /// `true` when its process is gone now.
    pub(crate) fn due(&mut self, world: &mut World, step: u32) -> Option<Parting> {
        if self.over || (step == PATIENCE_OVER && self.is_in) {
            return None;
        }
        let (client, guest) = (self.me, self.guest);
        self.over = true;
        match self.plan.leaves {
            Leaves::Closes => {
                world.note(Fact::ClientCloses { client, guest });
                if self.is_in {
                    world.send(client, guest, Msg::Close { ending: None });
                }
                world.close(client, guest);
                None
            }
            Leaves::Dies => {
                world.note(Fact::ClientLeaves { client, guest });
                Some(if guest.0 % 2 == 0 { Parting::Closed } else { Parting::Reset })
            }
            Leaves::Vanishes => {
                world.note(Fact::ClientLeaves { client, guest });
                Some(Parting::Silent)
            }
        }
    }

    fn told(&mut self, world: &mut World, what: Told) {
        world.note(Fact::Told { client: self.me, guest: self.guest, what });
    }

    fn end(&mut self, world: &mut World, what: Told) {
        if !self.over {
            self.over = true;
            self.told(world, what);
            world.close(self.me, self.guest);
        }
    }
}
