//! The gateway: its parts, its listener, and what it tells about itself.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flotilla_core::ending::Ending;
use flotilla_core::keyring::SharedKeyring;
use flotilla_core::metrics::Metrics;
use flotilla_core::refusal::Served;
use flotilla_core::registry::Registry;
use flotilla_core::status::{
    GridState, PoolStatus, QueueStatus, SessionStatus, Slots, Status, WorkerState,
};
use flotilla_core::wanted::Defaults;
use flotilla_core::{BrowserKind, PlaywrightVersion, SessionId};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::active::Active;
use crate::http::{self, Inspect};
use crate::line::Line;
use crate::operator::Vouch;
use crate::way_out::WayOut;
use crate::workers::Workers;

/// What a gateway is told when it is made.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// What applies where clients say nothing.
    pub defaults: Defaults,
    /// The Playwright of clients that do not say theirs.
    pub default_version: Option<PlaywrightVersion>,
    /// How many sessions there may be at a time, waiting ones included. Each takes two open files,
    /// and one that waits must not keep another from being let in.
    pub most_sessions: usize,
    /// How many may wait for a slot.
    pub queue_limit: usize,
    /// How long one may wait.
    pub queue_timeout: Duration,
    /// How long a request head may take.
    pub handshake_timeout: Duration,
    /// How large a request head may be, in bytes.
    pub handshake_limit: usize,
    /// How often both sides are pinged.
    pub ping_interval: Duration,
    /// How long a side may be silent, pongs included.
    pub peer_timeout: Duration,
    /// How long a session may last.
    pub session_max_duration: Option<Duration>,
    /// How long it lets in clients that come although it is leaving. `None` where the gateway is no
    /// process of its own: then it cannot be told to leave either.
    pub shutdown_grace: Option<Duration>,
    /// Where clients connect, for pages.
    pub endpoint: String,
    /// This program's version, for pages.
    pub version: String,
    /// Vouches for operators. Without it only this machine's own users may operate the grid.
    pub operators: Option<SharedKeyring>,
}

/// A gateway. Clones are the same gateway.
#[derive(Debug)]
pub struct Gateway<R: Registry, W: Workers>(pub(crate) Arc<Inner<R, W>>);

pub(crate) struct Inner<R, W> {
    pub(crate) config: GatewayConfig,
    pub(crate) registry: Arc<R>,
    pub(crate) workers: W,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) line: Arc<Line>,
    /// Another process accepts connections.
    pub(crate) resting: watch::Sender<bool>,
    connections: Arc<AtomicUsize>,
    pub(crate) way_out: WayOut,
    /// Sessions from their handshake to their end.
    under_way: AtomicUsize,
    pub(crate) vouch: Vouch,
    /// One for each session that may be here.
    pub(crate) seats: Arc<Semaphore>,
    ready_once: AtomicBool,
    started: Instant,
    // A std mutex: held for map operations, never across an await.
    active: Mutex<HashMap<SessionId, Active>>,
}

impl<R: Registry, W: Workers> Gateway<R, W> {
    /// A gateway over these workers. `changed` wakes whenever the registry's view has changed.
    pub fn new(
        config: GatewayConfig,
        registry: Arc<R>,
        changed: watch::Receiver<()>,
        workers: W,
        metrics: Arc<Metrics>,
    ) -> Self {
        let view = registry.clone();
        let free = move |(kind, version): Served| view.look(|fleet| fleet.free(kind, version));
        let line = Line::new(config.queue_limit, Box::new(free));
        tokio::spawn(call_on_change(line.clone(), changed));
        let seats = Arc::new(Semaphore::new(config.most_sessions.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner {
            vouch: Vouch::new(config.operators.clone()),
            way_out: WayOut::new(config.shutdown_grace.unwrap_or_default()),
            config,
            seats,
            registry,
            workers,
            metrics,
            line,
            resting: watch::Sender::new(false),
            connections: Arc::default(),
            under_way: AtomicUsize::new(0),
            ready_once: AtomicBool::new(false),
            started: Instant::now(),
            active: Mutex::default(),
        }))
    }

    /// Serves everybody who connects, until the future is dropped. Connections that have been
    /// accepted go on without it.
    ///
    /// # Errors
    /// When the listener is broken; being out of file descriptors is not that, and is waited out.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let mut resting = self.0.resting.subscribe();
        loop {
            // The sender lives as long as this gateway.
            let _ = resting.wait_for(|resting| !resting).await;
            let accepted = tokio::select! {
                biased;
                _ = resting.wait_for(|resting| *resting) => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((client, _)) => {
                    let (gateway, connected) = (self.clone(), self.0.connected());
                    tokio::spawn(async move {
                        crate::session::connection(gateway, client).await;
                        drop(connected);
                    });
                }
                Err(error) if is_passing(&error) => {
                    tracing::error!(%error, "cannot accept a connection just now");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// No session is admitted from now on; those that wait are told so.
    pub fn drain(&self) {
        self.0.way_out.end();
    }

    /// Wants no more clients: says so to balancers, and lets in those who come all the same for as
    /// long as the grace lasts. Those who wait keep their turn. Resolves when the grace is over.
    pub async fn leave(&self) {
        self.0.way_out.leave();
        tokio::time::sleep(self.0.way_out.grace_left()).await;
    }

    /// Resolves when an operator wants this process to end.
    pub async fn told_to_stop(&self) {
        self.0.way_out.told_to_stop().await;
    }

    /// How many connections of clients there are, whatever they came for.
    pub(crate) fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    /// How many sessions are relayed now.
    pub fn active(&self) -> usize {
        self.0.active().len()
    }

    /// Ends one of the sessions that are relayed here; `false` when there is no such.
    pub fn end(&self, id: &SessionId, ending: Ending) -> bool {
        let end = self.0.active().get_mut(id).and_then(|active| active.end.take());
        end.is_some_and(|end| end.send(ending).is_ok())
    }

    /// Ends every session that is relayed here.
    pub fn end_all(&self, ending: &Ending) {
        for active in self.0.active().values_mut() {
            if let Some(end) = active.end.take() {
                // It may have ended by itself just now.
                let _ = end.send(ending.clone());
            }
        }
    }

    /// Resolves when nobody has a session any more, nor waits for one.
    pub async fn idle(&self) {
        // A poll is enough for the end of a drain.
        while self.0.under_way.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl<R: Registry, W: Workers> Clone for Gateway<R, W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R, W> std::fmt::Debug for Inner<R, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("config", &self.config).finish_non_exhaustive()
    }
}

async fn call_on_change(line: Arc<Line>, mut changed: watch::Receiver<()>) {
    while changed.changed().await.is_ok() {
        line.call_next();
    }
}

/// Errors of `accept` that concern one connection, or a shortage that passes (accept(2)).
fn is_passing(error: &io::Error) -> bool {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
        || matches!(error.raw_os_error(), Some(ENOMEM | ENFILE | EMFILE | ENOBUFS))
}

/// A connection of a client, until it is dropped.
pub(crate) struct Connected(Arc<AtomicUsize>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<R, W> Inner<R, W> {
    pub(crate) fn connected(&self) -> Connected {
        self.connections.fetch_add(1, Ordering::SeqCst);
        Connected(self.connections.clone())
    }

    pub(crate) fn active(&self) -> MutexGuard<'_, HashMap<SessionId, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a session for as long as the guard lives.
    pub(crate) fn begin(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(&self.under_way)
    }

    /// Takes the session off the list, and counts what passed since it was last counted.
    pub(crate) fn unlist(&self, id: &SessionId) {
        if let Some(mut gone) = self.active().remove(id) {
            gone.count(&self.metrics.relay);
        }
    }
}

/// A session that is somewhere between its handshake and its end.
pub(crate) struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<R: Registry, W: Workers> Inner<R, W> {
    /// Every browser and version that is served, and how many slots and waiters each has.
    fn pools(&self) -> Vec<PoolStatus> {
        let mut pools: BTreeMap<Served, (u32, u32)> = BTreeMap::new();
        for served in self.registry.offered() {
            pools.entry(served).or_default();
        }
        for active in self.active().values() {
            pools.entry(active.served).or_default().0 += 1;
        }
        for (served, waiting) in self.line.waiting() {
            pools.entry(served).or_default().1 += to_u32(waiting);
        }
        let default = (self.config.defaults.browser, self.default_version());
        pools
            .into_iter()
            .map(|((browser, version), (used, queued))| PoolStatus {
                browser,
                version,
                used,
                queued,
                default: (browser, Some(version)) == default,
            })
            .collect()
    }

    /// The Playwright of clients that do not say theirs: configured, or the newest that has the
    /// default browser.
    pub(crate) fn default_version(&self) -> Option<PlaywrightVersion> {
        self.config.default_version.or_else(|| self.newest(self.config.defaults.browser))
    }

    pub(crate) fn newest(&self, kind: BrowserKind) -> Option<PlaywrightVersion> {
        let offered = self.registry.offered();
        offered.into_iter().filter(|served| served.0 == kind).map(|served| served.1).max()
    }

    pub(crate) fn sessions(&self) -> Vec<SessionStatus> {
        let mut sessions: Vec<_> = self
            .active()
            .iter()
            .map(|(id, active)| SessionStatus {
                id: id.to_string(),
                browser: active.served.0,
                version: active.served.1,
                isolation: active.isolation.as_str().to_owned(),
                started_at: active.began_at,
                age_seconds: active.began.elapsed().as_secs_f64(),
                worker: active.worker.clone(),
            })
            .collect();
        sessions.sort_by(|a, b| b.age_seconds.total_cmp(&a.age_seconds));
        sessions
    }

    fn slots(&self) -> Slots {
        self.registry.look(|fleet| {
            fleet.workers().fold(Slots::default(), |mut slots, worker| {
                slots.total += to_u32(worker.slots);
                slots.used += to_u32(worker.used);
                slots.free += to_u32(worker.free());
                if worker.draining {
                    slots.draining += to_u32(worker.slots.saturating_sub(worker.used));
                }
                slots
            })
        })
    }

    fn state(&self, any_available: bool) -> GridState {
        if !self.way_out.is_open() {
            return GridState::Draining;
        }
        if any_available {
            self.ready_once.store(true, Ordering::Relaxed);
        }
        match self.ready_once.load(Ordering::Relaxed) {
            true => GridState::Ready,
            false => GridState::Starting,
        }
    }
}

impl<R: Registry, W: Workers> Inspect for Inner<R, W> {
    async fn status(&self) -> Status {
        let workers = self.workers.report().await;
        let takes = [WorkerState::Available, WorkerState::Busy];
        let available = workers.iter().any(|w| takes.contains(&w.state));
        Status {
            version: self.config.version.clone(),
            state: self.state(available),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            endpoint: self.config.endpoint.clone(),
            registry: self.registry.status(),
            slots: self.slots(),
            queue: QueueStatus {
                depth: to_u32(self.line.waiting().values().sum()),
                limit: to_u32(self.config.queue_limit),
                oldest_wait_seconds: self.line.oldest_wait().as_secs_f64(),
            },
            pools: self.pools(),
            workers,
            sessions: self.sessions(),
        }
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn render_metrics(&self, status: &Status) -> String {
        for active in Inner::active(self).values_mut() {
            active.count(&self.metrics.relay);
        }
        self.metrics.render_prometheus(status, crate::proc::figures().as_ref())
    }

    fn active(&self) -> usize {
        Inner::active(self).len()
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl<R: Registry, W: Workers> Gateway<R, W> {
    /// The grid as it is now.
    pub async fn status(&self) -> Status {
        self.0.status().await
    }

    pub(crate) async fn serve_http(&self, first: bytes::Bytes, client: tokio::net::TcpStream) {
        http::serve(first, client, self.0.clone()).await;
    }
}
