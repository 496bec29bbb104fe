//! A session that comes with a ticket: admitted, connected to its browser, relayed.

use std::time::Duration;

use bytes::Bytes;
use flotilla_core::ending::{EndCause, Ending};
use flotilla_core::pool::NotAdmitted;
use flotilla_core::ticket::{Route, Ticket, TicketError};
use flotilla_core::wire;
use flotilla_relay::{
    CloseReason, Counters, Ended, EndedBy, How, Outcome, RequestHead, ResponseHead, Socket, relay,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Inner, answer};
use crate::session::{OpenError, Opened};
use crate::supervisor::AdmitError;

/// Serves the session from its ticket to its end.
pub(super) async fn serve(
    door: &Inner,
    mut peer: TcpStream,
    head: RequestHead,
    early: Bytes,
    ticket: &str,
) {
    let ticket = match door.take(ticket, &[Route::Relayed]) {
        Ok(ticket) => ticket,
        Err(error) => return refuse_ticket(&mut peer, error).await,
    };
    if let Err(error) = head.check_websocket_upgrade() {
        let words = format!("{error}\n");
        return answer::text(&mut peer, error.status(), "bad_handshake", &words).await;
    }
    match open(door, &mut peer, head, &ticket).await {
        Ok(Some(opened)) => run(door, peer, early, &ticket, opened).await,
        Ok(None) => tracing::debug!(session = %ticket.session, "the gateway left meanwhile"),
        Err(error) => refuse(door, &mut peer, &error).await,
    }
}

async fn refuse_ticket(peer: &mut TcpStream, error: TicketError) {
    let from = peer.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    tracing::warn!(%from, code = error.as_str(), "a ticket was refused: {error}");
    let words = format!("{error}\n");
    answer::text(peer, 403, error.as_str(), &words).await;
}

/// Has the session opened. `None` when whoever brought it has gone.
async fn open(
    door: &Inner,
    peer: &mut TcpStream,
    head: RequestHead,
    ticket: &Ticket,
) -> Result<Option<Opened>, OpenError> {
    let (told, admitted) = oneshot::channel();
    let session = ticket.session.clone();
    let opening = door.worker.open(session, ticket.demand.clone(), head, move |taken| {
        let _ = told.send(taken);
    });
    tokio::pin!(opening);
    // The slot is taken or refused at once; the browser may take a while.
    tokio::select! {
        biased;
        Ok(true) = admitted => if processing(door, peer).await.is_err() {
            return Ok(None);
        },
        opened = &mut opening => {
            let opened = opened?;
            // A quick browser, or a busy machine: it is here before we have said that it is taken.
            return Ok(processing(door, peer).await.is_ok().then_some(opened));
        }
    }
    tokio::select! {
        opened = opening => opened.map(Some),
        () = left(peer) => Ok(None),
    }
}

/// Tells the gateway that the session is admitted.
async fn processing(door: &Inner, peer: &mut TcpStream) -> std::io::Result<()> {
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

async fn refuse(door: &Inner, peer: &mut TcpStream, error: &OpenError) {
    let (status, code, wait) = match error {
        OpenError::Admit(AdmitError::NotAdmitted(refused)) => match refused {
            NotAdmitted::Busy => (503, "busy", None),
            NotAdmitted::Draining => (503, "draining", None),
            NotAdmitted::BackingOff { wait, .. } => (503, "launch_backing_off", Some(*wait)),
        },
        OpenError::Admit(AdmitError::Stopped) => (503, "draining", None),
        OpenError::Admit(AdmitError::LaunchFailed(_)) => (502, "launch_failed", None),
        OpenError::Admit(AdmitError::Ended(_)) => (503, "ended", None),
        OpenError::Refused { status, .. } => (*status, "browser_refused", None),
        OpenError::Unreachable(_) => (502, "browser_unreachable", None),
    };
    let words = match error {
        OpenError::Refused { body, .. } => body.clone(),
        OpenError::Admit(AdmitError::NotAdmitted(NotAdmitted::BackingOff { why, .. })) => {
            why.clone()
        }
        error => error.to_string(),
    };
    let mut head = ResponseHead::new(status, answer::reason(status));
    head.headers.set(wire::REFUSAL_HEADER, code);
    head.headers.set(wire::ADVERT_HEADER, door.advert());
    if let Some(wait) = wait {
        head.headers.set("Retry-After", format!("{:.0}", wait.as_secs_f64().ceil().max(1.0)));
    }
    answer::finish(peer, head, answer::PLAIN, &format!("{words}\n")).await;
}

/// Lets the peer in, relays until the end, and gives the slot back.
async fn run(door: &Inner, mut peer: TcpStream, early: Bytes, ticket: &Ticket, opened: Opened) {
    let Opened { upstream, response, ending, lease, .. } = opened;
    let began = Instant::now();
    if peer.write_all(&response.to_bytes()).await.is_err() {
        return;
    }
    let limit = ticket.max_seconds.map(Duration::from_secs);
    let limit = limit.map(|limit| (limit, Ending::too_long(limit)));
    let lost = Ending::browser_died("browser", "its connection broke");
    let ended = Ended::new(ending, lost, limit, close_reason);
    let client = Socket::from(peer).with_leftover(early);
    let options = door.relay_options();
    let traffic = Counters::default();
    let decided = ended.decided(std::future::pending());
    let outcome = relay(client, upstream, &options, &traffic, decided, || ended.lost()).await;
    drop(lease);
    let cause = ended.cause().map_or_else(|| cause_of(&outcome), |ending| ending.cause);
    tracing::info!(
        session = %ticket.session,
        cause = cause.as_str(),
        seconds = began.elapsed().as_secs_f64(),
        "session left its worker"
    );
}

fn close_reason(ending: &Ending) -> CloseReason {
    CloseReason::new(ending.code, ending.reason.clone())
}

/// The cause of an end that the worker did not decide on.
fn cause_of(outcome: &Outcome) -> EndCause {
    match (outcome.ended_by, &outcome.how) {
        (_, How::Violation(_)) => EndCause::ProtocolError,
        (EndedBy::Client, How::Close(_)) => EndCause::ClientClose,
        (EndedBy::Client, _) => EndCause::ClientLost,
        (EndedBy::Upstream, _) => EndCause::WorkerCrash,
        (EndedBy::Relay, _) => EndCause::Operator,
    }
}
