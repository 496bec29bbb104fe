//! The port through which a worker has browsers: launch, watch, end.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::browser::BrowserKind;
use crate::version::PlaywrightVersion;

/// A browser process's name within its worker: never used twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BrowserId(pub String);

impl std::fmt::Display for BrowserId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// A browser that somebody wants to have running.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchSpec {
    /// The name that the new browser gets.
    pub browser: BrowserId,
    /// Which browser.
    pub kind: BrowserKind,
    /// Which Playwright drives it.
    pub version: PlaywrightVersion,
    /// Launch options beyond the worker's own, in the words of Playwright's `launch()`:
    /// already checked against what the operator allows.
    pub options: BTreeMap<String, serde_json::Value>,
    /// The pattern of `connect({exposeNetwork})`, when the session uses it.
    pub expose_network: Option<String>,
}

/// A running browser, ready for sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// The browser's process id.
    pub pid: u32,
    /// The browser's own version, such as `156.0.8078.79`.
    pub browser_version: String,
    /// Where its Playwright server listens.
    pub endpoint: Endpoint,
}

/// Where the Playwright server of one browser listens: a unix socket and an unguessable path.
/// Whoever knows both owns the browser, so neither is logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The socket's file.
    pub socket: PathBuf,
    /// The request target, beginning with a slash, without a query.
    pub path: String,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Endpoint(hidden)")
    }
}

/// Why a browser did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// This worker has no such browser for such a Playwright.
    #[error("{kind} for Playwright {version} is not installed on this worker")]
    NotInstalled {
        /// The browser asked for.
        kind: BrowserKind,
        /// The Playwright asked for.
        version: PlaywrightVersion,
    },
    /// The browser did not come up; the text is Playwright's, cut to its first lines.
    #[error("{0}")]
    Failed(String),
    /// The driver died, or did not answer in time.
    #[error("the driver of Playwright {version} is gone: {why}")]
    DriverGone {
        /// Which driver.
        version: PlaywrightVersion,
        /// What is known.
        why: String,
    },
}

/// What a launcher tells without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LauncherEvent {
    /// A browser process is gone. Told exactly once for every browser that was launched,
    /// whether it was closed, crashed, or died with its driver.
    BrowserExited {
        /// Which browser.
        browser: BrowserId,
        /// In words for a log and a close reason: `exited with code 0`, `killed by SIGSEGV`,
        /// `its driver died`.
        why: String,
        /// True when `close` had been called for it.
        expected: bool,
    },
}

/// Runs browsers. The worker's real one drives Node processes with playwright-core; tests have
/// fakes. Every method may be called for any browser at any time: unknown ones are already gone.
pub trait Launcher: Send + Sync + 'static {
    /// Starts a browser and waits until it can take sessions.
    fn launch(
        &self,
        spec: LaunchSpec,
    ) -> impl Future<Output = Result<Launched, LaunchError>> + Send;

    /// Ends a browser and waits until its process has exited. What does not go is killed.
    fn close(&self, browser: &BrowserId) -> impl Future<Output = ()> + Send;

    /// Waits until the contexts of `session` on `browser` are disposed. Its connection is cut if
    /// it is still open, and refused if it comes later.
    fn release(&self, browser: &BrowserId, session: &str) -> impl Future<Output = ()> + Send;
}
