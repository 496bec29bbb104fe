//! A grid in one process: gateway, one worker and the registry between them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use flotilla_core::config::Loaded;
use flotilla_core::ending::Ending;
use flotilla_core::keyring::SharedKeyring;
use flotilla_core::metrics::Metrics;
use flotilla_core::status::{Status, WorkerState};
use flotilla_gateway::Gateway;
use flotilla_registry::InProcess;
use flotilla_worker::driver::DriverLauncher;
use flotilla_worker::{Leave, Worker};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::local::{Counted, Local};
use crate::parts::{
    bind, catalogue, default_served, driver_config, flat, gateway_config, reachable, reap,
    worker_config,
};
use crate::roles::secret;

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
    following: Option<JoinHandle<()>>,
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
        let operators = secret::if_any(&config.fleet)?.map(SharedKeyring::new);
        let following = operators
            .clone()
            .map(|keyring| tokio::spawn(secret::follow(config.fleet.clone(), keyring)));
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
            gateway_config(config, default, address, operators),
            registry.clone(),
            registry.subscribe(),
            Local(worker.clone()),
            metrics,
        );
        let front = gateway.clone();
        let serving = tokio::spawn(async move { front.serve(listener).await });
        let housekeeping = tokio::spawn(reap(launcher.clone()));
        Ok(Self { gateway, worker, launcher, address, serving, housekeeping, following })
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

    /// Changes when an operator has told the worker to end, and the grid with it.
    pub fn leaving(&self) -> watch::Receiver<Option<Leave>> {
        self.worker.leaving()
    }

    /// Stops admission, waits for the sessions until `patience` resolves, ends what is left with
    /// a reason, and ends every process.
    pub async fn stop(self, patience: impl Future<Output = ()>) -> Stopped {
        self.gateway.drain();
        let worker = self.worker.leave();
        let drained = async {
            worker.await;
            self.gateway.idle().await;
        };
        tokio::select! {
            () = drained => {}
            () = patience => {}
        }
        let ended = self.gateway.active();
        if ended > 0 {
            self.worker.end_all(Ending::drained());
            let _ = tokio::time::timeout(LAST_WORDS, self.gateway.idle()).await;
        }
        self.serving.abort();
        self.housekeeping.abort();
        self.following.iter().for_each(JoinHandle::abort);
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
