//! Gauges that are computed when they are asked for, from what the grid says about itself.

use std::collections::BTreeMap;

use crate::browser::BrowserKind;
use crate::config::{Config, violations};
use crate::status::{BrowserState, BrowserStatus, Status, WorkerState, WorkerStatus};

use super::label::Label;
use super::metric::{Metric, Type};
use super::process::Process;
use super::text::Text;

const fn gauge(
    group: &'static str,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric::computed(Type::Gauge, name, labels, help).in_group(group)
}

const ACTIVE: Metric =
    gauge("Sessions", "flotilla_sessions_active", &["browser", "version"], "Sessions that run.");
const PENDING: Metric = gauge(
    "Sessions",
    "flotilla_sessions_pending",
    &["browser", "version"],
    "Clients that wait for a session.",
);
const SLOTS: Metric = gauge(
    "Sessions",
    "flotilla_slots",
    &["browser", "version", "state"],
    "Slots of all workers. Those that are not used serve any browser and version.",
);
const DEPTH: Metric =
    gauge("Queue", "flotilla_queue_depth", &["browser"], "Clients that wait for a slot.");
const LIMIT: Metric = gauge("Queue", "flotilla_queue_limit", &[], "Clients that may wait.");
const OLDEST: Metric = gauge(
    "Queue",
    "flotilla_queue_oldest_age_seconds",
    &[],
    "How long the first in the queue has waited; 0 when nobody does.",
);
const WORKERS: Metric = gauge(
    "Workers",
    "flotilla_workers",
    &["browser", "version", "state"],
    "Workers that serve a browser and version, by state.",
);
const HEARTBEAT: Metric = gauge(
    "Workers",
    "flotilla_worker_heartbeat_age_seconds",
    &[],
    "How long ago the worker was last heard of that has been silent for longest; 0 without workers.",
);
const SESSION_AGE: Metric = gauge(
    "Sessions",
    "flotilla_session_oldest_age_seconds",
    &[],
    "How long the oldest session has lasted; 0 when there is none.",
);
const REGISTRY: Metric = gauge(
    "Fleet",
    "flotilla_registry_reachable",
    &[],
    "Whether the registry could be reached the last time: 1 or 0.",
);
const BROWSERS: Metric = gauge(
    "Browsers",
    "flotilla_browsers",
    &["browser", "version", "state"],
    "Browser processes, by what they are there for.",
);
const LIFETIME: Metric = gauge(
    "Browsers",
    "flotilla_worker_lifetime_limit",
    &[],
    "Sessions that a browser serves before it is replaced.",
);
const MEMORY: Metric = gauge(
    "Browsers",
    "flotilla_worker_memory_bytes",
    &["kind"],
    "Memory of all browsers together, and what they may have.",
);
const BUILD: Metric = gauge(
    "Grid",
    "flotilla_build_info",
    &["version"],
    "Always 1; the label says which release this is.",
);
const CONFIG: Metric = gauge(
    "Grid",
    "flotilla_config_info",
    &["hash"],
    "Always 1; grids with the same label have the same settings.",
);
const VIOLATIONS: Metric = gauge(
    "Grid",
    "flotilla_config_constraint_violations",
    &[],
    "Rules between settings that the settings in force break.",
);

/// Every gauge that is computed here.
pub(super) const METRICS: &[Metric] = &[
    ACTIVE,
    PENDING,
    SLOTS,
    SESSION_AGE,
    DEPTH,
    LIMIT,
    OLDEST,
    WORKERS,
    HEARTBEAT,
    REGISTRY,
    BROWSERS,
    LIFETIME,
    MEMORY,
    BUILD,
    CONFIG,
    VIOLATIONS,
];

/// What stays the same while the grid runs.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) config_hash: String,
    pub(super) violations: usize,
    pub(super) lifetime_limit: u32,
    pub(super) memory_limit: u64,
}

impl About {
    pub(super) fn new(config: &Config, config_hash: &str) -> Self {
        Self {
            config_hash: config_hash.to_owned(),
            violations: violations(config).len(),
            lifetime_limit: config.browsers.max_lifetime_sessions,
            memory_limit: config.browsers.max_browser_memory,
        }
    }
}

pub(super) fn render(status: &Status, about: &About, process: Option<&Process>, out: &mut Text) {
    sessions(status, out);
    queue(status, out);
    workers(status, out);
    browsers(status, about, out);
    one(&BUILD, &[&status.version], out);
    one(&CONFIG, &[&about.config_hash], out);
    number(&VIOLATIONS, about.violations as f64, out);
    if let Some(process) = process {
        process.render(out);
    }
}

fn number(metric: &Metric, value: f64, out: &mut Text) {
    out.head(metric);
    out.sample(metric, "", &[], value);
}

fn one(metric: &Metric, labels: &[&str], out: &mut Text) {
    out.head(metric);
    out.sample(metric, "", labels, 1.0);
}

fn sessions(status: &Status, out: &mut Text) {
    out.head(&ACTIVE);
    for pool in &status.pools {
        let labels = [pool.browser.as_str(), &pool.version.to_string()];
        out.sample(&ACTIVE, "", &labels, f64::from(pool.used));
    }
    out.head(&PENDING);
    for pool in &status.pools {
        let labels = [pool.browser.as_str(), &pool.version.to_string()];
        out.sample(&PENDING, "", &labels, f64::from(pool.queued));
    }
    slots(status, out);
}

/// Every slot once, so that the sum is the number of slots: a slot has a browser only while it is
/// used, and one whose session is being cleared away after has none any more.
fn slots(status: &Status, out: &mut Text) {
    out.head(&SLOTS);
    for pool in &status.pools {
        let labels = [pool.browser.as_str(), &pool.version.to_string(), "used"];
        out.sample(&SLOTS, "", &labels, f64::from(pool.used));
    }
    let in_pools: u32 = status.pools.iter().map(|pool| pool.used).sum();
    let reserved = status.slots.used.saturating_sub(in_pools);
    let rest =
        [("free", status.slots.free), ("draining", status.slots.draining), ("reserved", reserved)];
    for (state, slots) in rest {
        out.sample(&SLOTS, "", &["any", "any", state], f64::from(slots));
    }
    number(&SESSION_AGE, greatest(status.sessions.iter().map(|s| s.age_seconds)), out);
}

fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

fn queue(status: &Status, out: &mut Text) {
    out.head(&DEPTH);
    for browser in BrowserKind::ALL {
        let waiting: u32 =
            status.pools.iter().filter(|p| p.browser == browser).map(|p| p.queued).sum();
        out.sample(&DEPTH, "", &[browser.as_str()], f64::from(waiting));
    }
    number(&LIMIT, f64::from(status.queue.limit), out);
    number(&OLDEST, status.queue.oldest_wait_seconds, out);
}

fn worker_state(worker: &WorkerStatus) -> WorkerState {
    match worker.state {
        WorkerState::Available if worker.used >= worker.slots => WorkerState::Busy,
        state => state,
    }
}

/// One that is out of reach serves nothing just now, and is counted for what it served.
fn workers(status: &Status, out: &mut Text) {
    let mut numbers: BTreeMap<_, [u32; WorkerState::ALL.len()]> = BTreeMap::new();
    for pool in &status.pools {
        numbers.entry((pool.browser, pool.version)).or_default();
    }
    for worker in &status.workers {
        let state = worker_state(worker);
        let place = WorkerState::ALL.iter().position(|s| *s == state).unwrap_or_default();
        for served in &worker.serves {
            numbers.entry(*served).or_default()[place] += 1;
        }
    }
    out.head(&WORKERS);
    for ((browser, version), numbers) in numbers {
        for (state, number) in WorkerState::ALL.into_iter().zip(numbers) {
            let labels = [browser.as_str(), &version.to_string(), state.as_str()];
            out.sample(&WORKERS, "", &labels, f64::from(number));
        }
    }
    number(&HEARTBEAT, greatest(status.workers.iter().map(|w| w.heartbeat_age_seconds)), out);
    number(&REGISTRY, f64::from(u8::from(status.registry.reachable)), out);
}

const BROWSER_STATES: [BrowserState; 5] = [
    BrowserState::Starting,
    BrowserState::Serving,
    BrowserState::Retiring,
    BrowserState::Warm,
    BrowserState::Own,
];

fn browsers(status: &Status, about: &About, out: &mut Text) {
    let all: Vec<&BrowserStatus> = status.workers.iter().flat_map(|w| &w.browsers).collect();
    let mut numbers = BTreeMap::new();
    for pool in &status.pools {
        for state in BROWSER_STATES {
            numbers.insert((pool.browser.value(), pool.version.to_string(), state.as_str()), 0);
        }
    }
    for browser in &all {
        let key = (browser.browser.value(), browser.version.to_string(), browser.state.as_str());
        *numbers.entry(key).or_insert(0) += 1;
    }
    out.head(&BROWSERS);
    for ((browser, version, state), number) in numbers {
        out.sample(&BROWSERS, "", &[browser, &version, state], f64::from(number));
    }
    number(&LIFETIME, f64::from(about.lifetime_limit), out);
    let resident: u64 = all.iter().filter_map(|browser| browser.memory_bytes).sum();
    out.head(&MEMORY);
    out.sample(&MEMORY, "", &["rss"], resident as f64);
    out.sample(&MEMORY, "", &["limit"], (about.memory_limit * all.len() as u64) as f64);
}
