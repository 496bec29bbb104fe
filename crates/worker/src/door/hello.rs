//! Who the worker is, and how it is: to those who dial back, and to balancers.

use flotilla_core::advert::is_name;
use flotilla_core::proof;
use flotilla_core::status::WorkerState;
use flotilla_relay::ResponseHead;
use tokio::net::TcpStream;

use super::{Inner, answer};

/// Says what the worker says of itself, with a proof that it was said for this nonce.
pub(super) async fn answer(door: &Inner, peer: &mut TcpStream, nonce: &str) {
    if !is_name(nonce) {
        let words = "a nonce is 1 to 64 letters, digits, dots, dashes and underscores\n";
        return answer::text(peer, 400, "bad_nonce", words).await;
    }
    let body = proof::answer(&door.keyring.get(), nonce, &door.advert());
    answer::finish(peer, ResponseHead::new(200, "OK"), answer::PLAIN, &body).await;
}

/// Ready: it takes sessions, now or when one has ended.
pub(super) async fn ready(door: &Inner, peer: &mut TcpStream) {
    let state = door.worker.inspect().await.map(|status| status.state);
    match state {
        Some(WorkerState::Available | WorkerState::Busy) => {
            answer::text(peer, 200, "ready", "ready\n").await;
        }
        state => {
            let state = state.map_or("stopped", WorkerState::as_str);
            answer::text(peer, 503, "not_ready", &format!("{state}\n")).await;
        }
    }
}
