//! Gateways take turns for this worker's slots; see `flotilla_core::claims`.

use flotilla_core::{claims, wire};
use flotilla_relay::{RequestHead, ResponseHead};
use tokio::net::TcpStream;

use super::{Inner, answer};
use crate::session::OpenError;

/// A gateway's turn. When it is dropped, the turn is over.
pub(super) struct Turn<'a> {
    door: &'a Inner,
    gateway: String,
    /// More clients wait there.
    more_wait: bool,
    /// It did not get a slot.
    in_vain: bool,
}

impl<'a> Turn<'a> {
    /// The turn of the gateway whose request this is. `None` when the slots that are free are kept
    /// for gateways that were sent away before it; it has been told when to ask again.
    pub(super) async fn take(
        door: &'a Inner,
        peer: &mut TcpStream,
        head: &RequestHead,
    ) -> Option<Self> {
        let gateway = head.headers.get(wire::GATEWAY_HEADER).unwrap_or_default().to_owned();
        let more_wait = head.headers.get(wire::WAITING_HEADER) == Some("true");
        let (free, now) = (door.board.free(), door.started.elapsed());
        let may = door.claims().may_try(&gateway, free, now);
        if !may {
            send_away(door, peer).await;
            return None;
        }
        Some(Self { door, gateway, more_wait, in_vain: false })
    }

    /// The door that it is at.
    pub(super) fn door(&self) -> &'a Inner {
        self.door
    }

    /// What became of it.
    pub(super) fn led_to<T>(&mut self, opened: &Result<T, OpenError>) {
        self.in_vain = opened.as_ref().is_err_and(OpenError::is_busy);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut claims = self.door.claims();
        match self.in_vain {
            true => claims.sent_away(&self.gateway),
            false => claims.settled(&self.gateway, self.more_wait),
        }
    }
}

async fn send_away(door: &Inner, peer: &mut TcpStream) {
    let mut head = ResponseHead::new(503, answer::reason(503));
    head.headers.set(wire::REFUSAL_HEADER, "busy");
    head.headers.set(wire::KEPT_HEADER, claims::KEPT.as_millis().to_string());
    head.headers.set(wire::ADVERT_HEADER, door.advert_without_slots());
    let words = "the free slots are kept for gateways that came before\n";
    answer::finish(peer, head, answer::PLAIN, words).await;
}
