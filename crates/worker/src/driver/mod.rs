//! Runs browsers through drivers: Node processes with `host.mjs` and playwright-core, one for each
//! Playwright version in use.
//!
//! [`DriverLauncher`] is the worker's [`Launcher`]. It starts a driver when a version is first
//! asked for; concurrent launches share it. A task owns each driver (`supervisor`): when the
//! process dies, every pending call fails and every browser's exit is told, each once. Nothing
//! outlives this process, however it dies: drivers die with it and browsers with their driver, by
//! the kernel's parent-death signal (`process`). What is written lies in a locked directory that
//! goes with the run (`rundir`).

mod environment;
mod handle;
mod lines;
mod options;
mod process;
mod protocol;
mod rundir;
mod supervisor;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_core::launcher::{
    BrowserId, Endpoint, LaunchError, LaunchSpec, Launched, Launcher, LauncherEvent,
};
use flotilla_core::{BrowserKind, PlaywrightVersion};
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub use process::ExecShim;
pub use rundir::RunDir;

use crate::provision::{Catalogue, Installed};
use handle::Driver;
use options::Surroundings;
use protocol::{LaunchAnswer, LaunchRequest, Request, WarmAnswer};

const HOST: &str = include_str!("../../../../driver/host.mjs");

/// The driver kills a browser that is not gone 3 s after it was asked to go.
const CLOSE_LIMIT: Duration = Duration::from_secs(6);
/// The driver gives up on contexts after 10 s.
const RELEASE_LIMIT: Duration = Duration::from_secs(12);
/// What the driver may need beyond a launch's own timeout: warming, and killing what hangs.
const LAUNCH_SLACK: Duration = Duration::from_secs(15);

/// How drivers and browsers are run.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Where run directories are made: a short path, since sockets lie in it.
    pub run_root: PathBuf,
    /// How processes are tied to this one.
    pub shim: ExecShim,
    /// Browsers without a window, unless a session asks otherwise.
    pub headless: bool,
    /// How long a browser may take to come up, when the launch options do not say.
    pub launch_timeout: Duration,
    /// How long a driver without browsers is kept by [`DriverLauncher::reap_idle`].
    pub idle: Duration,
    /// The version whose driver is never idle.
    pub default_version: Option<PlaywrightVersion>,
}

/// A driver, for those who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverStatus {
    /// Its Playwright.
    pub version: PlaywrightVersion,
    /// Its process, once it is started.
    pub pid: Option<u32>,
    /// Its browsers, also those that are being launched.
    pub browsers: Vec<BrowserId>,
}

/// The worker's browsers.
///
/// A browser may die while its `launch` returns: its exit can be told before the answer is seen.
/// A `launch` that is dropped before its answer ends what it had begun.
#[derive(Debug)]
pub struct DriverLauncher {
    config: DriverConfig,
    catalogue: Catalogue,
    node: PathBuf,
    host: PathBuf,
    surroundings: Surroundings,
    events: mpsc::UnboundedSender<LauncherEvent>,
    run: Arc<RunDir>,
    drivers: Mutex<BTreeMap<PlaywrightVersion, Arc<Driver>>>,
    wrappers: Mutex<HashMap<PathBuf, PathBuf>>,
    sockets: AtomicU64,
    shut: AtomicBool,
}

impl DriverLauncher {
    /// Makes the run directory; starts nothing yet. The receiver gets every browser's exit.
    ///
    /// # Errors
    /// When there is no Node, or the run directory cannot be made.
    pub fn new(
        config: DriverConfig,
        catalogue: Catalogue,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<LauncherEvent>)> {
        let node = catalogue.node().map_err(io::Error::other)?;
        let run = RunDir::create(&config.run_root)?;
        let host = run.write_program("host.mjs", HOST)?;
        let (events, news) = mpsc::unbounded_channel();
        let launcher = Self {
            surroundings: Surroundings::here(config.headless),
            config,
            catalogue,
            node,
            host,
            events,
            run: Arc::new(run),
            drivers: Mutex::default(),
            wrappers: Mutex::default(),
            sockets: AtomicU64::new(0),
            shut: AtomicBool::new(false),
        };
        Ok((launcher, news))
    }

    /// What can be launched.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The directory of this run.
    pub fn run_dir(&self) -> &Path {
        self.run.path()
    }

    /// The drivers that are running.
    pub fn drivers(&self) -> Vec<DriverStatus> {
        let drivers = lock(&self.drivers);
        let running = drivers.values().filter(|driver| !driver.is_over());
        running.map(|driver| status(driver)).collect()
    }

    /// Starts a version's driver before it is needed: the first launch does not wait for it.
    pub fn prestart(&self, version: PlaywrightVersion) {
        if let Some(installed) = self.catalogue.get(version)
            && !self.shut.load(Ordering::SeqCst)
        {
            self.driver(&mut lock(&self.drivers), version, installed);
        }
    }

    /// Stops drivers that have had no browser for the configured time, except the default's.
    pub fn reap_idle(&self) {
        lock(&self.drivers).retain(|&version, driver| {
            let idle = driver.shared().is_idle(self.config.idle);
            if idle && Some(version) != self.config.default_version {
                driver.stop();
                return false;
            }
            !driver.is_over()
        });
    }

    /// Ends every driver and browser; what is not gone in 3 s is killed. Later launches fail.
    pub async fn shutdown(&self) {
        self.shut.store(true, Ordering::SeqCst);
        let drivers = std::mem::take(&mut *lock(&self.drivers));
        drivers.values().for_each(|driver| driver.stop());
        for driver in drivers.values() {
            driver.ended().await;
        }
    }

    /// The version's driver with the browser entered in it. Both under one lock: nobody can find
    /// the driver idle in between.
    fn enter(&self, spec: &LaunchSpec, installed: &Installed) -> Result<Arc<Driver>, LaunchError> {
        let mut drivers = lock(&self.drivers);
        if self.shut.load(Ordering::SeqCst) {
            return Err(LaunchError::DriverGone {
                version: spec.version,
                why: "the worker is stopping".to_owned(),
            });
        }
        let driver = self.driver(&mut drivers, spec.version, installed);
        if !driver.shared().enter(spec.browser.clone()) {
            let taken = format!("a browser is called {} already", spec.browser);
            return Err(LaunchError::Failed(taken));
        }
        Ok(driver)
    }

    fn driver(
        &self,
        drivers: &mut BTreeMap<PlaywrightVersion, Arc<Driver>>,
        version: PlaywrightVersion,
        installed: &Installed,
    ) -> Arc<Driver> {
        if let Some(driver) = drivers.get(&version).filter(|driver| !driver.is_over()) {
            return Arc::clone(driver);
        }
        let mut command = self.config.shim.command(&self.node);
        command.arg(&self.host).arg(installed.core_dir());
        environment::clean(&mut command, self.run.path());
        command
            .env("TMPDIR", self.run.tmp())
            .env("PLAYWRIGHT_BROWSERS_PATH", self.catalogue.browsers_dir());
        let run = Arc::clone(&self.run);
        let driver = supervisor::start(version, command, self.events.clone(), run);
        let driver = Arc::new(driver);
        drivers.insert(version, Arc::clone(&driver));
        driver
    }

    /// The driver that has a browser.
    fn owner(&self, browser: &BrowserId) -> Option<Arc<Driver>> {
        let drivers = lock(&self.drivers);
        let mut all = drivers.values();
        all.find(|driver| driver.shared().has(browser)).cloned()
    }

    /// The script that starts a program tied to its driver.
    fn wrapper(&self, program: &Path) -> io::Result<PathBuf> {
        let mut wrappers = lock(&self.wrappers);
        if let Some(wrapper) = wrappers.get(program) {
            return Ok(wrapper.clone());
        }
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{}-{name}", wrappers.len());
        let text = self.config.shim.wrapper(program);
        let wrapper = self.run.write_program(&name, &text)?;
        wrappers.insert(program.to_owned(), wrapper.clone());
        Ok(wrapper)
    }

    /// The request to a driver, and where the browser's server will listen.
    fn request(
        &self,
        spec: &LaunchSpec,
        installed: &Installed,
    ) -> Result<(LaunchRequest, Endpoint), LaunchError> {
        let (build, mut options) = options::plan(installed, spec, self.surroundings)?;
        let program = build.executable.clone().unwrap_or_default();
        let here = |error: io::Error| LaunchError::Failed(error.to_string());
        let wrapper = self.wrapper(&program).map_err(here)?;
        options.insert("executablePath".into(), json!(wrapper));
        let number = self.sockets.fetch_add(1, Ordering::Relaxed);
        let endpoint = Endpoint {
            socket: self.run.sockets().join(number.to_string()),
            path: format!("/{}", rundir::random_hex::<16>().map_err(here)?),
        };
        let request = LaunchRequest {
            browser: spec.browser.clone(),
            kind: spec.kind,
            socket: endpoint.socket.clone(),
            path: endpoint.path.clone(),
            timeout: timeout_ms(&options, self.config.launch_timeout),
            options,
            expose_network: spec.expose_network.clone(),
            warm: is_for_the_pool(spec),
        };
        Ok((request, endpoint))
    }

    /// Launches from an installation, which need not be in the catalogue.
    async fn launch_from(
        &self,
        installed: &Installed,
        spec: &LaunchSpec,
    ) -> Result<(Launched, WarmAnswer), LaunchError> {
        let version = spec.version;
        let (request, endpoint) = self.request(spec, installed)?;
        let limit = Duration::from_millis(request.timeout) + LAUNCH_SLACK;
        let driver = self.enter(spec, installed)?;
        let mut unfinished = Unfinished { driver: &driver, browser: Some(&spec.browser) };
        let answer = driver.call(Request::Launch(request), limit).await;
        let fields = answer.map_err(|error| error.into_launch_error(version))?;
        let answer: LaunchAnswer = serde_json::from_value(Value::Object(fields))
            .map_err(|error| LaunchError::Failed(format!("the driver's answer: {error}")))?;
        unfinished.browser = None;
        let launched =
            Launched { pid: answer.pid, browser_version: answer.browser_version, endpoint };
        Ok((launched, answer.warm.unwrap_or_default()))
    }

    /// Tries the browser of a kind in an installation: its version, and what is wrong with it.
    pub(crate) async fn try_out(
        &self,
        installed: &Installed,
        kind: BrowserKind,
    ) -> Result<(String, Option<String>), LaunchError> {
        let number = self.sockets.load(Ordering::Relaxed);
        let spec = LaunchSpec {
            browser: BrowserId(format!("trial-{number}")),
            kind,
            version: installed.manifest.version(),
            options: BTreeMap::new(),
            expose_network: None,
        };
        let (launched, warm) = self.launch_from(installed, &spec).await?;
        self.close(&spec.browser).await;
        Ok((launched.browser_version, warm.error))
    }
}

impl Launcher for DriverLauncher {
    async fn launch(&self, spec: LaunchSpec) -> Result<Launched, LaunchError> {
        let version = spec.version;
        let installed = self.catalogue.get(version);
        let installed = installed.ok_or(LaunchError::NotInstalled { kind: spec.kind, version })?;
        let (launched, warm) = self.launch_from(installed, &spec).await?;
        let browser = &spec.browser;
        if let Some(why) = warm.error {
            tracing::warn!(%browser, why, "the browser could not be warmed");
        }
        let warmed_ms = warm.ms;
        tracing::debug!(%browser, kind = %spec.kind, %version, warmed_ms, "browser launched");
        Ok(launched)
    }

    async fn close(&self, browser: &BrowserId) {
        let Some(driver) = self.owner(browser) else {
            return;
        };
        driver.shared().closing(browser);
        let request = Request::Close { browser: browser.clone() };
        if let Err(error) = driver.call(request, CLOSE_LIMIT).await {
            error.log(browser, "browser not closed in order");
        }
    }

    async fn release(&self, browser: &BrowserId, session: &str) {
        let Some(driver) = self.owner(browser) else {
            return;
        };
        let request = Request::Release { browser: browser.clone(), session: session.to_owned() };
        if let Err(error) = driver.call(request, RELEASE_LIMIT).await {
            error.log(browser, "session not disposed in order");
        }
    }
}

/// A launch whose answer nobody has seen: dropped, it ends what it had begun.
struct Unfinished<'a> {
    driver: &'a Driver,
    browser: Option<&'a BrowserId>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(browser) = self.browser
            && self.driver.shared().give_up(browser)
        {
            self.driver.abandon(browser);
        }
    }
}

/// A browser that is like every other is launched ahead of its sessions and can be warmed. One
/// with a session's own wishes has that session waiting for it.
fn is_for_the_pool(spec: &LaunchSpec) -> bool {
    spec.options.is_empty() && spec.expose_network.is_none()
}

fn timeout_ms(options: &BTreeMap<String, Value>, default: Duration) -> u64 {
    let asked = options.get("timeout").and_then(Value::as_u64);
    let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
    asked.filter(|&ms| ms > 0).map_or(default, |ms| ms.min(default))
}

fn status(driver: &Driver) -> DriverStatus {
    let shared = driver.shared();
    DriverStatus { version: driver.version(), pid: shared.pid, browsers: shared.names() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
