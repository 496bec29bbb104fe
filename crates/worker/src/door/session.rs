//! A session that comes with a ticket: admitted, connected to its browser, relayed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::ending::{EndCause, Ending};
use flotilla_core::ticket::{Route, Ticket};
use flotilla_relay::{
    CloseReason, Counters, Ended, EndedBy, How, Outcome, RequestHead, Socket, relay,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::direct::{self, Arrival};
use super::{Inner, admission, answer};
use crate::session::Opened;

/// Serves the session from its ticket to its end.
pub(super) async fn serve(
    door: &Arc<Inner>,
    mut peer: TcpStream,
    head: RequestHead,
    early: Bytes,
    ticket: &str,
) {
    // Before the ticket is used up: whoever only looks at an address does no harm.
    if let Err(error) = head.check_websocket_upgrade() {
        let words = format!("{error}\n");
        return answer::text(&mut peer, error.status(), "bad_handshake", &words).await;
    }
    let ticket = match door.take(ticket, &[Route::Relayed, Route::Direct]) {
        Ok(ticket) => ticket,
        Err(error) => return admission::refuse_ticket(&mut peer, error).await,
    };
    match ticket.route {
        Route::Direct => direct::arrive(door, &ticket, Arrival { peer, head, early }).await,
        _ => relayed(door, peer, head, early, &ticket).await,
    }
}

async fn relayed(
    door: &Inner,
    mut peer: TcpStream,
    head: RequestHead,
    early: Bytes,
    ticket: &Ticket,
) {
    let (told, taken) = oneshot::channel();
    let (session, demand) = (ticket.session.clone(), ticket.demand.clone());
    let opening = door.worker.open(session, demand, head, move |taken| {
        let _ = told.send(taken);
    });
    match admission::admitted(door, &mut peer, opening, taken).await {
        Ok(Some(opened)) => run(door, peer, early, ticket, opened).await,
        Ok(None) => tracing::debug!(session = %ticket.session, "the gateway left meanwhile"),
        Err(error) => admission::refuse(door, &mut peer, &error).await,
    }
}

async fn run(door: &Inner, peer: TcpStream, early: Bytes, ticket: &Ticket, opened: Opened) {
    let began = Instant::now();
    let traffic = Counters::default();
    let limit = ticket.max_seconds.map(Duration::from_secs);
    let cause = match pass(door, peer, early, limit, opened, &traffic).await {
        Some((cause, _)) => cause,
        None => EndCause::ClientLost,
    };
    tracing::info!(
        session = %ticket.session,
        cause = cause.as_str(),
        seconds = began.elapsed().as_secs_f64(),
        "session left its worker"
    );
}

/// Lets the peer in, relays until the end, and gives the slot back. `None` when the peer had gone.
pub(super) async fn pass(
    door: &Inner,
    mut peer: TcpStream,
    early: Bytes,
    limit: Option<Duration>,
    opened: Opened,
    traffic: &Counters,
) -> Option<(EndCause, Outcome)> {
    let Opened { upstream, response, ending, lease, .. } = opened;
    peer.write_all(&response.to_bytes()).await.ok()?;
    let limit = limit.map(|limit| (limit, Ending::too_long(limit)));
    let lost = Ending::browser_died("browser", "its connection broke");
    let ended = Ended::new(ending, lost, limit, close_reason);
    let client = Socket::from(peer).with_leftover(early);
    let options = door.relay_options();
    let decided = ended.decided(std::future::pending());
    let outcome = relay(client, upstream, &options, traffic, decided, || ended.lost()).await;
    drop(lease);
    let cause = ended.cause().map_or_else(|| cause_of(&outcome), |ending| ending.cause);
    Some((cause, outcome))
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
