//! What the rest of the launcher holds of a driver: calls, and a view of its browsers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_core::PlaywrightVersion;
use flotilla_core::launcher::{BrowserId, LaunchError};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::protocol::Request;

/// How long a driver that let a deadline pass may take for the simplest answer.
const PING_LIMIT: Duration = Duration::from_secs(5);

pub(super) type Fields = Map<String, Value>;

/// What the supervisor is asked for.
#[derive(Debug)]
pub(super) enum Order {
    Call { request: Request, reply: oneshot::Sender<Result<Fields, Refused>> },
    Kill { why: String },
    Stop,
}

/// The driver's own words for why not.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

/// Why a call has no good answer.
#[derive(Debug)]
pub(super) enum CallError {
    Refused(String),
    /// The driver answers others, but not this in time.
    Late,
    Gone(String),
}

impl CallError {
    /// A driver's death is told where it is seen, and here it is only its consequence.
    pub(super) fn log(&self, browser: &BrowserId, what: &str) {
        match self {
            Self::Refused(why) => tracing::warn!(%browser, why, "{what}"),
            Self::Late => tracing::warn!(%browser, why = "no answer in time", "{what}"),
            Self::Gone(why) => tracing::debug!(%browser, why, "{what}"),
        }
    }

    pub(super) fn into_launch_error(self, version: PlaywrightVersion) -> LaunchError {
        match self {
            Self::Refused(text) => LaunchError::Failed(text),
            Self::Late => LaunchError::Failed("the browser did not start in time".to_owned()),
            Self::Gone(why) => LaunchError::DriverGone { version, why },
        }
    }
}

/// The handle of one driver.
#[derive(Debug)]
pub(super) struct Driver {
    version: PlaywrightVersion,
    orders: mpsc::UnboundedSender<Order>,
    ready: watch::Receiver<bool>,
    shared: Arc<Shared>,
}

impl Driver {
    pub(super) fn new(
        version: PlaywrightVersion,
        orders: mpsc::UnboundedSender<Order>,
        ready: watch::Receiver<bool>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { version, orders, ready, shared }
    }

    pub(super) fn version(&self) -> PlaywrightVersion {
        self.version
    }

    pub(super) fn shared(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// True when its process is gone or going: it takes no more calls.
    pub(super) fn is_over(&self) -> bool {
        self.orders.is_closed()
    }

    /// Asks, and waits until `limit` after the driver is ready. A driver that answers nobody any
    /// more is killed; one that is only slow with this is left to its other sessions.
    pub(super) async fn call(
        &self,
        request: Request,
        limit: Duration,
    ) -> Result<Fields, CallError> {
        let is_ready = self.ready.clone().wait_for(|ready| *ready).await.is_ok();
        if !is_ready {
            return Err(self.gone());
        }
        match timeout(limit, self.ask(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                self.doubt().await;
                Err(CallError::Late)
            }
        }
    }

    async fn ask(&self, request: Request) -> Result<Fields, CallError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.orders.send(Order::Call { request, reply });
        sent.map_err(|_| self.gone())?;
        match answer.await {
            Ok(Ok(fields)) => Ok(fields),
            Ok(Err(Refused(text))) => Err(CallError::Refused(text)),
            Err(_) => Err(self.gone()),
        }
    }

    async fn doubt(&self) {
        if timeout(PING_LIMIT, self.ask(Request::Ping {})).await.is_err() {
            let why = format!("it answered nothing for {} s", PING_LIMIT.as_secs());
            // It may have ended meanwhile.
            let _ = self.orders.send(Order::Kill { why });
        }
    }

    /// Asks for a browser's end without waiting for it.
    pub(super) fn abandon(&self, browser: &BrowserId) {
        let (reply, _) = oneshot::channel();
        let browser = browser.clone();
        let request = Request::Close { browser };
        // A driver that is gone took its browsers along.
        let _ = self.orders.send(Order::Call { request, reply });
    }

    pub(super) fn stop(&self) {
        // It may have ended meanwhile.
        let _ = self.orders.send(Order::Stop);
    }

    /// Waits until its process is gone and its browsers' ends are told.
    pub(super) async fn ended(&self) {
        // The sender goes when the supervisor is done.
        let _ = self.ready.clone().wait_for(|_| false).await;
    }

    fn gone(&self) -> CallError {
        let why = self.shared().ended.clone();
        CallError::Gone(why.unwrap_or_else(|| "it is ending".to_owned()))
    }
}

/// What both sides of a driver see.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<State>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) pid: Option<u32>,
    browsers: BTreeMap<BrowserId, Stage>,
    idle_since: Instant,
    ended: Option<String>,
}

impl Default for State {
    fn default() -> Self {
        Self { pid: None, browsers: BTreeMap::new(), idle_since: Instant::now(), ended: None }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Stage {
    launched: bool,
    closing: bool,
}

impl State {
    /// Enters a browser that is about to be launched; `false` when the name is taken.
    pub(super) fn enter(&mut self, browser: BrowserId) -> bool {
        let free = !self.browsers.contains_key(&browser);
        self.browsers.entry(browser).or_default();
        free
    }

    pub(super) fn has(&self, browser: &BrowserId) -> bool {
        self.browsers.contains_key(browser)
    }

    pub(super) fn launched(&mut self, browser: &BrowserId) {
        if let Some(stage) = self.browsers.get_mut(browser) {
            stage.launched = true;
        }
    }

    pub(super) fn closing(&mut self, browser: &BrowserId) {
        if let Some(stage) = self.browsers.get_mut(browser) {
            stage.closing = true;
        }
    }

    /// Forgets a browser that did not come up.
    pub(super) fn failed(&mut self, browser: &BrowserId) {
        if self.browsers.get(browser).is_some_and(|stage| !stage.launched) {
            self.browsers.remove(browser);
            self.idle_since = Instant::now();
        }
    }

    /// Forgets a browser; says whether its end is news.
    pub(super) fn exited(&mut self, browser: &BrowserId) -> bool {
        self.idle_since = Instant::now();
        let stage = self.browsers.remove(browser);
        stage.is_some_and(|stage| stage.launched)
    }

    /// Nobody waits for this launch any more; says whether there may be a browser to close. One
    /// whose launch is not answered yet stays until it is, and is then closed.
    pub(super) fn give_up(&mut self, browser: &BrowserId) -> bool {
        self.closing(browser);
        self.has(browser)
    }

    /// Forgets everything; gives the browsers that had been launched, and whether they were
    /// being closed.
    pub(super) fn end(&mut self, why: &str) -> Vec<(BrowserId, bool)> {
        self.ended = Some(why.to_owned());
        self.pid = None;
        let all = std::mem::take(&mut self.browsers).into_iter();
        all.filter(|(_, stage)| stage.launched)
            .map(|(browser, stage)| (browser, stage.closing))
            .collect()
    }

    pub(super) fn names(&self) -> Vec<BrowserId> {
        self.browsers.keys().cloned().collect()
    }

    pub(super) fn is_idle(&self, at_least: Duration) -> bool {
        self.browsers.is_empty() && self.idle_since.elapsed() >= at_least
    }
}
