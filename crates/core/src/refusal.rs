//! Why a client was not let in, written for the person who reads it: Playwright shows the status
//! line and the whole body as its exception.

use std::time::Duration;

use serde::Serialize;

use crate::browser::BrowserKind;
use crate::launch_options::LaunchOptionError;
use crate::version::PlaywrightVersion;

/// A refusal, ready to be answered as HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// A stable name for programs.
    pub code: &'static str,
    /// What was wrong, what is allowed, what to do.
    pub message: String,
    /// When trying again makes sense, in whole seconds; `None` where it never does.
    #[serde(rename = "retry_after_seconds", skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// A browser for a Playwright: what a grid serves is a list of these.
pub type Served = (BrowserKind, PlaywrightVersion);

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after.as_secs_f64().ceil().max(1.0) as u64);
        self
    }

    /// A handshake or a query that makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "bad_request", message)
    }

    /// Something that the operator has not allowed.
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(403, "not_allowed", message)
    }

    /// A name that is no browser.
    pub fn unknown_browser(name: &str) -> Self {
        let name: String = name.chars().take(40).collect();
        Self::new(
            400,
            "unknown_browser",
            format!("unknown browser {name:?}: ask for chromium, firefox or webkit"),
        )
    }

    /// A browser that this grid does not have, for this Playwright or for any.
    pub fn browser_not_served(
        kind: BrowserKind,
        version: PlaywrightVersion,
        served: &[Served],
    ) -> Self {
        let here: Vec<_> = served.iter().filter(|s| s.1 == version).map(|s| s.0.as_str()).collect();
        let elsewhere: Vec<_> =
            served.iter().filter(|s| s.0 == kind).map(|s| s.1.to_string()).collect();
        let mut message = format!(
            "this grid has no {kind} for Playwright {version}. For Playwright {version} it has: {}.",
            list(&here)
        );
        if !elsewhere.is_empty() {
            message += &format!(" It has {kind} for Playwright {}.", list(&elsewhere));
        }
        message += &format!(
            " The operator can try to add it (flotilla browsers install {version} --browser {kind}); \
             flotilla browsers list says what does not work there, and why"
        );
        Self::new(404, "browser_not_served", message)
    }

    /// A Playwright version that nobody serves. 428, as Playwright's own server answers.
    pub fn version_not_served(version: PlaywrightVersion, served: &[Served]) -> Self {
        let mut versions: Vec<_> = served.iter().map(|s| s.1).collect();
        versions.sort_unstable();
        versions.dedup();
        let names: Vec<_> = versions.iter().map(ToString::to_string).collect();
        let mut message =
            format!("this grid does not serve Playwright {version}. It serves: {}.", list(&names));
        if let Some(nearest) = nearest(version, &versions) {
            message += &format!(
                "\nUse one of them:\n  npm install playwright@~{nearest}.0   (or @playwright/test@~{nearest}.0)\n  pip install \"playwright=={nearest}.*\"\n\
                 Or the operator adds yours:\n  flotilla browsers install {version}"
            );
        }
        Self::new(428, "version_not_served", message)
    }

    /// A client of another protocol: `connectOverCDP`, Puppeteer, Selenium.
    pub fn cdp_not_served() -> Self {
        Self::new(
            501,
            "cdp_not_served",
            "this grid speaks the Playwright protocol: use connect() instead of connectOverCDP() \
             (a Playwright client that sends no x-playwright-browser header says ?browser=chromium)",
        )
    }

    /// Nothing is installed at all.
    pub fn nothing_served() -> Self {
        Self::new(
            503,
            "nothing_served",
            "this grid has no browser at all yet. The operator can add one: flotilla browsers install",
        )
        .retry_after(Duration::from_secs(30))
    }

    /// All slots are busy, and so is the queue.
    pub fn queue_full(waiting: usize, limit: usize) -> Self {
        Self::new(
            503,
            "queue_full",
            format!(
                "all browsers are busy and the queue is full ({waiting} waiting, limit {limit}). \
                 Try again later, or ask the operator for more slots"
            ),
        )
        .retry_after(Duration::from_secs(5))
    }

    /// The gateway itself can take no more, whatever the workers could.
    pub fn gateway_full(limit: usize) -> Self {
        Self::new(
            503,
            "gateway_full",
            format!(
                "this gateway has as many sessions as it may have open files for ({limit}). Try \
                 again later, or ask the operator for another gateway or a higher limit of open \
                 files (ulimit -n)"
            ),
        )
        .retry_after(Duration::from_secs(5))
    }

    /// No slot became free in time.
    pub fn deadline_passed(waited: Duration, ahead: usize) -> Self {
        Self::new(
            503,
            "queue_timeout",
            format!(
                "no browser became free in {:.0} s{}. Try again, or ask the operator for more slots",
                waited.as_secs_f64(),
                match ahead {
                    0 => String::new(),
                    1 => " (1 client was still ahead of this one)".to_owned(),
                    n => format!(" ({n} clients were still ahead of this one)"),
                }
            ),
        )
        .retry_after(Duration::from_secs(5))
    }

    /// The same, with what went wrong last while it waited.
    #[must_use]
    pub fn after(mut self, failure: Option<String>) -> Self {
        if let Some(why) = failure {
            self.message += &format!(". The last try failed: {why}");
        }
        self
    }

    /// The grid is about to stop.
    pub fn draining() -> Self {
        Self::new(
            503,
            "draining",
            "this grid is draining: it finishes its sessions and takes no new ones. Try again shortly",
        )
        .retry_after(Duration::from_secs(10))
    }

    /// The browser did not come up.
    pub fn launch_failed(kind: BrowserKind, version: PlaywrightVersion, why: &str) -> Self {
        Self::new(
            502,
            "launch_failed",
            format!("{kind} for Playwright {version} could not be launched: {why}"),
        )
    }

    /// The browser has failed before and is not tried again just yet.
    pub fn backing_off(
        kind: BrowserKind,
        version: PlaywrightVersion,
        wait: Duration,
        why: &str,
    ) -> Self {
        Self::new(
            503,
            "launch_backing_off",
            format!(
                "{kind} for Playwright {version} keeps failing and is tried again in {:.0} s. \
                 The last failure: {why}",
                wait.as_secs_f64().ceil()
            ),
        )
        .retry_after(wait)
    }

    /// No worker could be reached or none took the session.
    pub fn no_worker(why: &str) -> Self {
        Self::new(503, "no_worker", format!("no worker could take this session: {why}"))
            .retry_after(Duration::from_secs(2))
    }

    /// An own message under an own status, for what only one place answers.
    pub fn other(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, message)
    }

    /// The body for people.
    pub fn text(&self) -> String {
        format!("{}\n", self.message)
    }

    /// The body for programs.
    pub fn json(&self) -> String {
        serde_json::json!({ "error": self }).to_string()
    }
}

impl From<LaunchOptionError> for Refusal {
    fn from(error: LaunchOptionError) -> Self {
        match error {
            LaunchOptionError::Malformed(_) => Self::bad_request(error.to_string()),
            _ => Self::not_allowed(error.to_string()),
        }
    }
}

/// The served version that is the smallest step away.
fn nearest(version: PlaywrightVersion, served: &[PlaywrightVersion]) -> Option<PlaywrightVersion> {
    let at = |v: PlaywrightVersion| i64::from(v.major) * 1000 + i64::from(v.minor);
    served.iter().copied().min_by_key(|&v| ((at(v) - at(version)).abs(), std::cmp::Reverse(at(v))))
}

fn list(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(minor: u16) -> PlaywrightVersion {
        PlaywrightVersion { major: 1, minor }
    }

    #[test]
    fn an_unserved_version_names_the_served_ones_and_the_lines_that_fix_it() {
        let served = [
            (BrowserKind::Chromium, v(62)),
            (BrowserKind::Chromium, v(65)),
            (BrowserKind::Firefox, v(62)),
        ];
        let refusal = Refusal::version_not_served(v(40), &served);
        assert_eq!(refusal.status, 428);
        assert!(refusal.message.contains("It serves: 1.62, 1.65."), "{}", refusal.message);
        assert!(refusal.message.contains("npm install playwright@~1.62.0"), "{}", refusal.message);
        assert!(refusal.message.contains("pip install \"playwright==1.62.*\""));
        assert_eq!(refusal.retry_after, None);
    }

    #[test]
    fn a_browser_that_another_version_has_is_named() {
        let served = [(BrowserKind::Chromium, v(65)), (BrowserKind::Firefox, v(64))];
        let refusal = Refusal::browser_not_served(BrowserKind::Firefox, v(65), &served);
        assert!(refusal.message.contains("it has: chromium."), "{}", refusal.message);
        assert!(refusal.message.contains("It has firefox for Playwright 1.64."));
    }

    #[test]
    fn retry_after_is_a_whole_second_at_least() {
        let wait = Duration::from_millis(20);
        let refusal = Refusal::backing_off(BrowserKind::Chromium, v(65), wait, "x");
        assert_eq!(refusal.retry_after, Some(1));
        let json: serde_json::Value = serde_json::from_str(&refusal.json()).unwrap();
        assert_eq!(json["error"]["code"], "launch_backing_off");
        assert_eq!(json["error"]["retry_after_seconds"], 1);
    }
}
