//! A worker of a fleet: browsers, its own door, and a word in the registry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use flotilla_core::board::Board;
use flotilla_core::config::{Config, Loaded};
use flotilla_core::ending::Ending;
use flotilla_core::metrics::Metrics;
use flotilla_core::order::Deed;
use flotilla_core::status::WorkerState;
use flotilla_core::ticket::millis;
use flotilla_core::{Advert, Instance};
use flotilla_registry::redis::{
    Announcement, Announcer, RedisAddress, WorkerCommand, local_address_towards,
};
use flotilla_worker::door::{Door, DoorConfig};
use flotilla_worker::driver::DriverLauncher;
use flotilla_worker::{Leave, Worker, WorkerConfig};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::secret;
use crate::grid::Stopped;
use crate::local::Counted;
use crate::parts::{
    bind, catalogue, default_served, driver_config, flat, random, reap, worker_config,
};

/// How long the last sessions may take to read why they were ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running worker.
#[derive(Debug)]
pub struct WorkerRole {
    worker: Worker,
    launcher: Arc<DriverLauncher>,
    identity: Advert,
    announcer: Announcer,
    tasks: Vec<JoinHandle<()>>,
}

impl WorkerRole {
    /// Starts everything and binds the listener; browsers may still be coming up, and Redis may be
    /// away.
    ///
    /// # Errors
    /// When nothing is installed, the port is taken, or a setting makes no sense.
    pub async fn start(loaded: &Loaded) -> anyhow::Result<Self> {
        let config = &loaded.config;
        let started = Instant::now();
        let keyring = secret::keyring(&config.fleet)?;
        let redis = RedisAddress::parse(&config.redis)?;
        let catalogue = catalogue(config)?;
        let default = default_served(config, &catalogue);
        let listener = bind(config).await?;
        let endpoint = endpoint(config, &redis, listener.local_addr()?).await?;
        let metrics = Arc::new(Metrics::new(config, &loaded.hash()));
        let driver = driver_config(config, default.map(|served| served.1))?;
        let serves = flat(&catalogue);
        let (launcher, events) = DriverLauncher::new(driver, catalogue).with_context(|| {
            format!("cannot use the run directory {}", config.places.run_dir.display())
        })?;
        let launcher = Arc::new(launcher);
        if let Some((_, version)) = default {
            launcher.prestart(version);
        }
        let worker_config = worker_config(config, serves, default)?;
        let identity = identity(config, &worker_config, endpoint)?;
        let board = Arc::new(Board::new(identity.clone()));
        let (posted, news) = watch::channel(());
        let posts = board.clone();
        let worker = Worker::start(
            worker_config,
            launcher.clone(),
            events,
            move |advert| {
                if posts.post(&advert) {
                    posted.send_replace(());
                }
            },
            Arc::new(Counted(metrics.clone())),
        );
        let counted = Arc::new(Counted(metrics.clone()));
        let door = Door::new(
            worker.clone(),
            door_config(config),
            keyring.clone(),
            board.clone(),
            started,
            metrics,
            counted.clone(),
        );
        let (told, commands) = mpsc::unbounded_channel();
        let announcer = Announcer::spawn(Announcement {
            address: redis,
            board,
            news,
            started,
            keyring: keyring.clone(),
            heartbeat: config.timing.heartbeat_interval,
            key_ttl: config.timing.redis_key_ttl,
            commands: told,
            observer: counted,
        });
        let tasks = vec![
            tokio::spawn(serve(door, listener)),
            tokio::spawn(reap(launcher.clone())),
            tokio::spawn(secret::follow(config.fleet.clone(), keyring)),
            tokio::spawn(follow(commands, worker.clone(), config.timing.drain_timeout)),
        ];
        Ok(Self { worker, launcher, identity, announcer, tasks })
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.identity.id.0
    }

    /// Where gateways dial it.
    pub fn endpoint(&self) -> &str {
        &self.identity.endpoint
    }

    /// Resolves when the first browser is up; `false` when none came up in time.
    pub async fn ready(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            let status = self.worker.inspect().await;
            let up = |status: &flotilla_core::status::WorkerStatus| {
                status.state == WorkerState::Available && !status.browsers.is_empty()
            };
            if status.as_ref().is_some_and(up) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// Changes when an operator has told it to end.
    pub fn leaving(&self) -> watch::Receiver<Option<Leave>> {
        self.worker.leaving()
    }

    /// Stops admission, waits for the sessions until `patience` resolves, ends what is left with
    /// a reason, and ends every process.
    pub async fn stop(self, patience: impl Future<Output = ()>) -> Stopped {
        let drained = self.worker.leave();
        tokio::pin!(drained);
        let left = tokio::select! {
            () = &mut drained => 0,
            () = patience => self.live().await,
        };
        if left > 0 {
            self.worker.end_all(Ending::drained());
            let _ = tokio::time::timeout(LAST_WORDS, drained).await;
        }
        self.announcer.stop().await;
        // The door stays open as long as anything of it runs: who waits for its end sees that.
        self.launcher.shutdown().await;
        self.tasks.iter().for_each(JoinHandle::abort);
        Stopped { ended: left }
    }

    async fn live(&self) -> usize {
        self.worker.sessions().await.map_or(0, |sessions| sessions.len())
    }
}

/// Follows the commands that operators leave in Redis.
async fn follow(
    mut commands: mpsc::UnboundedReceiver<WorkerCommand>,
    worker: Worker,
    drain_timeout: Duration,
) {
    while let Some(command) = commands.recv().await {
        let deed = match command {
            WorkerCommand::Drain => Deed::Drain,
            WorkerCommand::Undrain => Deed::Undrain,
            WorkerCommand::Shutdown => {
                Deed::Shutdown { within_seconds: Some(drain_timeout.as_secs()) }
            }
        };
        worker.carry_out(deed).await;
    }
}

async fn serve(door: Door, listener: tokio::net::TcpListener) {
    if let Err(error) = door.serve(listener).await {
        tracing::error!(%error, "the listener is broken");
    }
}

/// Where gateways dial this worker: the configured name, else this machine's own address on the
/// way to Redis.
async fn endpoint(
    config: &Config,
    redis: &RedisAddress,
    bound: SocketAddr,
) -> anyhow::Result<String> {
    let port = bound.port();
    let ip = match &config.fleet.private_hostname {
        Some(name) => return Ok(format!("{name}:{port}")),
        None if !bound.ip().is_unspecified() => bound.ip(),
        None => local_address_towards(redis).await.context(
            "cannot tell under which address gateways reach this worker: set PRIVATE_HOSTNAME",
        )?,
    };
    Ok(SocketAddr::new(ip, port).to_string())
}

fn identity(config: &Config, worker: &WorkerConfig, endpoint: String) -> anyhow::Result<Advert> {
    Ok(Advert {
        id: worker.id.clone(),
        instance: Instance::from_random(random()?),
        started_at: worker.started_at,
        endpoint: endpoint.clone(),
        public: config.fleet.public_endpoint.as_deref().map(|public| public_at(public, &endpoint)),
        release: worker.release.clone(),
        heartbeat_ms: millis(config.timing.heartbeat_interval),
        slots: worker.limits.slots,
        starting: true,
        serves: worker.serves.clone(),
        ..Advert::default()
    })
}

/// Where clients reach a worker that gateways reach there.
fn public_at(public: &str, endpoint: &str) -> String {
    let (host, port) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
    public.replace("{host}", host).replace("{port}", port)
}

fn door_config(config: &Config) -> DoorConfig {
    DoorConfig {
        handshake_timeout: config.listen.handshake_timeout,
        handshake_limit: usize::try_from(config.listen.handshake_limit).unwrap_or(usize::MAX),
        reservation_timeout: config.fleet.reservation_timeout,
        ping_interval: config.timing.ping_interval,
        peer_timeout: config.timing.peer_timeout,
        process: flotilla_gateway::proc::figures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_endpoint_may_name_the_host_and_the_port_of_its_own_worker() {
        for (public, endpoint, expected) in [
            ("ws://127.0.0.1:{port}", "10.0.0.7:3131", "ws://127.0.0.1:3131"),
            ("ws://{host}:{port}", "worker-1.internal:3131", "ws://worker-1.internal:3131"),
            ("ws://{host}:{port}", "[fd00::1]:3131", "ws://[fd00::1]:3131"),
            ("wss://grid.example/worker-1", "10.0.0.7:3131", "wss://grid.example/worker-1"),
        ] {
            assert_eq!(public_at(public, endpoint), expected);
        }
    }
}
