//! Sessions on a worker whose browsers are unix sockets that answer handshakes.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use flotilla_core::ending::EndCause;
use flotilla_core::id::WorkerId;
use flotilla_core::launcher::{BrowserId, LaunchError, LaunchSpec, Launched};
use flotilla_core::pool::{ExitReason, Limits, Sharing};
use flotilla_core::{BrowserKind, PlaywrightVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::*;

pub(crate) const KIND: BrowserKind = BrowserKind::Chromium;
pub(crate) const V: PlaywrightVersion = PlaywrightVersion { major: 1, minor: 65 };

/// Launches browsers that answer every handshake with `answer`, and count what they were asked.
pub(crate) struct Fake {
    folder: std::path::PathBuf,
    answer: &'static str,
    fail: AtomicBool,
    /// As long as this is true, launches take.
    pub(crate) hold: watch::Sender<bool>,
    requests: Arc<Mutex<Vec<String>>>,
    running: Mutex<HashMap<BrowserId, JoinHandle<()>>>,
    released: Mutex<Vec<String>>,
    events: mpsc::UnboundedSender<LauncherEvent>,
}

impl Launcher for Fake {
    async fn launch(&self, spec: LaunchSpec) -> Result<Launched, LaunchError> {
        let mut held = self.hold.subscribe();
        held.wait_for(|held| !held).await.unwrap();
        if self.fail.load(Ordering::SeqCst) {
            return Err(LaunchError::Failed("no display".to_owned()));
        }
        let socket = self.folder.join(&spec.browser.0);
        let listener = UnixListener::bind(&socket).unwrap();
        let task = tokio::spawn(serve(listener, self.answer, self.requests.clone()));
        self.running.lock().unwrap().insert(spec.browser, task);
        let endpoint = Endpoint { socket, path: "/secret".to_owned() };
        Ok(Launched { pid: std::process::id(), browser_version: "1".to_owned(), endpoint })
    }

    async fn close(&self, browser: &BrowserId) {
        self.exit(browser, true);
    }

    async fn release(&self, _: &BrowserId, session: &str) {
        self.released.lock().unwrap().push(session.to_owned());
    }
}

impl Fake {
    fn exit(&self, browser: &BrowserId, expected: bool) {
        let Some(task) = self.running.lock().unwrap().remove(browser) else { return };
        task.abort();
        let why = "killed by signal 9".to_owned();
        let _ = self.events.send(LauncherEvent::BrowserExited {
            browser: browser.clone(),
            why,
            expected,
        });
    }

    fn kill_all(&self) {
        let all: Vec<_> = self.running.lock().unwrap().keys().cloned().collect();
        all.iter().for_each(|browser| self.exit(browser, false));
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn serve(listener: UnixListener, answer: &'static str, requests: Arc<Mutex<Vec<String>>>) {
    let mut open = Vec::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let n = client.read(&mut request).await.unwrap();
        requests.lock().unwrap().push(String::from_utf8_lossy(&request[..n]).into_owned());
        client.write_all(answer.as_bytes()).await.unwrap();
        open.push(client);
    }
}

struct Quiet;

impl Observer for Quiet {
    fn launched(&self, _: BrowserKind, _: Duration, _: Result<(), &LaunchError>) {}
    fn browser_gone(&self, _: BrowserKind, _: ExitReason) {}
}

pub(crate) const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";

fn worker(answer: &'static str, slots: usize) -> (Worker, Arc<Fake>) {
    publishing(answer, slots, |_| {})
}

/// A worker that is called `w`.
pub(crate) fn publishing(
    answer: &'static str,
    slots: usize,
    publish: impl Fn(Advert) + Send + 'static,
) -> (Worker, Arc<Fake>) {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let name =
        format!("flotilla-fake-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let (events, told) = mpsc::unbounded_channel();
    let fake = Arc::new(Fake {
        folder,
        answer,
        fail: AtomicBool::new(false),
        hold: watch::Sender::new(false),
        requests: Arc::default(),
        running: Mutex::default(),
        released: Mutex::default(),
        events,
    });
    let limits = Limits {
        slots,
        browser_sessions: 50,
        margin: 2,
        browser_age: Duration::ZERO,
        browser_memory: 0,
        warm: 0,
        idle: Duration::from_secs(600),
        launches: 2,
        refill_delay: Duration::ZERO,
        release_timeout: Duration::from_secs(30),
    };
    let config = WorkerConfig {
        id: WorkerId("w".to_owned()),
        limits,
        serves: vec![(KIND, V)],
        keep_ready: None,
        measure_every: Duration::from_secs(60),
        started_at: 0,
        release: String::new(),
    };
    let worker = Worker::start(config, fake.clone(), told, publish, Arc::new(Quiet));
    (worker, fake)
}

pub(crate) fn handshake() -> RequestHead {
    let bytes = b"GET /?token=hidden HTTP/1.1\r\nHost: grid:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
        Sec-WebSocket-Version: 13\r\nAuthorization: Bearer hidden\r\nCookie: hidden\r\n\
        x-playwright-browser: chromium\r\nx-playwright-proxy:\r\n\r\n";
    RequestHead::parse(bytes).unwrap().unwrap().0
}

pub(crate) async fn open(
    worker: &Worker,
    name: &str,
    sharing: Sharing,
) -> Result<Opened, OpenError> {
    let demand = Demand { kind: KIND, version: V, sharing };
    worker.open(SessionId(name.to_owned()), demand, handshake(), |_| {}).await
}

pub(crate) fn shared() -> Sharing {
    Sharing::Tenant("t".to_owned())
}

async fn used(worker: &Worker) -> u32 {
    worker.inspect().await.unwrap().used
}

pub(crate) async fn until_used(worker: &Worker, slots: u32) {
    let reached = async {
        while used(worker).await != slots {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.expect("slots leaked");
}

#[tokio::test]
async fn the_handshake_goes_on_with_its_key_and_without_its_secrets() {
    let (worker, fake) = worker(SWITCH, 1);
    let opened = open(&worker, "s1", shared()).await.unwrap();
    assert_eq!(opened.response.status, 101);
    let request = fake.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("GET /secret?session=s1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), "{request}");
    assert!(request.contains("permessage-deflate"), "{request}");
    for gone in ["hidden", "grid:8080", "x-playwright"] {
        assert!(!request.contains(gone), "{gone} went on: {request}");
    }
}

#[tokio::test]
async fn a_dropped_lease_frees_the_slot_once_the_contexts_are_disposed() {
    let (worker, fake) = worker(SWITCH, 1);
    let opened = open(&worker, "s1", shared()).await.unwrap();
    assert!(open(&worker, "s2", shared()).await.unwrap_err().is_busy());
    assert_eq!(used(&worker).await, 1);
    drop(opened);
    until_used(&worker, 0).await;
    assert_eq!(*fake.released.lock().unwrap(), ["s1"]);
    open(&worker, "s3", shared()).await.unwrap();
}

#[tokio::test]
async fn a_browser_that_dies_ends_its_sessions_with_a_reason() {
    let (worker, fake) = worker(SWITCH, 5);
    let opened = open(&worker, "s1", shared()).await.unwrap();
    fake.kill_all();
    let ending = opened.ending.await.unwrap();
    assert_eq!(ending.cause, EndCause::WorkerCrash);
    assert!(ending.reason.contains("killed by signal 9"), "{}", ending.reason);
    until_used(&worker, 0).await;
    open(&worker, "s2", shared()).await.expect("a replacement");
}

#[tokio::test]
async fn a_browser_of_ones_own_goes_with_its_session() {
    let (worker, fake) = worker(SWITCH, 5);
    let opened = open(&worker, "s1", Sharing::Alone).await.unwrap();
    assert_eq!(fake.running.lock().unwrap().len(), 1);
    drop(opened);
    until_used(&worker, 0).await;
    assert!(fake.running.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_launch_that_fails_refuses_the_session_and_frees_its_slot() {
    let (worker, fake) = worker(SWITCH, 5);
    fake.fail.store(true, Ordering::SeqCst);
    let error = open(&worker, "s1", shared()).await.unwrap_err();
    assert!(error.to_string().contains("no display"), "{error}");
    assert_eq!(used(&worker).await, 0);
}

#[tokio::test]
async fn a_server_that_says_no_is_quoted_and_the_slot_is_free_again() {
    let (worker, _fake) =
        worker("HTTP/1.1 428 Precondition Required\r\nContent-Length: 5\r\n\r\nno.\r\n", 1);
    match open(&worker, "s1", shared()).await {
        Err(OpenError::Refused { status: 428, body }) => assert_eq!(body, "no."),
        other => panic!("{other:?}"),
    }
    until_used(&worker, 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_gives_its_slot_back() {
    let (worker, fake) = worker(SWITCH, 1);
    fake.fail.store(false, Ordering::SeqCst);
    let (taken, told) = oneshot::channel();
    let demand = Demand { kind: KIND, version: V, sharing: shared() };
    let opening = worker.open(SessionId("s1".to_owned()), demand, handshake(), move |_| {
        let _ = taken.send(());
    });
    tokio::select! {
        biased;
        _ = told => {}
        _ = opening => {}
    }
    until_used(&worker, 0).await;
}

#[tokio::test]
async fn a_drain_admits_nobody_and_ends_with_the_last_session() {
    let (worker, fake) = worker(SWITCH, 5);
    let opened = open(&worker, "s1", shared()).await.unwrap();
    let draining = tokio::spawn({
        let worker = worker.clone();
        async move { worker.drain().await }
    });
    while worker.inspect().await.unwrap().state != flotilla_core::status::WorkerState::Draining {
        tokio::task::yield_now().await;
    }
    assert!(open(&worker, "s2", shared()).await.is_err());
    worker.end_all(Ending::drained());
    assert_eq!(opened.ending.await.unwrap().cause, EndCause::DrainKill);
    assert!(!draining.is_finished());
    drop(opened.lease);
    draining.await.unwrap();
    assert!(fake.running.lock().unwrap().is_empty());
}
