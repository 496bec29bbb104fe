//! What the grid says about itself: the body of `GET /status.json`.
//!
//! The gateway writes it; `flotilla status`, `flotilla health` and the tests read it. Readers
//! ignore fields that they do not know, so a newer grid can be asked by an older command.

use serde::{Deserialize, Serialize};

use crate::browser::BrowserKind;
use crate::version::PlaywrightVersion;

/// The whole grid at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the grid itself.
    pub version: String,
    /// Whether it takes clients.
    pub state: GridState,
    /// How long it has been running.
    pub uptime_seconds: f64,
    /// Where clients connect, such as `ws://127.0.0.1:8080`.
    pub endpoint: String,
    /// Where the grid keeps who is out there.
    #[serde(default)]
    pub registry: RegistryStatus,
    /// Slots of all workers together.
    pub slots: Slots,
    /// Clients that wait.
    pub queue: QueueStatus,
    /// What is served: one entry for every browser and Playwright version.
    pub pools: Vec<PoolStatus>,
    /// Who serves it.
    pub workers: Vec<WorkerStatus>,
    /// Who uses it.
    pub sessions: Vec<SessionStatus>,
}

impl Status {
    /// Workers that take sessions: now, or after somebody's turn.
    pub fn available_workers(&self) -> usize {
        let takes =
            |w: &&WorkerStatus| matches!(w.state, WorkerState::Available | WorkerState::Busy);
        self.workers.iter().filter(takes).count()
    }
}

/// Whether the grid takes clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GridState {
    /// It will: its first browsers are coming up.
    Starting,
    /// It does.
    Ready,
    /// No more: it finishes what it has.
    Draining,
}

impl GridState {
    /// The name on the wire and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// Where the grid keeps who is out there, and whether that can be reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegistryStatus {
    /// The backend.
    pub kind: RegistryKind,
    /// Whether the last round trip to it succeeded. Always true in-process.
    pub reachable: bool,
    /// How long the last round trip took, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
}

impl Default for RegistryStatus {
    fn default() -> Self {
        Self { kind: RegistryKind::Memory, reachable: true, latency_ms: None }
    }
}

/// A backend of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistryKind {
    /// In the process itself: standalone.
    Memory,
    /// In Redis.
    Redis,
}

/// Rights to a session, counted by the workers that own them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// All of them.
    pub total: u32,
    /// Held by a session.
    pub used: u32,
    /// To be had now.
    pub free: u32,
    /// Neither: on workers that take no more sessions.
    pub draining: u32,
}

/// Clients that wait for a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// How many wait.
    pub depth: u32,
    /// How many may.
    pub limit: u32,
    /// How long the first of them has waited; 0 when nobody does.
    pub oldest_wait_seconds: f64,
}

/// One browser of one Playwright version, over all workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Which browser.
    pub browser: BrowserKind,
    /// For which clients.
    pub version: PlaywrightVersion,
    /// Sessions that run.
    pub used: u32,
    /// Clients that wait for it.
    pub queued: u32,
    /// Whether a client that names neither browser nor version gets this one.
    #[serde(default)]
    pub default: bool,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its name.
    pub id: String,
    /// Whether it takes sessions.
    pub state: WorkerState,
    /// Its slots.
    pub slots: u32,
    /// Those that are held.
    pub used: u32,
    /// Sessions that it has admitted since its start.
    pub sessions_served: u64,
    /// When it started, in seconds since 1970.
    pub started_at: u64,
    /// The version of Flotilla that it runs.
    #[serde(default)]
    pub release: String,
    /// Where gateways reach it; empty for a worker in the gateway's own process.
    #[serde(default)]
    pub endpoint: String,
    /// How long ago it was last heard of.
    #[serde(default)]
    pub heartbeat_age_seconds: f64,
    /// How long it has been running, by its own clock.
    #[serde(default)]
    pub uptime_seconds: f64,
    /// Why it cannot be reached, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What it serves.
    #[serde(default)]
    pub serves: Vec<(BrowserKind, PlaywrightVersion)>,
    /// Its browser processes, where they are known: the worker itself tells them.
    #[serde(default)]
    pub browsers: Vec<BrowserStatus>,
}

/// Whether a worker takes sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// Not yet.
    Starting,
    /// It does.
    Available,
    /// Every slot is taken.
    Busy,
    /// No more.
    Draining,
    /// It has not been heard of for half its TTL.
    Stalled,
    /// It cannot be reached.
    Unroutable,
    /// It has not been heard of for its TTL.
    Dead,
}

impl WorkerState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Available,
        Self::Busy,
        Self::Draining,
        Self::Stalled,
        Self::Unroutable,
        Self::Dead,
    ];

    /// The name on the wire and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Available => "available",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Stalled => "stalled",
            Self::Unroutable => "unroutable",
            Self::Dead => "dead",
        }
    }
}

/// One browser process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrowserStatus {
    /// Its name within its worker.
    pub id: String,
    /// Which browser.
    pub browser: BrowserKind,
    /// Which Playwright drives it.
    pub version: PlaywrightVersion,
    /// The browser's own version, such as `156.0.8078.79`; empty while it starts.
    #[serde(default)]
    pub browser_version: String,
    /// Its process; absent while it starts.
    #[serde(default)]
    pub pid: Option<u32>,
    /// What it is there for now.
    pub state: BrowserState,
    /// Sessions that run in it.
    pub sessions: u32,
    /// Sessions that it has ever been given.
    pub served: u64,
    /// How long it has been running.
    pub age_seconds: f64,
    /// What it and its children hold; absent when that is not known.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

/// What a browser process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BrowserState {
    /// It comes up.
    Starting,
    /// Shared: takes the sessions of one tenant.
    Serving,
    /// At a limit: leaves with its last session.
    Retiring,
    /// Waits to become the own browser of one session.
    Warm,
    /// Belongs to one session and goes with it.
    Own,
}

impl BrowserState {
    /// The name on the wire and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Retiring => "retiring",
            Self::Warm => "warm",
            Self::Own => "own",
        }
    }
}

/// One session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Its name, as the client was told it.
    pub id: String,
    /// Which browser.
    pub browser: BrowserKind,
    /// Which Playwright.
    pub version: PlaywrightVersion,
    /// `tenant` or `session`.
    pub isolation: String,
    /// When it was admitted, in seconds since 1970.
    pub started_at: u64,
    /// How long ago that was.
    pub age_seconds: f64,
    /// The worker that runs it.
    pub worker: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{"version":"0.1.0","state":"ready","uptime_seconds":12.3,
        "endpoint":"ws://127.0.0.1:8080","slots":{"total":5,"used":2,"free":3,"draining":0},
        "queue":{"depth":1,"limit":100,"oldest_wait_seconds":0.4},
        "pools":[{"browser":"chromium","version":"1.65","used":2,"queued":1,"default":true}],
        "workers":[{"id":"w1","state":"available","slots":5,"used":2,"sessions_served":17,
          "started_at":1700000000,"browsers":[{"id":"b1","browser":"chromium","version":"1.65",
          "browser_version":"156.0.8078.79","pid":123,"state":"serving","sessions":2,"served":17,
          "age_seconds":33.1,"memory_bytes":123}]}],
        "sessions":[{"id":"s1","browser":"chromium","version":"1.65","isolation":"tenant",
          "started_at":1700000000,"age_seconds":1.5,"worker":"w1"}],"of_a_later_release":true}"#;

    #[test]
    fn reads_a_grid_that_says_more_or_less_than_it_knows() {
        let status: Status = serde_json::from_str(SAMPLE).unwrap();
        assert_eq!(status.registry.kind, RegistryKind::Memory);
        assert_eq!(status.available_workers(), 1);
        assert_eq!(status.pools[0].version.to_string(), "1.65");
        assert_eq!(status.workers[0].browsers[0].pid, Some(123));
    }

    #[test]
    fn what_is_written_can_be_read_back() {
        let status: Status = serde_json::from_str(SAMPLE).unwrap();
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }

    #[test]
    fn names_in_tables_are_the_names_on_the_wire() {
        let wire = |v: serde_json::Value| v.as_str().unwrap().to_owned();
        for s in [GridState::Starting, GridState::Ready, GridState::Draining] {
            assert_eq!(wire(serde_json::to_value(s).unwrap()), s.as_str());
        }
        for s in WorkerState::ALL {
            assert_eq!(wire(serde_json::to_value(s).unwrap()), s.as_str());
        }
        for s in [
            BrowserState::Starting,
            BrowserState::Serving,
            BrowserState::Retiring,
            BrowserState::Warm,
            BrowserState::Own,
        ] {
            assert_eq!(wire(serde_json::to_value(s).unwrap()), s.as_str());
        }
    }
}
