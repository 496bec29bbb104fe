//! A grid in one process: gateway, one worker and the registry between them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flotilla_core::config::{Config, Loaded};
use flotilla_core::ending::Ending;
use flotilla_core::id::WorkerId;
use flotilla_core::launch_options::LaunchPolicy;
use flotilla_core::metrics::Metrics;
use flotilla_core::pool::Limits;
use flotilla_core::refusal::Served;
use flotilla_core::registry::Registry as _;
use flotilla_core::status::{Status, WorkerState};
use flotilla_core::wanted::Defaults;
use flotilla_gateway::{EVERYBODY, Gateway, GatewayConfig};
use flotilla_registry::InProcess;
use flotilla_worker::driver::{DriverConfig, DriverLauncher, ExecShim};
use flotilla_worker::provision::Catalogue;
use flotilla_worker::{Worker, WorkerConfig};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::local::{Counted, Local};

/// How often the memory of browsers is measured, and idle drivers are looked for.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// How long a browser or a driver that is not the default one is kept without work.
const IDLE: Duration = Duration::from_secs(600);
/// How long the last sessions may take to read why they were ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running grid.
#[derive(Debug)]
pub struct Grid {
    gateway: Gateway<InProcess, Local>,
    worker: Worker,
    launcher: Arc<DriverLauncher>,
    address: SocketAddr,
    serving: JoinHandle<std::io::Result<()>>,
    housekeeping: JoinHandle<()>,
    drain_timeout: Duration,
}

impl Grid {
    /// Starts everything and binds the listener; browsers may still be coming up.
    ///
    /// # Errors
    /// When nothing is installed, the port is taken, or the run directory cannot be made.
    pub async fn start(loaded: &Loaded) -> anyhow::Result<Self> {
        let config = &loaded.config;
        let catalogue = catalogue(config)?;
        let default = default_served(config, &catalogue);
        let listener = bind(config).await?;
        let address = listener.local_addr()?;
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
        let registry = Arc::new(InProcess::new());
        let publish = registry.clone();
        let worker = Worker::start(
            worker_config(config, serves, default)?,
            launcher.clone(),
            events,
            move |advert| publish.publish(advert),
            Arc::new(Counted(metrics.clone())),
        );
        let gateway = Gateway::new(
            gateway_config(config, default, address),
            registry.clone(),
            registry.subscribe(),
            Local(worker.clone()),
            metrics,
        );
        let front = gateway.clone();
        let serving = tokio::spawn(async move { front.serve(listener).await });
        let housekeeping = tokio::spawn(reap(launcher.clone()));
        let drain_timeout = config.timing.drain_timeout;
        Ok(Self { gateway, worker, launcher, address, serving, housekeeping, drain_timeout })
    }

    /// Where clients connect.
    pub fn endpoint(&self) -> String {
        format!("ws://{}", reachable(self.address))
    }

    /// The grid as it is now.
    pub async fn status(&self) -> Status {
        self.gateway.status().await
    }

    /// Resolves when the first browser is up, with the status of that moment; `None` when none
    /// came up in time.
    pub async fn ready(&self, within: Duration) -> Option<Status> {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            let status = self.status().await;
            if status
                .workers
                .iter()
                .any(|w| w.state == WorkerState::Available && !w.browsers.is_empty())
            {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Stops admission, waits for the sessions, at most the drain timeout or until `hurry`
    /// resolves, ends what is left with a reason, and ends every process.
    pub async fn stop(self, hurry: impl Future<Output = ()>) -> Stopped {
        self.gateway.drain();
        let worker = self.worker.drain();
        let drained = async {
            worker.await;
            self.gateway.idle().await;
        };
        tokio::select! {
            () = drained => {}
            () = tokio::time::sleep(self.drain_timeout) => {}
            () = hurry => {}
        }
        let ended = self.gateway.active();
        if ended > 0 {
            self.worker.end_all(Ending::drained());
            let _ = tokio::time::timeout(LAST_WORDS, self.gateway.idle()).await;
        }
        self.serving.abort();
        self.housekeeping.abort();
        self.launcher.shutdown().await;
        Stopped { ended }
    }
}

/// How a grid stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Sessions that were still live when the drain was over, and were ended.
    pub ended: usize,
}

async fn reap(launcher: Arc<DriverLauncher>) {
    loop {
        tokio::time::sleep(MEASURE_EVERY).await;
        launcher.reap_idle();
    }
}

fn catalogue(config: &Config) -> anyhow::Result<Catalogue> {
    let data = &config.places.data;
    let mut catalogue = Catalogue::load(data)
        .with_context(|| format!("cannot read the data folder {}", data.display()))?;
    anyhow::ensure!(
        !catalogue.is_empty(),
        "no browser is installed in {}. Install one first: flotilla browsers install",
        data.display()
    );
    catalogue.restrict(&config.browsers.browsers, &config.browsers.versions);
    anyhow::ensure!(
        !catalogue.is_empty(),
        "nothing that is installed in {} fits the configured browsers and versions. \
         See: flotilla browsers list",
        data.display()
    );
    Ok(catalogue)
}

fn flat(catalogue: &Catalogue) -> Vec<Served> {
    let pairs = |(version, kinds): (_, Vec<_>)| kinds.into_iter().map(move |kind| (kind, version));
    catalogue.serves().into_iter().flat_map(pairs).collect()
}

/// What clients get that name nothing: kept ready from the start.
fn default_served(config: &Config, catalogue: &Catalogue) -> Option<Served> {
    let kind = config.browsers.default_browser;
    let version = config.browsers.default_version.or_else(|| catalogue.default_version(kind))?;
    flat(catalogue).into_iter().find(|served| *served == (kind, version))
}

async fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    let (host, port) = (config.listen.host.as_str(), config.listen.port);
    TcpListener::bind((host, port)).await.with_context(|| {
        format!("cannot listen on {host}:{port}. Choose another port (--port or PORT), or stop what uses this one")
    })
}

fn driver_config(
    config: &Config,
    default_version: Option<flotilla_core::PlaywrightVersion>,
) -> anyhow::Result<DriverConfig> {
    Ok(DriverConfig {
        run_root: config.places.run_dir.clone(),
        shim: ExecShim::current_exe().context("cannot find my own program file")?,
        headless: config.browsers.headless,
        launch_timeout: config.browsers.launch_timeout,
        idle: IDLE,
        default_version,
    })
}

fn worker_config(
    config: &Config,
    serves: Vec<Served>,
    default: Option<Served>,
) -> anyhow::Result<WorkerConfig> {
    let mut bits = [0; 8];
    getrandom::fill(&mut bits).context("the system gives no random numbers")?;
    Ok(WorkerConfig {
        id: WorkerId::from_random(bits),
        limits: limits(config),
        serves,
        keep_ready: default.map(|(kind, version)| (kind, version, EVERYBODY.to_owned())),
        measure_every: MEASURE_EVERY,
        started_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    })
}

fn limits(config: &Config) -> Limits {
    let browsers = &config.browsers;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Limits {
        slots: config.sessions.max_concurrent_sessions as usize,
        browser_sessions: browsers.max_lifetime_sessions,
        margin: browsers.lifetime_margin,
        browser_age: browsers.max_browser_age,
        browser_memory: browsers.max_browser_memory,
        warm: browsers.warm_sessions as usize,
        idle: IDLE,
        launches: cores.max(2),
        refill_delay: Duration::from_millis(250),
        release_timeout: Duration::from_secs(30),
    }
}

fn gateway_config(config: &Config, default: Option<Served>, address: SocketAddr) -> GatewayConfig {
    GatewayConfig {
        defaults: Defaults {
            browser: config.browsers.default_browser,
            isolation: config.sessions.isolation,
            launch: LaunchPolicy {
                headless: config.browsers.headless,
                allowed: config.sessions.allowed_launch_options.clone(),
                allowed_args: config.sessions.allowed_launch_args.clone(),
            },
            expose_network: config.sessions.expose_network,
        },
        default_version: default.map(|served| served.1).or(config.browsers.default_version),
        queue_limit: config.sessions.queue_limit as usize,
        queue_timeout: config.sessions.queue_timeout,
        handshake_timeout: config.listen.handshake_timeout,
        handshake_limit: usize::try_from(config.listen.handshake_limit).unwrap_or(usize::MAX),
        ping_interval: config.timing.ping_interval,
        peer_timeout: config.timing.peer_timeout,
        session_max_duration: config.sessions.session_max_duration,
        endpoint: format!("ws://{}", reachable(address)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// An address to connect to: a wildcard is none.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
