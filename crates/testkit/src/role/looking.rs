//! What a role says about itself over HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_core::status::{SessionStatus, Status};

use super::{Role, SETTLED};
use crate::http::{self, Response};
use crate::raw;
use crate::wait::{wait_equal, wait_for};

impl Role {
    /// `GET path`.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        http::get(self.address(), path, headers).expect("it answers")
    }

    /// What it says about itself.
    ///
    /// # Panics
    /// When it says nothing that can be read.
    pub fn status(&self) -> Status {
        status_of(self.address()).expect("it tells its status")
    }

    /// The value of a metric, summed over those of its series whose labels contain every one of
    /// `labels` (such as `cause="drain_kill"`). `None` when there is no such series.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let text = self.get("/metrics", &[]).body;
        let values: Vec<f64> = text
            .lines()
            .filter(|line| series_name(line) == name && labels.iter().all(|l| line.contains(l)))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Waits until so many slots are in use.
    pub fn wait_used(&self, used: u32, ceiling: Duration) {
        wait_equal("used slots", ceiling, &used, || self.status().slots.used);
    }

    /// The one session that there is, once it is in the list.
    ///
    /// # Panics
    /// When there are none or several.
    pub fn only_session(&self) -> SessionStatus {
        wait_for("the one session", SETTLED, || {
            let mut sessions = self.status().sessions;
            (sessions.len() == 1).then(|| sessions.remove(0))
        })
    }

    /// Waits until so many clients are in the queue.
    pub fn wait_queued(&self, depth: u32, ceiling: Duration) {
        wait_equal("the queue's depth", ceiling, &depth, || self.status().queue.depth);
    }

    /// Waits until it knows so many workers that may be given sessions.
    pub fn wait_workers(&self, count: usize, ceiling: Duration) {
        wait_equal("available workers", ceiling, &count, || self.status().available_workers());
    }

    /// The browser processes of that state (such as `serving`), by process id.
    pub fn browsers(&self, state: &str) -> BTreeSet<u32> {
        self.status()
            .workers
            .iter()
            .flat_map(|worker| &worker.browsers)
            .filter(|browser| browser.state.as_str() == state)
            .filter_map(|browser| browser.pid)
            .collect()
    }

    /// Opens a session without a Playwright client: the handshake only.
    ///
    /// # Errors
    /// The answer when it is no 101.
    pub fn open(&self, rest: &str, headers: &[(&str, &str)]) -> Result<raw::Socket, Response> {
        raw::Socket::open(self.address(), rest, headers)
    }
}

/// What the grid, the gateway or the worker at that address says about itself.
///
/// # Errors
/// When it cannot be asked, or its answer cannot be read.
pub fn status_of(address: &str) -> std::io::Result<Status> {
    let answer = http::get(address, "/status.json", &[])?;
    serde_json::from_str(&answer.body).map_err(std::io::Error::other)
}

fn series_name(line: &str) -> &str {
    line.split(['{', ' ']).next().unwrap_or_default()
}
