//! Dialling workers back, whenever the view wants it.

use std::time::Duration;

use flotilla_core::proof;
use flotilla_core::view::Check;

use crate::msg::Msg;
use crate::net::ConnId;
use crate::world::{Heard, Timer, World};

use super::Gateway;

/// How long a worker may take to connect and answer.
const WITHIN: Duration = Duration::from_secs(2);

/// A worker that was asked who it is.
pub(super) struct Asking {
    check: Check,
    nonce: String,
}

impl Gateway {
    pub(super) fn prove(&mut self, world: &mut World) {
        let now = self.now(world);
        for check in self.view.take_checks(now) {
            let conn = world.connect(self.me, &check.endpoint);
            world.after(self.me, WITHIN, Timer::Late(conn, 0));
            let nonce = format!("n{}", world.rng.next());
            self.asking.insert(conn, Asking { check, nonce });
        }
        // Checks that are planned for sooner than the next look.
        if let Some(at) = self.view.next_check()
            && at > now
            && at - now < super::LOOK
        {
            self.look_at(world, at);
        }
    }

    pub(super) fn proof_heard(&mut self, world: &mut World, conn: ConnId, heard: Heard) {
        let Some(asking) = self.asking.get(&conn) else { return };
        match heard {
            Heard::Connected => {
                let nonce = asking.nonce.clone();
                world.send(self.me, conn, Msg::Hello { nonce });
            }
            Heard::Said(Msg::Proof { text }) => {
                let Some(Asking { check, nonce }) = self.asking.remove(&conn) else { return };
                world.close(self.me, conn);
                let (now, answer) = (self.now(world), proof::read(&world.keyring, &nonce, &text));
                self.view.checked(&check, answer, now);
                self.changed(world);
            }
            Heard::Refused => self.proof_failed(world, conn, "connection refused"),
            Heard::Eof | Heard::Reset => self.proof_failed(world, conn, "connection lost"),
            Heard::Said(_) | Heard::Accepted => {}
        }
    }

    pub(super) fn proof_failed(&mut self, world: &mut World, conn: ConnId, why: &str) {
        let Some(Asking { check, .. }) = self.asking.remove(&conn) else { return };
        world.close(self.me, conn);
        let now = self.now(world);
        self.view.checked(&check, Err(why.to_owned()), now);
        self.changed(world);
    }
}
