//! For tests: a worker whose browsers are unix sockets that answer handshakes.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_core::launcher::{
    BrowserId, Endpoint, LaunchError, LaunchSpec, Launched, Launcher, LauncherEvent,
};
use flotilla_core::pool::{ExitReason, Limits};
use flotilla_core::{Advert, BrowserKind, PlaywrightVersion, WorkerId};
use flotilla_relay::RequestHead;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Observer, Worker, WorkerConfig};

pub(crate) const KIND: BrowserKind = BrowserKind::Chromium;
pub(crate) const V: PlaywrightVersion = PlaywrightVersion { major: 1, minor: 65 };

/// Launches browsers that answer every handshake with `answer`, remember what they were asked, and
/// send every frame back.
pub(crate) struct Fake {
    folder: PathBuf,
    answer: &'static str,
    /// Launches fail.
    pub(crate) fail: AtomicBool,
    /// As long as this is true, launches take.
    pub(crate) hold: watch::Sender<bool>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    pub(crate) running: Mutex<HashMap<BrowserId, JoinHandle<()>>>,
    pub(crate) released: Mutex<Vec<String>>,
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

    pub(crate) fn kill_all(&self) {
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
    // They go with the browser.
    let mut open = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let n = client.read(&mut request).await.unwrap();
        requests.lock().unwrap().push(String::from_utf8_lossy(&request[..n]).into_owned());
        client.write_all(answer.as_bytes()).await.unwrap();
        open.spawn(echo(client));
    }
}

/// Sends small frames back, whose mask is zero, until one of them is a close frame.
async fn echo(mut client: UnixStream) -> io::Result<()> {
    loop {
        let mut head = [0; 6];
        client.read_exact(&mut head).await?;
        let mut payload = vec![0; usize::from(head[1] & 0x7F)];
        client.read_exact(&mut payload).await?;
        client.write_all(&[head[0], head[1] & 0x7F]).await?;
        client.write_all(&payload).await?;
        if head[0] == 0x88 {
            return Ok(());
        }
    }
}

struct Quiet;

impl Observer for Quiet {
    fn launched(&self, _: BrowserKind, _: Duration, _: Result<(), &LaunchError>) {}
    fn browser_gone(&self, _: BrowserKind, _: ExitReason) {}
}

pub(crate) const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";

pub(crate) fn worker(answer: &'static str, slots: usize) -> (Worker, Arc<Fake>) {
    publishing(answer, slots, |_| {})
}

/// A worker that is called `w`, and says what is free.
pub(crate) fn publishing(
    answer: &'static str,
    slots: usize,
    publish: impl Fn(Advert) + Send + 'static,
) -> (Worker, Arc<Fake>) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name =
        format!("flotilla-fake-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let (events, told) = mpsc::unbounded_channel();
    let fake = Arc::new(Fake {
        folder,
        answer,
        fail: AtomicBool::default(),
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
