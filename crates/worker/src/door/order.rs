//! An operator's order: taken once, carried out, answered.

use flotilla_core::order::{Deed, OrderError, Outcome};
use flotilla_core::wire;
use flotilla_relay::ResponseHead;
use tokio::net::TcpStream;

use super::{Inner, answer};

/// Carries out an order and answers what became of it, signed for that order.
pub(super) async fn serve(door: &Inner, peer: &mut TcpStream, method: &str, text: &str) {
    if method != "POST" {
        return answer::text(peer, 405, "method_not_allowed", "an order is a POST\n").await;
    }
    let order = match door.take_order(text) {
        Ok(order) => order,
        Err(error) => return refuse(peer, error).await,
    };
    tell(&order.deed);
    let outcome = door.worker.carry_out(order.deed).await;
    if matches!(outcome, Outcome::NoSuchSession | Outcome::Leaving) {
        tracing::debug!(?outcome, "an order that could not be carried out");
    }
    let (body, signature) = outcome.seal(&door.keyring.get(), order.nonce);
    let mut head = ResponseHead::new(200, answer::reason(200));
    head.headers.set(wire::OUTCOME_HEADER, &signature);
    head.headers.set(wire::ADVERT_HEADER, door.advert());
    answer::finish(peer, head, "application/json", &body).await;
}

/// The log is where an operator's doings can be read afterwards.
fn tell(deed: &Deed) {
    match deed {
        Deed::End { session, reason } => {
            tracing::info!(%session, reason, "an operator ends a session");
        }
        Deed::Sessions => {}
        Deed::Drain | Deed::Undrain | Deed::Shutdown { .. } => {
            tracing::info!(order = deed.as_str(), "an operator gives an order");
        }
    }
}

async fn refuse(peer: &mut TcpStream, error: OrderError) {
    let from = peer.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    tracing::warn!(%from, code = error.as_str(), "an order was refused: {error}");
    answer::text(peer, 403, error.as_str(), &format!("{error}\n")).await;
}
