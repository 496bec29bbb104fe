//! Sessions whose clients come by themselves: a slot is kept for each, and then it is relayed here.
//!
//! The connection over which a gateway reserved the slot has become the session's own task when it
//! is closed: the task waits for the client, and whatever ends it, the slot goes with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::SessionId;
use flotilla_core::ending::EndCause;
use flotilla_core::metrics::ClosedBy;
use flotilla_core::ticket::{Route, Ticket, TicketError, millis};
use flotilla_core::wire;
use flotilla_relay::{EndedBy, Outcome, RequestHead, ResponseHead};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{Inner, admission, answer, session};
use crate::session::{OpenError, Reserved};

/// A client that came with its own ticket.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) peer: TcpStream,
    pub(super) head: RequestHead,
    pub(super) early: Bytes,
}

/// Who waits for which client.
#[derive(Debug, Default)]
pub(super) struct Reservations(Mutex<HashMap<SessionId, oneshot::Sender<Arrival>>>);

/// A place among them, for as long as it is held.
struct Place<'a> {
    all: &'a Reservations,
    session: &'a SessionId,
}

impl Reservations {
    fn wait<'a>(&'a self, session: &'a SessionId) -> (Place<'a>, oneshot::Receiver<Arrival>) {
        let (come, client) = oneshot::channel();
        self.lock().insert(session.clone(), come);
        (Place { all: self, session }, client)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, oneshot::Sender<Arrival>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(self.session);
    }
}

/// Brings a client to who waits for it.
pub(super) async fn arrive(door: &Inner, ticket: &Ticket, arrival: Arrival) {
    let waiting = door.reservations.lock().remove(&ticket.session);
    let unmet = match waiting {
        Some(come) => come.send(arrival).err(),
        None => Some(arrival),
    };
    if let Some(mut late) = unmet {
        let error = TicketError::Expired;
        door.observer.ticket_refused(error);
        admission::refuse_ticket(&mut late.peer, error).await;
    }
}

/// Takes a slot for a client that will come, and serves it to its end.
pub(super) async fn reserve(door: &Arc<Inner>, mut peer: TcpStream, ticket: &str) {
    let ticket = match door.take(ticket, &[Route::Reserved]) {
        Ok(ticket) => ticket,
        Err(error) => return admission::refuse_ticket(&mut peer, error).await,
    };
    let (told, taken) = oneshot::channel();
    let (session, demand) = (ticket.session.clone(), ticket.demand.clone());
    let reserving = door.worker.reserve(session, demand, move |taken| {
        let _ = told.send(taken);
    });
    match admission::admitted(door, &mut peer, reserving, taken).await {
        Ok(Some(reserved)) => keep(door, peer, &ticket, reserved).await,
        Ok(None) => tracing::debug!(session = %ticket.session, "the gateway left meanwhile"),
        Err(error) => admission::refuse(door, &mut peer, &error).await,
    }
}

/// Says where the client is to come, and waits for it.
async fn keep(door: &Inner, mut peer: TcpStream, ticket: &Ticket, mut reserved: Reserved) {
    let began = Instant::now();
    let deadline = began + door.config.reservation_timeout;
    let (_place, mut client) = door.reservations.wait(&ticket.session);
    if peer.write_all(&created(door, ticket)).await.is_err() {
        return tracing::debug!(session = %ticket.session, "the gateway left meanwhile");
    }
    drop(peer);
    let told = tokio::select! {
        biased;
        arrival = before(deadline, &mut client) => match arrival {
            Some(arrival) => return meet(door, ticket, reserved, arrival).await,
            None => None,
        },
        Ok(ending) = &mut reserved.ending => Some(ending),
    };
    drop(reserved);
    let cause = told.as_ref().map_or(EndCause::ClientLost, |ending| ending.cause);
    settle(door, ticket, cause, began.elapsed(), None);
    // Who comes in time still learns why in vain.
    if let Some(ending) = told
        && let Some(mut arrival) = before(deadline, &mut client).await
    {
        answer::text(&mut arrival.peer, 503, "ended", &format!("{}\n", ending.reason)).await;
    }
}

/// 201, with a ticket for the client.
fn created(door: &Inner, ticket: &Ticket) -> Vec<u8> {
    let expires = millis(door.started.elapsed() + door.config.reservation_timeout);
    let mut nonce = [0; 8];
    // Without random numbers the session's own name still tells tickets apart.
    let _ = getrandom::fill(&mut nonce);
    let ticket = ticket.for_client(expires, u64::from_le_bytes(nonce));
    let path = format!("{}{}", wire::SESSION_PATH, ticket.seal(&door.keyring.get()));
    let mut head = ResponseHead::new(201, answer::reason(201));
    head.headers.set("Location", &path);
    head.headers.set(wire::ADVERT_HEADER, door.advert());
    head.headers.set("Content-Length", "0");
    head.headers.set("Connection", "close");
    head.to_bytes()
}

/// The client, if it comes before then.
async fn before(deadline: Instant, client: &mut oneshot::Receiver<Arrival>) -> Option<Arrival> {
    if let Ok(arrival) = timeout_at(deadline, &mut *client).await {
        return arrival.ok();
    }
    // From here on it is told that it is late; one may have come just now.
    client.close();
    client.try_recv().ok()
}

/// Connects the client to its browser, and relays until the end.
async fn meet(door: &Inner, ticket: &Ticket, reserved: Reserved, arrival: Arrival) {
    let began = Instant::now();
    let Arrival { mut peer, head, early } = arrival;
    let mut opened = match reserved.connect(head).await {
        Ok(opened) => opened,
        Err(error) => {
            settle(door, ticket, cause_of(&error), began.elapsed(), None);
            return admission::refuse_client(&mut peer, &error).await;
        }
    };
    let (name, value) = wire::debug_log(&ticket.session);
    opened.response.headers.set(name, value);
    tracing::info!(session = %ticket.session, "its client has come");
    let tallied = door.tally.begin(&door.metrics, &ticket.session);
    let limit = ticket.max_seconds.map(Duration::from_secs);
    let passed = session::pass(door, peer, early, limit, opened, &tallied.traffic).await;
    let (cause, outcome) = match passed {
        Some((cause, outcome)) => (cause, Some(outcome)),
        None => (EndCause::ClientLost, None),
    };
    drop(tallied);
    settle(door, ticket, cause, began.elapsed(), outcome.as_ref());
}

const fn cause_of(error: &OpenError) -> EndCause {
    match error {
        OpenError::Refused { .. } => EndCause::ProtocolError,
        _ => EndCause::WorkerCrash,
    }
}

/// Counts the session's end and logs it, once: no gateway is there to do it.
fn settle(
    door: &Inner,
    ticket: &Ticket,
    cause: EndCause,
    lasted: Duration,
    outcome: Option<&Outcome>,
) {
    let kind = ticket.demand.kind;
    door.metrics.sessions.ended.inc((kind, cause));
    let (up, down) = outcome.map(|outcome| (outcome.up, outcome.down)).unwrap_or_default();
    if let Some(outcome) = outcome {
        door.metrics.sessions.duration.observe(kind, lasted);
        let by = match outcome.ended_by {
            EndedBy::Client => ClosedBy::Client,
            EndedBy::Upstream | EndedBy::Relay => ClosedBy::Worker,
        };
        door.metrics.relay.closes.inc((by, outcome.close_code().into()));
    }
    tracing::info!(
        session = %ticket.session,
        cause = cause.as_str(),
        seconds = lasted.as_secs_f64(),
        came = outcome.is_some(),
        bytes_to_browser = up.bytes,
        bytes_to_client = down.bytes,
        messages_to_browser = up.messages,
        messages_to_client = down.messages,
        "session ended"
    );
}

#[cfg(test)]
mod tests;
