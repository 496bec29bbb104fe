//! Clients at a gateway whose workers are made up: who is relayed, and who is sent on.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flotilla_core::config::Config;
use flotilla_core::ending::Ending;
use flotilla_core::fleet::Fleet;
use flotilla_core::launch_options::LaunchPolicy;
use flotilla_core::metrics::Metrics;
use flotilla_core::order::{Deed, Outcome};
use flotilla_core::status::{RegistryStatus, WorkerStatus};
use flotilla_core::wanted::Defaults;
use flotilla_core::{Advert, PlaywrightVersion, WorkerId};
use flotilla_relay::{ResponseHead, read_response_body, read_response_head};
use flotilla_testkit::raw;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::gateway::GatewayConfig;
use crate::workers::{NotOpened, OrderFailed, Redirect};

const LONG: Duration = Duration::from_secs(30);
const SERVED: Served = (BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 });
const LOCATION: &str = "ws://worker.example:3131/session/ticket";

/// One worker, with these many slots that nobody counts.
struct Registered(Mutex<Fleet>);

impl Registry for Registered {
    fn look<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    fn claim(&self, served: Served) -> Option<WorkerId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).claim(served)
    }
    fn offered(&self) -> Vec<Served> {
        vec![SERVED]
    }
    fn settle(&self, id: &WorkerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).settle(id);
    }
    fn ailing(&self, _: &WorkerId, _: Served, _: Duration) -> bool {
        false
    }
    fn status(&self) -> RegistryStatus {
        RegistryStatus::default()
    }
}

/// What it is asked, and what it answers first. After that it takes everybody.
#[derive(Default)]
struct Asked {
    direct: Vec<bool>,
    first: VecDeque<NotOpened>,
    browsers: Vec<UnixStream>,
}

/// Workers that clients can reach, or not.
struct Fakes {
    public: bool,
    asked: Arc<Mutex<Asked>>,
}

impl Workers for Fakes {
    type Lease = oneshot::Sender<Ending>;

    async fn open(
        &self,
        _: &WorkerId,
        ask: Ask,
        permit: Permit,
    ) -> Result<Taken<Self::Lease>, NotOpened> {
        let mut asked = self.asked.lock().unwrap();
        asked.direct.push(ask.direct);
        drop(permit);
        if let Some(refused) = asked.first.pop_front() {
            return Err(refused);
        }
        let granted_after = Duration::ZERO;
        if ask.direct && self.public {
            let location = LOCATION.to_owned();
            return Ok(Taken::Direct(Redirect { location, granted_after }));
        }
        let (upstream, browser) = UnixStream::pair().unwrap();
        asked.browsers.push(browser);
        let (lease, ending) = oneshot::channel();
        let mut response = ResponseHead::new(101, "Switching Protocols");
        response.headers.set("Upgrade", "websocket");
        let (upstream, lost) = (Socket::from(upstream), Ending::worker_lost());
        Ok(Taken::Relayed(Opened { upstream, response, ending, lost, granted_after, lease }))
    }

    async fn report(&self) -> Vec<WorkerStatus> {
        Vec::new()
    }

    async fn order(&self, _: &WorkerId, _: Deed) -> Result<Outcome, OrderFailed> {
        Err(OrderFailed::Unknown)
    }
}

struct Rig {
    gateway: Gateway<Registered, Fakes>,
    address: String,
    asked: Arc<Mutex<Asked>>,
    metrics: Arc<Metrics>,
    _changed: watch::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Rig {
    async fn new(public: bool, redirect: bool) -> Self {
        let id = WorkerId("w".into());
        let mut fleet = Fleet::default();
        fleet.update(Advert { id, slots: 5, serves: vec![SERVED], ..Advert::default() });
        let asked = Arc::<Mutex<Asked>>::default();
        let metrics = Arc::new(Metrics::new(&Config::default(), ""));
        let (_changed, changed) = watch::channel(());
        let gateway = Gateway::new(
            config(redirect),
            Arc::new(Registered(Mutex::new(fleet))),
            changed,
            Fakes { public, asked: asked.clone() },
            metrics.clone(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let front = gateway.clone();
        let serving = tokio::spawn(async move { front.serve(listener).await });
        Self { gateway, address, asked, metrics, _changed, serving }
    }

    /// The answer to a handshake, and the connection.
    async fn connect(
        &self,
        target: &str,
        headers: &[(&str, &str)],
    ) -> (ResponseHead, String, TcpStream) {
        let mut client = TcpStream::connect(&self.address).await.unwrap();
        let request = raw::handshake(&self.address, target, headers);
        client.write_all(request.as_bytes()).await.unwrap();
        let deadline = tokio::time::Instant::now() + LONG;
        let (head, rest) = read_response_head(&mut client, 64 * 1024, deadline).await.unwrap();
        let body = match head.status {
            101 => Bytes::new(),
            _ => read_response_body(&mut client, &head, rest, 64 * 1024, deadline).await.unwrap(),
        };
        (head, String::from_utf8(body.to_vec()).unwrap(), client)
    }

    fn answered(&self, status: u16) -> u64 {
        self.metrics.http.requests.get((Method::Get, Route::Connect, status.into()))
    }
}

fn config(redirect: bool) -> GatewayConfig {
    GatewayConfig {
        shutdown_grace: None,
        defaults: Defaults {
            browser: SERVED.0,
            isolation: Isolation::Tenant,
            launch: LaunchPolicy { headless: true, allowed: vec![], allowed_args: vec![] },
            expose_network: true,
            redirect,
        },
        default_version: Some(SERVED.1),
        most_sessions: 10,
        operators: None,
        queue_limit: 10,
        queue_timeout: LONG,
        handshake_timeout: LONG,
        handshake_limit: 32 * 1024,
        ping_interval: LONG,
        peer_timeout: 2 * LONG,
        session_max_duration: None,
        endpoint: String::new(),
        version: String::new(),
    }
}

#[tokio::test]
async fn a_client_that_is_sent_on_learns_where_to_and_is_the_gateways_no_more() {
    let rig = Rig::new(true, false).await;
    let (head, body, _) = rig.connect("/?route=direct", &[]).await;
    assert_eq!(head.status, 307);
    assert_eq!(head.headers.get("location"), Some(LOCATION));
    assert_eq!(head.headers.get("cache-control"), Some("no-store"));
    assert!(head.headers.get("x-playwright-debug-log").unwrap().starts_with("flotilla session "));
    assert!(!body.contains("ticket"), "{body}");
    assert_eq!(rig.gateway.active(), 0);
    assert_eq!(rig.answered(307), 1);
    assert_eq!(rig.metrics.sessions.started.get((SERVED.0, StartResult::Ok)), 1);
    let ended = EndCause::ALL.map(|cause| rig.metrics.sessions.ended.get((SERVED.0, cause)));
    assert_eq!(ended.iter().sum::<u64>(), 0, "its end is the worker's to count");
}

#[tokio::test]
async fn a_client_whose_worker_it_cannot_reach_is_relayed() {
    let rig = Rig::new(false, true).await;
    let (head, _, client) = rig.connect("/?route=direct", &[]).await;
    assert_eq!(head.status, 101);
    assert_eq!((rig.gateway.active(), rig.answered(101)), (1, 1));
    assert_eq!(rig.asked.lock().unwrap().direct, [true]);
    drop(client);
}

#[tokio::test]
async fn where_clients_are_sent_on_by_default_the_others_and_those_who_object_are_relayed() {
    let rig = Rig::new(true, true).await;
    const PYTHON: (&str, &str) = ("User-Agent", "Playwright/1.65.1 (x64; debian 12) python/3.11");
    const OTHER: (&str, &str) = ("User-Agent", "my-own-client/1.0");
    for (target, agent, status) in [
        ("/", PYTHON, 307),
        ("/?route=relay", PYTHON, 101),
        ("/", OTHER, 101),
        ("/?route=direct", OTHER, 307),
    ] {
        let (head, ..) = rig.connect(target, &[agent]).await;
        assert_eq!(head.status, status, "{target} {agent:?}");
    }
}

#[tokio::test]
async fn a_route_that_does_not_exist_is_refused_before_any_worker_is_asked() {
    let rig = Rig::new(true, false).await;
    let (head, body, _) = rig.connect("/?route=scenic", &[]).await;
    assert_eq!(head.status, 400);
    assert!(body.contains("route=direct") && body.contains("route=relay"), "{body}");
    assert!(rig.asked.lock().unwrap().direct.is_empty());
}

#[tokio::test]
async fn a_slot_that_was_gone_is_tried_again_before_the_client_is_sent_anywhere() {
    let rig = Rig::new(true, false).await;
    let first = [NotOpened::Busy, NotOpened::Elsewhere("it has just left".to_owned())];
    rig.asked.lock().unwrap().first.extend(first);
    let (head, ..) = rig.connect("/?route=direct", &[]).await;
    assert_eq!(head.status, 307);
    assert_eq!(rig.asked.lock().unwrap().direct, [true, true, true]);
    rig.asked.lock().unwrap().first.push_back(NotOpened::LaunchFailed("no display".to_owned()));
    let (head, body, _) = rig.connect("/?route=direct", &[]).await;
    assert_eq!(head.status, 502);
    assert!(body.contains("no display"), "{body}");
}

#[test]
fn an_address_that_opens_a_session_is_not_printed() {
    let redirect = Redirect { location: LOCATION.to_owned(), granted_after: Duration::ZERO };
    let shown = format!("{redirect:?}");
    assert!(!shown.contains("ticket") && shown.contains("granted_after"), "{shown}");
}
