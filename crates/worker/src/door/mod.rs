//! The worker's own listener: where gateways, and clients that were sent here, bring sessions.
//!
//! Nobody gets in without a ticket, and nobody gives orders whom the fleet's secret does not vouch
//! for; see `flotilla_core::ticket` and `flotilla_core::order`.

mod admission;
mod answer;
mod direct;
mod hello;
mod order;
mod pages;
mod session;
mod tally;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flotilla_core::Advert;
use flotilla_core::board::Board;
use flotilla_core::keyring::SharedKeyring;
use flotilla_core::metrics::{Metrics, Process};
use flotilla_core::order::{Desk, Order, OrderError};
use flotilla_core::ticket::{Gate, Route, Ticket, TicketError};
use flotilla_core::wire;
use flotilla_relay::head::{HeadError, read_request_head};
use flotilla_relay::{RelayOptions, RequestHead};
use tokio::net::{TcpListener, TcpStream};

use crate::session::Worker;

/// How patient a door is, and how large a head it reads.
#[derive(Clone, Debug)]
pub struct DoorConfig {
    /// How long a request head may take.
    pub handshake_timeout: Duration,
    /// How large a request head may be, in bytes, beyond its ticket.
    pub handshake_limit: usize,
    /// How long a slot is kept for a client that was sent here.
    pub reservation_timeout: Duration,
    /// How often both sides of a session are pinged.
    pub ping_interval: Duration,
    /// How long a side may be silent, pongs included.
    pub peer_timeout: Duration,
    /// What this process takes of the machine, for the page of metrics.
    pub process: fn() -> Option<Process>,
}

/// What a door tells about itself as it happens, for counters.
pub trait DoorObserver: Send + Sync + 'static {
    /// A ticket was not taken.
    fn ticket_refused(&self, error: TicketError);
    /// An order was not taken.
    fn order_refused(&self, error: OrderError);
}

/// A worker's listener. Clones are the same door.
#[derive(Clone, Debug)]
pub struct Door(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) worker: Worker,
    pub(crate) config: DoorConfig,
    pub(crate) keyring: SharedKeyring,
    pub(crate) board: Arc<Board>,
    metrics: Arc<Metrics>,
    observer: Arc<dyn DoorObserver>,
    started: Instant,
    // Std mutexes: held for a look, never across an await.
    gate: Mutex<Gate>,
    desk: Mutex<Desk>,
    reservations: direct::Reservations,
    tally: tally::Tally,
}

impl Door {
    /// The door of this worker. `started` is the zero of its uptime.
    pub fn new(
        worker: Worker,
        config: DoorConfig,
        keyring: SharedKeyring,
        board: Arc<Board>,
        started: Instant,
        metrics: Arc<Metrics>,
        observer: Arc<dyn DoorObserver>,
    ) -> Self {
        let Advert { id, instance, .. } = board.read(Duration::ZERO);
        let gate = Mutex::new(Gate::new(id.clone(), instance.clone()));
        let desk = Mutex::new(Desk::new(id, instance));
        Self(Arc::new(Inner {
            worker,
            config,
            keyring,
            board,
            metrics,
            observer,
            started,
            gate,
            desk,
            reservations: direct::Reservations::default(),
            tally: tally::Tally::default(),
        }))
    }

    /// Serves everybody who connects, until the future is dropped. Sessions that have begun go on
    /// without it.
    ///
    /// # Errors
    /// When the listener is broken.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        loop {
            match listener.accept().await {
                Ok((peer, _)) => {
                    tokio::spawn(connection(self.0.clone(), peer));
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
                // One connection broke, or a shortage that passes (accept(2)).
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection just now");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Inner {
    /// The advert as of now, signed.
    pub(crate) fn advert(&self) -> String {
        self.board.read(self.started.elapsed()).seal(&self.keyring.get())
    }

    /// Where gateways dial this worker.
    pub(crate) fn endpoint(&self) -> String {
        self.board.read(self.started.elapsed()).endpoint
    }

    /// Takes a ticket, once.
    pub(crate) fn take(&self, text: &str, routes: &[Route]) -> Result<Ticket, TicketError> {
        let uptime = self.started.elapsed();
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = gate.take(&self.keyring.get(), text, routes, uptime);
        drop(gate);
        taken.inspect_err(|error| self.observer.ticket_refused(*error))
    }

    /// Takes an order, once.
    pub(crate) fn take_order(&self, text: &str) -> Result<Order, OrderError> {
        let uptime = self.started.elapsed();
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = desk.take(&self.keyring.get(), text, uptime);
        drop(desk);
        taken.inspect_err(|error| self.observer.order_refused(*error))
    }

    pub(crate) fn relay_options(&self) -> RelayOptions {
        RelayOptions {
            ping_interval: self.config.ping_interval,
            client_timeout: self.config.peer_timeout,
            upstream_timeout: self.config.peer_timeout,
            ..RelayOptions::default()
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Serves one connection from its first byte.
async fn connection(door: Arc<Inner>, mut peer: TcpStream) {
    // Small messages both ways: waiting to fill a packet would only add latency.
    let _ = peer.set_nodelay(true);
    let deadline = tokio::time::Instant::now() + door.config.handshake_timeout;
    let limit = door.config.handshake_limit + flotilla_core::ticket::LONGEST_TEXT;
    match read_request_head(&mut peer, limit, deadline).await {
        Ok((head, rest)) => route(&door, peer, head, rest).await,
        // A connection that was only opened and closed again: a port check.
        Err(HeadError::ClosedEarly { received: 0 } | HeadError::Io(_)) => {}
        Err(error) => {
            let words = format!("{error}\n");
            answer::text(&mut peer, error.status(), "bad_handshake", &words).await;
        }
    }
}

async fn route(door: &Arc<Inner>, mut peer: TcpStream, head: RequestHead, rest: bytes::Bytes) {
    let path = head.path().to_owned();
    if let Some(ticket) = path.strip_prefix(wire::SESSION_PATH) {
        return session::serve(door, peer, head, rest, ticket).await;
    }
    if let Some(ticket) = path.strip_prefix(wire::RESERVE_PATH) {
        return direct::reserve(door, peer, ticket).await;
    }
    if let Some(text) = path.strip_prefix(wire::ORDER_PATH) {
        return order::serve(door, &mut peer, &head.method, text).await;
    }
    if let Some(nonce) = path.strip_prefix(wire::HELLO_PATH) {
        return hello::answer(door, &mut peer, nonce).await;
    }
    match path.as_str() {
        "/healthz" => answer::text(&mut peer, 200, "ok", "ok\n").await,
        "/readyz" => hello::ready(door, &mut peer).await,
        "/status.json" => pages::status(door, &mut peer).await,
        "/metrics" => pages::metrics(door, &mut peer).await,
        _ => {
            let words = "this is a worker of a Flotilla grid: clients connect to its gateways\n";
            answer::text(&mut peer, 404, "not_found", words).await;
        }
    }
}
