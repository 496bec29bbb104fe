//! Whether a session is taken: said to the gateway at once, and again when its browser is there.

use std::io;

use flotilla_core::pool::NotAdmitted;
use flotilla_core::ticket::TicketError;
use flotilla_core::wire;
use flotilla_relay::ResponseHead;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::{Inner, answer};
use crate::session::OpenError;
use crate::supervisor::AdmitError;

/// Waits for what `opening` comes to. The gateway is told as soon as the slot is `taken`; `None`
/// when it has gone, which gives the slot back.
pub(super) async fn admitted<T>(
    door: &Inner,
    peer: &mut TcpStream,
    opening: impl Future<Output = Result<T, OpenError>>,
    taken: oneshot::Receiver<bool>,
) -> Result<Option<T>, OpenError> {
    tokio::pin!(opening);
    // The slot is taken or refused at once; the browser may take a while, or be there already.
    let at_once = tokio::select! {
        biased;
        Ok(true) = taken => None,
        opened = &mut opening => Some(opened?),
    };
    if processing(door, peer).await.is_err() {
        return Ok(None);
    }
    if at_once.is_some() {
        return Ok(at_once);
    }
    tokio::select! {
        opened = opening => opened.map(Some),
        () = left(peer) => Ok(None),
    }
}

async fn processing(door: &Inner, peer: &mut TcpStream) -> io::Result<()> {
    let mut head = ResponseHead::new(102, answer::reason(102));
    head.headers.set(wire::ADVERT_HEADER, door.advert());
    peer.write_all(&head.to_bytes()).await
}

/// Resolves when the peer has closed its connection. What it sends early stays unread.
async fn left(peer: &TcpStream) {
    match peer.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}

/// Answers a ticket that is not taken: to a gateway, or to a client that comes with a stale one.
pub(super) async fn refuse_ticket(peer: &mut TcpStream, error: TicketError) {
    let from = peer.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    tracing::warn!(%from, code = error.as_str(), "a ticket was refused: {error}");
    let words = format!(
        "{error}\nThe address to which a grid sends a client is good for one connection, and for \
         seconds only: connect to the grid again\n"
    );
    answer::text(peer, 403, error.as_str(), &words).await;
}

/// Tells a gateway why the session was not opened, and how this worker is.
pub(super) async fn refuse(door: &Inner, peer: &mut TcpStream, error: &OpenError) {
    let mut head = refusal(error);
    head.headers.set(wire::ADVERT_HEADER, door.advert());
    answer::finish(peer, head, answer::PLAIN, &words(error)).await;
}

/// Tells a client the same; how this worker is concerns gateways only.
pub(super) async fn refuse_client(peer: &mut TcpStream, error: &OpenError) {
    answer::finish(peer, refusal(error), answer::PLAIN, &words(error)).await;
}

fn refusal(error: &OpenError) -> ResponseHead {
    let (status, code, wait) = match error {
        OpenError::Admit(AdmitError::NotAdmitted(refused)) => match refused {
            NotAdmitted::Busy => (503, "busy", None),
            NotAdmitted::Draining => (503, "draining", None),
            NotAdmitted::Present => (409, "session_present", None),
            NotAdmitted::BackingOff { wait, .. } => (503, "launch_backing_off", Some(*wait)),
        },
        OpenError::Admit(AdmitError::Stopped) => (503, "draining", None),
        OpenError::Admit(AdmitError::LaunchFailed(_)) => (502, "launch_failed", None),
        OpenError::Admit(AdmitError::Ended(_)) => (503, "ended", None),
        OpenError::Refused { status, .. } => (*status, "browser_refused", None),
        OpenError::Unreachable(_) => (502, "browser_unreachable", None),
    };
    let mut head = ResponseHead::new(status, answer::reason(status));
    head.headers.set(wire::REFUSAL_HEADER, code);
    if let Some(wait) = wait {
        head.headers.set("Retry-After", format!("{:.0}", wait.as_secs_f64().ceil().max(1.0)));
    }
    head
}

fn words(error: &OpenError) -> String {
    let words = match error {
        OpenError::Refused { body, .. } => body.clone(),
        OpenError::Admit(AdmitError::NotAdmitted(NotAdmitted::BackingOff { why, .. })) => {
            why.clone()
        }
        error => error.to_string(),
    };
    format!("{words}\n")
}
