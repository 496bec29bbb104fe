//! The life of a connection: read the head, decide, wait, have it opened, relay, settle.
//!
//! Each phase holds what it took in a guard; leaving early, by a refusal or because the client
//! has gone, gives everything back by dropping it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_core::attempt::Next;
use flotilla_core::ending::EndCause;
use flotilla_core::metrics::{ConnectPhase, Method, QueueResult, Route, RouteClass, StartResult};
use flotilla_core::pool::{Demand, Sharing};
use flotilla_core::refusal::Served;
use flotilla_core::registry::Registry;
use flotilla_core::wanted::{Handshake, Isolation, Wanted, query};
use flotilla_core::wire;
use flotilla_core::{BrowserKind, Refusal, SessionId};
use flotilla_relay::head::{HeadError, read_request_head};
use flotilla_relay::{Counters, Parked, RequestHead, Socket};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::active::Active;
use crate::answer;
use crate::gateway::{Gateway, Inner};
use crate::line::Permit;
use crate::relayed::{Relaying, relayed};
use crate::workers::{Ask, Opened, Taken, Workers};

/// The tenant of everybody, as long as there are no API keys.
pub const EVERYBODY: &str = "everybody";

/// Serves one connection from its first byte.
pub(crate) async fn connection<R: Registry, W: Workers>(
    gateway: Gateway<R, W>,
    mut client: TcpStream,
) {
    // Small messages both ways: waiting to fill a packet would only add latency.
    let _ = client.set_nodelay(true);
    let config = &gateway.0.config;
    let deadline = tokio::time::Instant::now() + config.handshake_timeout;
    match read_request_head(&mut client, config.handshake_limit, deadline).await {
        Ok((head, rest)) if wants_websocket(&head) => session(&gateway.0, client, head, rest).await,
        // Boxed: it would make the future of every session larger.
        Ok((head, rest)) => Box::pin(gateway.serve_http(whole(&head, &rest), client)).await,
        // A connection that was only opened and closed again: a port check.
        Err(HeadError::ClosedEarly { received: 0 } | HeadError::Io(_)) => {}
        Err(error) => {
            tracing::debug!(%error, "a request head that could not be read");
            let refusal = Refusal::other(error.status(), "bad_handshake", error.to_string());
            gateway.0.metrics.http.requests.inc((
                Method::Other,
                Route::Other,
                error.status().into(),
            ));
            answer::refuse(&mut client, &refusal, false, None).await;
        }
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bits = [0; N];
    // A system that cannot give random numbers gave them at start; names may repeat, nothing opens.
    let _ = getrandom::fill(&mut bits);
    bits
}

fn wants_websocket(head: &RequestHead) -> bool {
    head.headers.has_token("upgrade", "websocket")
}

/// The request as it came, for a server that reads it itself.
fn whole(head: &RequestHead, rest: &Bytes) -> Bytes {
    [head.raw().as_ref(), rest.as_ref()].concat().into()
}

struct Head<'a>(&'a RequestHead);

impl Handshake for Head<'_> {
    fn target(&self) -> &str {
        self.0.target()
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.get(name)
    }
}

/// Why a client is not let in.
enum NotStarted {
    Refused(Refusal),
    /// It left while it waited; nobody reads an answer.
    ClientGone,
}

impl From<Refusal> for NotStarted {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A session that a worker has taken.
struct Started<T> {
    id: SessionId,
    served: Served,
    isolation: Isolation,
    worker: String,
    seat: OwnedSemaphorePermit,
    taken: T,
}

async fn session<R: Registry, W: Workers>(
    gateway: &Arc<Inner<R, W>>,
    mut client: TcpStream,
    head: RequestHead,
    early: Bytes,
) {
    let _under_way = gateway.begin();
    let began = Instant::now();
    let in_flight = gateway.metrics.http.in_flight.enter(RouteClass::Connect);
    let mut id = SessionId::from_random(random());
    let json = head.headers.get("accept").is_some_and(|accept| accept.contains("application/json"));
    let mut kind = gateway.config.defaults.browser;
    let started = start(gateway, &client, head, &mut id, &mut kind).await;
    let result = match &started {
        Ok(_) => StartResult::Ok,
        Err(NotStarted::Refused(refusal)) => StartResult::from(refusal),
        Err(NotStarted::ClientGone) => StartResult::ClientError,
    };
    gateway.metrics.connect.seconds.observe((kind, result), began.elapsed());
    gateway.metrics.sessions.started.inc((kind, result));
    let status = match &started {
        Ok(Started { taken: Taken::Relayed(_), .. }) => 101,
        Ok(Started { taken: Taken::Direct(_), .. }) => 307,
        Err(NotStarted::Refused(refusal)) => refusal.status,
        Err(NotStarted::ClientGone) => 499,
    };
    gateway.metrics.http.requests.inc((Method::Get, Route::Connect, status.into()));
    drop(in_flight);
    match started {
        Ok(Started { id, served, isolation, worker, seat, taken: Taken::Relayed(taken) }) => {
            let started = Started { id, served, isolation, worker, seat, taken };
            run(gateway, client, early, started).await;
        }
        // From here on it is the worker's, which also counts its end.
        Ok(Started { id, served, worker, taken: Taken::Direct(redirect), .. }) => {
            tracing::info!(session = %id, browser = %served.0, playwright = %served.1, worker, "session sent to its worker");
            answer::redirect(&mut client, &redirect.location, &id).await;
        }
        Err(NotStarted::Refused(refusal)) => {
            tracing::info!(session = %id, code = refusal.code, "refused");
            answer::refuse(&mut client, &refusal, json, Some(&id)).await;
        }
        Err(NotStarted::ClientGone) => {
            tracing::debug!(session = %id, "the client left before it was let in")
        }
    }
}

/// From the handshake to the browser's answer: understand, wait, choose, dial.
async fn start<R: Registry, W: Workers>(
    gateway: &Arc<Inner<R, W>>,
    client: &TcpStream,
    head: RequestHead,
    id: &mut SessionId,
    kind: &mut BrowserKind,
) -> Result<Started<Taken<W::Lease>>, NotStarted> {
    let began = Instant::now();
    let wanted = understand(gateway, &head, kind)?;
    let served = serveable(gateway, &wanted)?;
    let seat = gateway.seats.clone().try_acquire_owned();
    let seat = seat.map_err(|_| Refusal::gateway_full(gateway.config.most_sessions))?;
    gateway.metrics.connect.phase.observe(ConnectPhase::Auth, began.elapsed());
    let isolation = if wanted.needs_own_browser() { Isolation::Session } else { Isolation::Tenant };
    let direct = wanted.direct;
    let demand = demand(served, wanted);
    let mut ask = Ask { session: id.clone(), demand, handshake: head, direct };
    let taken = tokio::select! {
        taken = wait_and_open(gateway, &mut ask) => taken,
        () = left(client) => return Err(NotStarted::ClientGone),
    };
    *id = ask.session;
    let (worker, taken) = taken?;
    Ok(Started { id: id.clone(), served, isolation, worker, seat, taken })
}

/// What the client wants, or why it makes no sense.
fn understand<R: Registry, W: Workers>(
    gateway: &Inner<R, W>,
    head: &RequestHead,
    kind: &mut BrowserKind,
) -> Result<Wanted, Refusal> {
    head.check_websocket_upgrade()
        .map_err(|error| Refusal::other(error.status(), "bad_handshake", error.to_string()))?;
    if let Some(origin) = head.headers.get("origin") {
        // Playwright's clients send none; a page in some browser does, and means no good.
        let origin: String = origin.chars().take(80).collect();
        return Err(Refusal::not_allowed(format!(
            "connections from web pages are not allowed (Origin: {origin}): connect with a Playwright client"
        )));
    }
    if speaks_another_protocol(head) {
        return Err(Refusal::cdp_not_served());
    }
    let wanted = Wanted::read(&Head(head), &gateway.config.defaults)?;
    *kind = wanted.browser;
    Ok(wanted)
}

/// Every Playwright client says in some header which browser it wants; clients of the DevTools
/// protocol say nothing, and would understand nothing.
fn speaks_another_protocol(head: &RequestHead) -> bool {
    let says = |name: &str| name.to_ascii_lowercase().starts_with("x-playwright-");
    !head.headers.iter().any(|header| says(&header.name))
        && query(head.target(), "browser").is_none()
}

/// The browser and version that will serve it, or which there are instead.
fn serveable<R: Registry, W: Workers>(
    gateway: &Inner<R, W>,
    wanted: &Wanted,
) -> Result<Served, Refusal> {
    if !gateway.way_out.lets_in() {
        return Err(Refusal::draining());
    }
    let all = gateway.registry.offered();
    let version = match wanted.version {
        Some(version) => Some(version),
        None => gateway
            .default_version()
            .filter(|version| all.contains(&(wanted.browser, *version)))
            .or_else(|| gateway.newest(wanted.browser))
            .or_else(|| gateway.default_version()),
    };
    let Some(version) = version.filter(|_| !all.is_empty()) else {
        return Err(Refusal::nothing_served());
    };
    if all.contains(&(wanted.browser, version)) {
        return Ok((wanted.browser, version));
    }
    match all.iter().any(|served| served.1 == version) {
        true => Err(Refusal::browser_not_served(wanted.browser, version, &all)),
        false => Err(Refusal::version_not_served(version, &all)),
    }
}

fn demand((kind, version): Served, wanted: Wanted) -> Demand {
    let sharing = if wanted.needs_own_launch() {
        Sharing::Custom { options: wanted.launch_options, expose_network: wanted.expose_network }
    } else if wanted.needs_own_browser() {
        Sharing::Alone
    } else {
        Sharing::Tenant(EVERYBODY.to_owned())
    };
    Demand { kind, version, sharing }
}

/// Waits for its turn and has the session opened; as often as a slot turns out to be gone.
async fn wait_and_open<R: Registry, W: Workers>(
    gateway: &Arc<Inner<R, W>>,
    ask: &mut Ask,
) -> Result<(String, Taken<W::Lease>), Refusal> {
    let served = (ask.demand.kind, ask.demand.version);
    let mut stay = gateway.line.enter(EVERYBODY, served);
    let mut last_failure = None;
    let deadline = tokio::time::sleep(gateway.config.queue_timeout);
    tokio::pin!(deadline);
    loop {
        let began = Instant::now();
        let (permit, result) = tokio::select! {
            biased;
            () = gateway.way_out.over() => (Err(Refusal::draining()), QueueResult::Draining),
            turn = stay.turn() => match turn {
                Ok(permit) => (Ok(permit), QueueResult::Granted),
                Err(full) => return Err(Refusal::queue_full(full.waiting, full.limit)),
            },
            () = &mut deadline => {
                let refusal = Refusal::deadline_passed(stay.waited(), stay.ahead());
                (Err(refusal.after(last_failure.take())), QueueResult::Timeout)
            }
        };
        gateway.metrics.queue.wait.observe((served.0, result), stay.waited());
        gateway.metrics.connect.phase.observe(ConnectPhase::Queue, began.elapsed());
        match open(gateway, ask, permit?).await? {
            Tried::Taken(worker, taken) => return Ok((worker, *taken)),
            Tried::Again { why, after } => {
                last_failure = why.or(last_failure);
                // That worker may have taken it, or do so yet: what it takes back must not be this.
                ask.session = SessionId::from_random(random());
                tokio::time::sleep(after).await;
            }
        }
    }
}

/// What became of one try.
enum Tried<L> {
    Taken(String, Box<Taken<L>>),
    /// It has its place in the line again, after a while.
    Again {
        why: Option<String>,
        after: Duration,
    },
}

/// Offers the session to the first worker in the order of choice.
async fn open<R: Registry, W: Workers>(
    gateway: &Inner<R, W>,
    ask: &Ask,
    permit: Permit,
) -> Result<Tried<W::Lease>, Refusal> {
    let (kind, version) = (ask.demand.kind, ask.demand.version);
    let Some(worker) = gateway.registry.claim((kind, version)) else {
        return Ok(Tried::Again { why: None, after: Duration::ZERO });
    };
    let (registry, on_its_way) = (gateway.registry.clone(), worker.clone());
    let permit = permit.and_then(move || registry.settle(&on_its_way));
    let began = Instant::now();
    let taken = gateway.workers.open(&worker, ask.clone(), permit).await;
    let others = |wait| gateway.registry.ailing(&worker, (kind, version), wait);
    let phase = &gateway.metrics.connect.phase;
    match taken {
        Ok(taken) => {
            let granted_after = taken.granted_after();
            phase.observe(ConnectPhase::Claim, granted_after);
            phase.observe(ConnectPhase::Dial, began.elapsed().saturating_sub(granted_after));
            Ok(Tried::Taken(worker.to_string(), Box::new(taken)))
        }
        Err(not_opened) => match not_opened.next((kind, version), others) {
            Next::Again { why, after } => Ok(Tried::Again { why, after }),
            Next::Refuse(refusal) => Err(refusal),
        },
    }
}

/// Resolves when the client has closed its connection. What it sends early stays unread.
async fn left(client: &TcpStream) {
    match client.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        // It may send before it is let in; then only the relay can tell when it leaves.
        Ok(_) => std::future::pending().await,
    }
}

/// Lets the client in, relays until the end, and settles.
async fn run<R: Registry, W: Workers>(
    gateway: &Arc<Inner<R, W>>,
    mut client: TcpStream,
    early: Bytes,
    started: Started<Opened<W::Lease>>,
) {
    let Started { id, served, isolation, worker, seat: _seat, taken } = started;
    let Opened { upstream, mut response, ending, lost, lease, .. } = taken;
    let (name, value) = wire::debug_log(&id);
    response.headers.set(name, value);
    let began = Instant::now();
    let traffic = Arc::new(Counters::default());
    let (end, asked) = oneshot::channel();
    let active = Active::new(served, isolation, worker.clone(), traffic.clone(), end);
    let _listed = Listed::new(gateway, &id, active);
    if client.write_all(&response.to_bytes()).await.is_err() {
        gateway.metrics.sessions.ended.inc((served.0, EndCause::ClientLost));
        return;
    }
    gateway.metrics.connect.phase.observe(ConnectPhase::Upgrade, began.elapsed());
    tracing::info!(session = %id, browser = %served.0, playwright = %served.1, isolation = isolation.as_str(), "session started");
    let parked = Box::new(Parked::new(Socket::from(client).with_leftover(early), upstream));
    let limit = gateway.config.session_max_duration;
    let session = Relaying {
        id: id.clone(),
        served,
        isolation,
        worker,
        began,
        limit,
        traffic,
        ending,
        lost,
        asked,
        lease,
        parked,
    };
    relayed(gateway, session).await;
}

/// Shows the session as active for as long as it lives.
pub(crate) struct Listed<'a, R, W> {
    gateway: &'a Inner<R, W>,
    id: &'a SessionId,
}

impl<'a, R: Registry, W: Workers> Listed<'a, R, W> {
    fn new(gateway: &'a Inner<R, W>, id: &'a SessionId, active: Active) -> Self {
        gateway.active().insert(id.clone(), active);
        Self::already(gateway, id)
    }

    /// One that is in the list.
    pub(crate) fn already(gateway: &'a Inner<R, W>, id: &'a SessionId) -> Self {
        Self { gateway, id }
    }
}

impl<R, W> Drop for Listed<'_, R, W> {
    fn drop(&mut self) {
        self.gateway.unlist(self.id);
    }
}

#[cfg(test)]
mod tests;
