//! Capacity while browsers are replaced under load.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use flotilla_core::status::{BrowserState, Status};
use flotilla_testkit::grid::Grid;
use flotilla_testkit::report::{Aim, Row, median, number};
use flotilla_testkit::sampler::Sampler;
use flotilla_testkit::wait::wait_until;
use serde::Deserialize;
use serde_json::json;

use crate::client::Client;
use crate::setup::Setup;
use crate::table::{Found, alone};

const SLOTS: u32 = 5;
const LANES: u32 = 2;
const LIFETIME: u32 = 12;
const HERTZ: u32 = 100;

#[derive(Debug, Deserialize)]
struct Load {
    connects: Vec<Connect>,
    failures: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Connect {
    /// When it began, in milliseconds since 1970.
    at: f64,
    ms: f64,
}

/// Some time under load: what the clients met with, and what the grid said of itself meanwhile.
struct Seen {
    load: Load,
    samples: Vec<Status>,
    /// When the grid's clock began, in milliseconds since 1970.
    began: f64,
}

pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Found> {
    let grid = setup
        .grid()
        .env("MAX_CONCURRENT_SESSIONS", SLOTS)
        .env("MAX_LIFETIME_SESSIONS", LIFETIME)
        .env("FLOTILLA_WARM_SESSIONS", 0)
        .start();
    wait_until("the first browser", Duration::from_secs(30), || {
        !grid.browsers("serving").is_empty()
    });
    let seen = load(setup, &grid)?;
    grid.stop_and_check();
    Ok(Found { rows: rows(&seen)?.into(), charts: Vec::new() })
}

fn load(setup: &Setup, grid: &Grid) -> anyhow::Result<Seen> {
    let mut client = Client::new(setup, grid.endpoint())?;
    let seconds = if setup.quick { 5 } else { 25 };
    let began = since_1970() - grid.status().uptime_seconds * 1000.0;
    let sampler = Sampler::start(grid, HERTZ);
    let load = client.ask(&json!({"do": "load", "lanes": LANES, "seconds": seconds}));
    let samples = sampler.finish();
    Ok(Seen { load: serde_json::from_value(load?)?, samples, began })
}

fn rows(seen: &Seen) -> anyhow::Result<[Row; 3]> {
    let Seen { load, samples, began } = seen;
    let replaced = browsers_that_served(samples).saturating_sub(1);
    ensure!(replaced > 1, "no browser was replaced, so nothing was measured");
    let (during, other): (Vec<&Connect>, Vec<&Connect>) =
        load.connects.iter().partition(|connect| is_replacing(samples, connect.at - began));
    ensure!(!during.is_empty() && !other.is_empty(), "too few sessions to compare");
    let p50 = |connects: &[&Connect]| median(&connects.iter().map(|c| c.ms).collect::<Vec<_>>());
    let (during_p50, other_p50) = (p50(&during), p50(&other));
    let missing = samples.iter().map(missing).max().unwrap_or(SLOTS);
    Ok([
        alone(
            "slots missing while browsers are replaced, at worst",
            format!("{replaced} replacements, {} samples", samples.len()),
            missing.into(),
            "",
            Some(Aim::AtMost(0.0)),
        ),
        alone(
            "connects that failed meanwhile",
            format!("of {}", load.connects.len() + load.failures.len()),
            load.failures.len() as f64,
            "",
            Some(Aim::AtMost(0.0)),
        ),
        alone(
            "connect while a browser is replaced, beside other times",
            format!(
                "{} ms of {}, else {} ms of {}",
                number(during_p50),
                during.len(),
                number(other_p50),
                other.len()
            ),
            during_p50 / other_p50,
            "",
            None,
        ),
    ])
}

/// Slots that were promised and that nobody could have had.
fn missing(sample: &Status) -> u32 {
    let browsers = || sample.workers.iter().flat_map(|worker| &worker.browsers);
    if !browsers().any(|browser| browser.state == BrowserState::Serving && browser.pid.is_some()) {
        return SLOTS;
    }
    SLOTS.saturating_sub(sample.slots.used + sample.slots.free)
}

fn browsers_that_served(samples: &[Status]) -> usize {
    let workers = samples.iter().flat_map(|sample| &sample.workers);
    let browsers = workers.flat_map(|worker| &worker.browsers);
    browsers.filter(|browser| browser.sessions > 0).map(|b| &b.id).collect::<BTreeSet<_>>().len()
}

/// Whether a successor was being launched, or an old browser was leaving, at that many
/// milliseconds of the grid's life.
fn is_replacing(samples: &[Status], at: f64) -> bool {
    let next = samples.partition_point(|sample| sample.uptime_seconds * 1000.0 < at);
    samples.get(next).is_some_and(|sample| {
        let mut browsers = sample.workers.iter().flat_map(|worker| &worker.browsers);
        browsers.any(|b| matches!(b.state, BrowserState::Starting | BrowserState::Retiring))
    })
}

fn since_1970() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}
