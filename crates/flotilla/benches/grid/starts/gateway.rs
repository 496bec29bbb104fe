//! The gateway, with workers that only dial.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_core::config::Config;
use flotilla_core::ending::Ending;
use flotilla_core::metrics::Metrics;
use flotilla_core::order::{Deed, Outcome};
use flotilla_core::status::WorkerStatus;
use flotilla_core::wanted::Defaults;
use flotilla_core::{Advert, BrowserKind, PlaywrightVersion, WorkerId};
use flotilla_gateway::{
    Ask, Gateway, GatewayConfig, NotOpened, Opened, OrderFailed, Permit, Taken, Workers,
};
use flotilla_registry::InProcess;
use flotilla_relay::{RequestHead, ResponseHead, Socket, read_response_head};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::roles::{tell, until_unneeded};

const WORKERS: usize = 10;
const SLOTS: usize = 100;
const SERVED: (BrowserKind, PlaywrightVersion) =
    (BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 });
const ANSWER: Duration = Duration::from_secs(5);

pub(super) async fn serve(origin: &Path) -> anyhow::Result<()> {
    let settings = Config::default();
    // As the product logs; where to is for who starts this.
    flotilla::logging::start(&settings.log);
    let registry = Arc::new(InProcess::new());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let gateway = Gateway::new(
        config(&settings),
        registry.clone(),
        registry.subscribe(),
        Fakes::new(origin, registry),
        Arc::new(Metrics::new(&settings, "")),
    );
    tell(listener.local_addr()?)?;
    tokio::select! {
        broken = gateway.serve(listener) => Ok(broken?),
        () = until_unneeded() => Ok(()),
    }
}

fn config(settings: &Config) -> GatewayConfig {
    GatewayConfig {
        shutdown_grace: None,
        defaults: Defaults {
            browser: BrowserKind::Chromium,
            isolation: settings.sessions.isolation,
            launch: flotilla_core::launch_options::LaunchPolicy {
                headless: true,
                allowed: settings.sessions.allowed_launch_options.clone(),
                allowed_args: settings.sessions.allowed_launch_args.clone(),
            },
            expose_network: true,
            redirect: false,
        },
        default_version: Some(SERVED.1),
        most_sessions: usize::MAX,
        queue_limit: settings.sessions.queue_limit as usize,
        queue_timeout: settings.sessions.queue_timeout,
        handshake_timeout: settings.listen.handshake_timeout,
        handshake_limit: settings.listen.handshake_limit as usize,
        ping_interval: settings.timing.ping_interval,
        peer_timeout: settings.timing.peer_timeout,
        session_max_duration: None,
        endpoint: String::new(),
        version: String::new(),
        operators: None,
    }
}

/// Workers that keep count of their slots, say so as real ones do, and dial the server.
#[derive(Debug)]
struct Fakes {
    origin: PathBuf,
    slots: Arc<Slots>,
}

#[derive(Debug)]
struct Slots {
    registry: Arc<InProcess>,
    adverts: Mutex<HashMap<WorkerId, Advert>>,
}

/// A slot of a fake worker.
#[derive(Debug)]
struct Slot {
    worker: WorkerId,
    slots: Arc<Slots>,
    /// A worker that ends a session keeps the other half; nobody ends these.
    _ending: oneshot::Sender<Ending>,
}

impl Fakes {
    fn new(origin: &Path, registry: Arc<InProcess>) -> Self {
        let adverts: HashMap<_, _> = (0..WORKERS as u8)
            .map(|n| advert(WorkerId::from_random([n; 8])))
            .map(|advert| (advert.id.clone(), advert))
            .collect();
        adverts.values().for_each(|advert| registry.publish(advert.clone()));
        let slots = Slots { registry, adverts: Mutex::new(adverts) };
        Self { origin: origin.to_owned(), slots: Arc::new(slots) }
    }

    async fn dial(&self, mut handshake: RequestHead) -> anyhow::Result<(Socket, ResponseHead)> {
        handshake.headers.set("Host", "localhost");
        let mut upstream = UnixStream::connect(&self.origin).await?;
        upstream.write_all(&handshake.to_bytes()).await?;
        let (head, rest) =
            read_response_head(&mut upstream, 32 * 1024, Instant::now() + ANSWER).await?;
        Ok((Socket::from(upstream).with_leftover(rest), head))
    }
}

fn advert(id: WorkerId) -> Advert {
    Advert { id, slots: SLOTS, serves: vec![SERVED], ..Advert::default() }
}

impl Slots {
    fn change(&self, worker: &WorkerId, change: impl FnOnce(&mut Advert)) {
        let mut adverts = self.adverts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(advert) = adverts.get_mut(worker) {
            change(advert);
            self.registry.publish(advert.clone());
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.change(&self.worker, |advert| advert.used -= 1);
    }
}

impl Workers for Fakes {
    type Lease = Slot;

    async fn open(
        &self,
        worker: &WorkerId,
        ask: Ask,
        permit: Permit,
    ) -> Result<Taken<Slot>, NotOpened> {
        self.slots.change(worker, |advert| {
            advert.used += 1;
            advert.lifetime += 1;
        });
        drop(permit);
        let (told, ending) = oneshot::channel();
        let lease = Slot { worker: worker.clone(), slots: self.slots.clone(), _ending: told };
        let dialled = self.dial(ask.handshake).await;
        let (upstream, response) =
            dialled.map_err(|error| NotOpened::Unreachable(error.to_string()))?;
        let lost = Ending::worker_lost();
        let granted_after = Duration::ZERO;
        Ok(Taken::Relayed(Opened { upstream, response, ending, lost, granted_after, lease }))
    }

    async fn report(&self) -> Vec<WorkerStatus> {
        Vec::new()
    }

    async fn order(&self, _: &WorkerId, _: Deed) -> Result<Outcome, OrderFailed> {
        Err(OrderFailed::Unknown)
    }
}
