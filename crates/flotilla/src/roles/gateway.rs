//! A gateway of a fleet: a view of the workers, and a way to them.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::WorkerId;
use flotilla_core::config::{Config, Loaded};
use flotilla_core::ending::Ending;
use flotilla_core::keyring::SharedKeyring;
use flotilla_core::metrics::{Fleet, Metrics};
use flotilla_core::registry::Registry as _;
use flotilla_core::status::Status;
use flotilla_core::view::{Notice, Patience};
use flotilla_gateway::handover::{Door, HandedOver, Predecessor};
use flotilla_gateway::{Gateway, GatewayConfig, Remote, RemoteConfig};
use flotilla_registry::SharedView;
use flotilla_registry::redis::{RedisAddress, Subscriber, Subscription};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::secret;
use crate::grid::Stopped;
use crate::local::Counted;
use crate::parts::{bind, gateway_config, reachable};

/// How long the last sessions may take to read why they were ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a successor may take until it can reach the workers that its predecessor can.
const WORKERS_WITHIN: Duration = Duration::from_secs(10);
/// How long after its readiness a predecessor may be gone: then its successor can be replaced too.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// A running gateway.
#[derive(Debug)]
pub struct GatewayRole {
    gateway: Front,
    address: SocketAddr,
    subscriber: Subscriber,
    serving: JoinHandle<std::io::Result<()>>,
    following: JoinHandle<()>,
    replacing: JoinHandle<HandedOver>,
    drain_timeout: Duration,
}

type Front = Gateway<SharedView, Remote<SharedView>>;

/// What a gateway took over when it started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TakenOver {
    /// From that process.
    pub pid: u32,
    /// So many sessions at once.
    pub sessions: usize,
    /// So many connections the predecessor still had.
    pub left: usize,
    /// How long it took, from readiness on.
    pub took: Duration,
}

impl GatewayRole {
    /// Starts everything and binds the listener; Redis may be away, and workers may come later.
    ///
    /// # Errors
    /// When the port is taken, or a setting makes no sense.
    pub async fn start(loaded: &Loaded) -> anyhow::Result<Self> {
        let config = &loaded.config;
        secret::keyring(&config.fleet)?;
        RedisAddress::parse(&config.redis)?;
        let listener = bind(config).await.map_err(|error| {
            match Door::path(&config.places.run_dir, config.listen.port).exists() {
                true => error.context("a gateway runs here. To take its place: --take-over"),
                false => error,
            }
        })?;
        let (port, run_dir) = (listener.local_addr()?.port(), &config.places.run_dir);
        let door = Door::open(run_dir, &listener, port).await;
        let parts = Parts::new(loaded, listener.local_addr()?)?;
        parts.metrics.handover.generation.set((), 1);
        let serving = parts.serve(listener);
        let replacing = tokio::spawn(hand_over(parts.gateway.clone(), door));
        Ok(parts.role(serving, replacing))
    }

    /// Takes the place of the gateway that has this port and run directory, with its listener and
    /// its sessions.
    ///
    /// # Errors
    /// When there is none, it does not hand over, or its workers cannot be reached from here. That
    /// gateway goes on as if nothing had been asked.
    pub async fn take_over(loaded: &Loaded) -> anyhow::Result<(Self, TakenOver)> {
        let config = &loaded.config;
        let (port, run_dir) = (config.listen.port, &config.places.run_dir);
        anyhow::ensure!(
            port != 0,
            "--take-over needs the port of the gateway that runs: --port or PORT"
        );
        let release = env!("CARGO_PKG_VERSION");
        let (predecessor, listener) = Predecessor::find(run_dir, port, release).await?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let parts = Parts::new(loaded, listener.local_addr()?)?;
        parts.knows_the_workers_of(&predecessor).await?;
        parts.metrics.handover.generation.set((), predecessor.generation() + 1);
        let clients = listener.as_fd().try_clone_to_owned()?;
        let pid = predecessor.pid();
        let serving = parts.serve(listener);
        let successor = predecessor.take(&parts.gateway).await.map_err(|error| {
            anyhow::Error::new(error).context(format!("process {pid}, which handed over, is gone"))
        });
        let (taken, rest) = match successor {
            Ok(successor) => {
                let (sessions, left, took) = (successor.sessions, successor.left, successor.took);
                (TakenOver { pid, sessions, left, took }, Some(successor))
            }
            // What came is here, and so is everybody who has connected since.
            Err(error) => {
                tracing::error!("{error:#}: going on with what it gave");
                let (sessions, took) = (parts.gateway.active(), Duration::ZERO);
                (TakenOver { pid, sessions, left: 0, took }, None)
            }
        };
        let (tell, gone) = oneshot::channel();
        let (gateway, run_dir) = (parts.gateway.clone(), run_dir.clone());
        let replacing = tokio::spawn(async move {
            if let Some(rest) = rest {
                let late = rest.take_rest(&gateway).await;
                tracing::info!(pid, late, "the predecessor has nothing left");
            }
            let door = Door::replace(&run_dir, clients, port);
            // Nobody may wait for it.
            let _ = tell.send(());
            hand_over(gateway, door).await
        });
        let _ = tokio::time::timeout(GONE_WITHIN, gone).await;
        Ok((parts.role(serving, replacing), taken))
    }

    /// Resolves when another process has taken this one's place and nothing is left here.
    pub async fn handed_over(&mut self) -> HandedOver {
        match (&mut self.replacing).await {
            Ok(handed) => handed,
            // It broke: nobody can take over, and everything else goes on.
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends what nobody needs after it.
    pub fn leave(self) {
        self.serving.abort();
        self.following.abort();
    }

    /// Where clients connect.
    pub fn endpoint(&self) -> String {
        format!("ws://{}", reachable(self.address))
    }

    /// The grid as this gateway sees it.
    pub async fn status(&self) -> Status {
        self.gateway.status().await
    }

    /// Resolves when an operator wants this process to end.
    pub fn told_to_stop(&self) -> impl Future<Output = ()> + use<> {
        let gateway = self.gateway.clone();
        async move { gateway.told_to_stop().await }
    }

    /// Wants no more clients, lets in those who come meanwhile, and waits for the sessions, at most
    /// the drain timeout or until `hurry` resolves.
    pub async fn stop(self, hurry: impl Future<Output = ()>) -> Stopped {
        let done = async {
            self.gateway.leave().await;
            self.gateway.idle().await;
        };
        tokio::select! {
            () = done => {}
            () = tokio::time::sleep(self.drain_timeout) => {}
            () = hurry => {}
        }
        self.gateway.drain();
        let ended = self.gateway.active();
        if ended > 0 {
            self.gateway.end_all(&Ending::drained());
            let _ = tokio::time::timeout(LAST_WORDS, self.gateway.idle()).await;
        }
        self.serving.abort();
        self.following.abort();
        self.replacing.abort();
        // It takes its socket with it; one that has broken was heard of before.
        if !self.replacing.is_finished() {
            let _ = self.replacing.await;
        }
        drop(self.subscriber);
        Stopped { ended }
    }
}

/// Everything but the listener.
struct Parts {
    gateway: Front,
    address: SocketAddr,
    view: Arc<SharedView>,
    metrics: Arc<Metrics>,
    subscriber: Subscriber,
    following: JoinHandle<()>,
    drain_timeout: Duration,
}

impl Parts {
    fn new(loaded: &Loaded, address: SocketAddr) -> anyhow::Result<Self> {
        let config = &loaded.config;
        let keyring = secret::keyring(&config.fleet)?;
        let redis = RedisAddress::parse(&config.redis)?;
        let metrics = Arc::new(Metrics::new(config, &loaded.hash()));
        let timing = &config.timing;
        let patience = Patience::new(timing.redis_key_ttl, timing.heartbeat_interval);
        let view = Arc::new(SharedView::new(patience));
        let subscriber = Subscriber::spawn(Subscription {
            address: redis,
            view: view.clone(),
            keyring: keyring.clone(),
            key_ttl: timing.redis_key_ttl,
            reaper_interval: timing.reaper_run_interval,
            observer: Arc::new(Counted(metrics.clone())),
        });
        let gateway = Gateway::new(
            GatewayConfig {
                shutdown_grace: Some(config.fleet.shutdown_grace),
                ..gateway_config(config, None, address, Some(keyring.clone()))
            },
            view.clone(),
            view.subscribe(),
            remote(config, &view, &keyring, metrics.clone()),
            metrics.clone(),
        );
        let following = tokio::spawn(secret::follow(config.fleet.clone(), keyring));
        let drain_timeout = timing.drain_timeout;
        Ok(Self { gateway, address, view, metrics, subscriber, following, drain_timeout })
    }

    fn serve(&self, listener: TcpListener) -> JoinHandle<std::io::Result<()>> {
        let front = self.gateway.clone();
        tokio::spawn(async move { front.serve(listener).await })
    }

    /// Waits until whoever connects here finds what it would find there.
    async fn knows_the_workers_of(&self, predecessor: &Predecessor) -> anyhow::Result<()> {
        let mut changed = self.view.subscribe();
        let missing = || -> Vec<WorkerId> {
            let here: Vec<_> =
                self.view.look(|fleet| fleet.workers().map(|w| w.id.clone()).collect());
            predecessor.workers().iter().filter(|id| !here.contains(id)).cloned().collect()
        };
        let all = async { while !missing().is_empty() && changed.changed().await.is_ok() {} };
        if tokio::time::timeout(WORKERS_WITHIN, all).await.is_ok() {
            return Ok(());
        }
        let (missing, here) = (missing(), self.view.offered());
        let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
        let names = names.join(", ");
        anyhow::ensure!(
            predecessor.offers().iter().all(|served| here.contains(served)),
            "the gateway that runs reaches workers that this one does not ({names}): its clients \
             would find nothing here. Nothing was changed. Compare REDIS_URL and the fleet's secret"
        );
        tracing::warn!(workers = names, "taking over without workers that the predecessor reaches");
        Ok(())
    }

    fn role(
        self,
        serving: JoinHandle<std::io::Result<()>>,
        replacing: JoinHandle<HandedOver>,
    ) -> GatewayRole {
        let Self { gateway, address, subscriber, following, drain_timeout, .. } = self;
        GatewayRole { gateway, address, subscriber, serving, following, replacing, drain_timeout }
    }
}

/// Waits for a successor.
async fn hand_over(gateway: Front, door: std::io::Result<Door>) -> HandedOver {
    match door {
        Ok(door) => gateway.hand_over(door).await,
        Err(error) => {
            tracing::warn!(%error, "no other process will be able to take over from this one");
            std::future::pending().await
        }
    }
}

fn remote(
    config: &Config,
    view: &Arc<SharedView>,
    keyring: &SharedKeyring,
    metrics: Arc<Metrics>,
) -> Remote<SharedView> {
    let remote = RemoteConfig {
        select_timeout: config.timing.worker_select_timeout,
        launch_timeout: config.browsers.launch_timeout,
        session_max_duration: config.sessions.session_max_duration,
        ttl: config.timing.redis_key_ttl,
    };
    Remote::new(view.clone(), keyring.clone(), remote, view.subscribe(), move |notice| {
        found(&metrics.fleet, notice);
    })
}

/// Says what was found out about workers.
fn found(metrics: &Fleet, notice: Notice) {
    match notice {
        Notice::Routable(worker) => {
            metrics.registrations.inc(());
            tracing::info!(%worker, "a worker can be reached");
        }
        Notice::Unroutable(worker, why) => {
            metrics.unroutable.inc(());
            tracing::warn!(%worker, why, "a worker cannot be reached: no sessions are sent there");
        }
        Notice::Expired(worker) => {
            metrics.expired.inc(());
            tracing::warn!(%worker, "a worker was not heard of for its TTL: no sessions are sent there");
        }
        Notice::Mistimed { id, heartbeat, ttl } => {
            tracing::error!(
                worker = %id, heartbeat_seconds = heartbeat.as_secs_f64(), ttl_seconds = ttl.as_secs_f64(),
                "a worker's HEARTBEAT_INTERVAL is not shorter than this gateway's REDIS_KEY_TTL: it \
                 will count as gone while it is well. Raise REDIS_KEY_TTL on the gateways first"
            );
        }
        Notice::Duplicate { id, holder, rejected } => {
            metrics.duplicates.inc(());
            tracing::error!(
                worker = %id, holder, rejected,
                "two workers have one name: the first keeps it, the other gets no sessions. \
                 Give it a name of its own (FLOTILLA_WORKER_ID), or none"
            );
        }
    }
}
