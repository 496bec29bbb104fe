//! The parts that roles are put together from: what the settings mean to each of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flotilla_core::WorkerId;
use flotilla_core::config::Config;
use flotilla_core::keyring::SharedKeyring;
use flotilla_core::launch_options::LaunchPolicy;
use flotilla_core::pool::Limits;
use flotilla_core::refusal::Served;
use flotilla_core::wanted::Defaults;
use flotilla_gateway::{EVERYBODY, GatewayConfig};
use flotilla_worker::WorkerConfig;
use flotilla_worker::driver::{DriverConfig, DriverLauncher, ExecShim};
use flotilla_worker::provision::Catalogue;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;

/// How often the memory of browsers is measured, and idle drivers are looked for.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// Open files that a gateway needs beside its sessions: pages, workers that are dialled back, Redis.
const OWN_FILES: usize = 160;
/// How long a browser or a driver that is not the default one is kept without work.
const IDLE: Duration = Duration::from_secs(600);

pub(crate) async fn reap(launcher: Arc<DriverLauncher>) {
    loop {
        tokio::time::sleep(MEASURE_EVERY).await;
        launcher.reap_idle();
    }
}

pub(crate) fn catalogue(config: &Config) -> anyhow::Result<Catalogue> {
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

pub(crate) fn flat(catalogue: &Catalogue) -> Vec<Served> {
    let pairs = |(version, kinds): (_, Vec<_>)| kinds.into_iter().map(move |kind| (kind, version));
    catalogue.serves().into_iter().flat_map(pairs).collect()
}

/// What clients get that name nothing: kept ready from the start.
pub(crate) fn default_served(config: &Config, catalogue: &Catalogue) -> Option<Served> {
    let kind = config.browsers.default_browser;
    let version = config.browsers.default_version.or_else(|| catalogue.default_version(kind))?;
    flat(catalogue).into_iter().find(|served| *served == (kind, version))
}

/// Lets this process have as many open files as it is allowed to ask for, and tells how many that
/// is. Shells and service managers start programs with 1024, which is 500 sessions.
pub(crate) fn open_files() -> usize {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, files) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX)
}

pub(crate) async fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    // Every connection will be one.
    open_files();
    let (host, port) = (config.listen.host.as_str(), config.listen.port);
    TcpListener::bind((host, port)).await.with_context(|| {
        format!("cannot listen on {host}:{port}. Choose another port (--port or PORT), or stop what uses this one")
    })
}

pub(crate) fn driver_config(
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

pub(crate) fn worker_config(
    config: &Config,
    serves: Vec<Served>,
    default: Option<Served>,
) -> anyhow::Result<WorkerConfig> {
    let id = match &config.fleet.worker_id {
        Some(id) => WorkerId(id.clone()),
        None => WorkerId::from_random(random()?),
    };
    Ok(WorkerConfig {
        id,
        limits: limits(config),
        serves,
        keep_ready: default.map(|(kind, version)| (kind, version, EVERYBODY.to_owned())),
        measure_every: MEASURE_EVERY,
        started_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        release: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bits = [0; N];
    getrandom::fill(&mut bits).context("the system gives no random numbers")?;
    Ok(bits)
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

pub(crate) fn gateway_config(
    config: &Config,
    default: Option<Served>,
    address: SocketAddr,
    operators: Option<SharedKeyring>,
) -> GatewayConfig {
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
            redirect: config.fleet.redirect,
        },
        most_sessions: open_files().saturating_sub(OWN_FILES) / 2,
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
        shutdown_grace: None,
        operators,
    }
}

/// An address to connect to: a wildcard is none.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
