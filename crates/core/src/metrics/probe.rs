//! What the health check's own sessions found.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::browser::BrowserKind;
use crate::version::PlaywrightVersion;

use super::instrument::{Counter, Instrument};
use super::label::Label;
use super::metric::{Metric, Type};
use super::text::Text;
use super::words::{ProbePhase, ProbeResult};

/// One probe: a session through the front door.
#[derive(Clone, Debug)]
pub struct Probed {
    /// With which browser.
    pub browser: BrowserKind,
    /// As which Playwright.
    pub version: PlaywrightVersion,
    /// Whether it got to its end.
    pub ok: bool,
    /// How long each part took, as far as it got.
    pub phases: Vec<(ProbePhase, Duration)>,
    /// When it ended, in seconds since 1970.
    pub ended_at: u64,
}

const GROUP: &str = "Probe";
const SUCCESS: Metric = Metric::computed(
    Type::Gauge,
    "flotilla_probe_success",
    &["browser", "version"],
    "Whether the newest probe got to its end: 1 or 0.",
)
.in_group(GROUP);
const PHASE: Metric = Metric::computed(
    Type::Gauge,
    "flotilla_probe_phase_seconds",
    &["browser", "phase"],
    "How long each part of the newest probe took.",
)
.in_group(GROUP);
const LAST_SUCCESS: Metric = Metric::computed(
    Type::Gauge,
    "flotilla_probe_last_success_timestamp_seconds",
    &["browser"],
    "When a probe last got to its end.",
)
.in_group(GROUP);
const TOTAL: Metric = Metric::of::<Counter<(BrowserKind, ProbeResult)>>(
    GROUP,
    "flotilla_probe_total",
    "Probes, by how they ended.",
);

/// Versions remembered at a time. A grid serves a handful; the oldest gives way.
const VERSIONS: usize = 24;

/// What probes found. Probes are rare, so a lock costs nobody anything.
#[derive(Debug)]
pub struct Probe {
    total: Counter<(BrowserKind, ProbeResult)>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    success: BTreeMap<(PlaywrightVersion, BrowserKind), bool>,
    phases: BTreeMap<BrowserKind, Vec<(ProbePhase, Duration)>>,
    last_success: BTreeMap<BrowserKind, u64>,
}

impl Probe {
    pub(super) const METRICS: &'static [Metric] = &[SUCCESS, PHASE, LAST_SUCCESS, TOTAL];

    pub(super) fn new() -> Self {
        Self { total: Counter::new(&Self::METRICS[3]), seen: Mutex::default() }
    }

    /// Takes a probe's findings.
    pub fn record(&self, probed: Probed) {
        let result = if probed.ok { ProbeResult::Ok } else { ProbeResult::Failed };
        self.total.inc((probed.browser, result));
        // A thread that panicked here left a map that is still well-formed.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.success.insert((probed.version, probed.browser), probed.ok);
        if seen.success.len() > VERSIONS {
            seen.success.pop_first();
        }
        seen.phases.insert(probed.browser, probed.phases);
        if probed.ok {
            seen.last_success.insert(probed.browser, probed.ended_at);
        }
    }

    pub(super) fn render(&self, out: &mut Text) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        out.head(&SUCCESS);
        for ((version, browser), ok) in &seen.success {
            let version = version.to_string();
            out.sample(&SUCCESS, "", &[browser.as_str(), &version], f64::from(u8::from(*ok)));
        }
        out.head(&PHASE);
        for (browser, phases) in &seen.phases {
            for (phase, time) in phases {
                let labels = [browser.as_str(), phase.value()];
                out.sample(&PHASE, "", &labels, time.as_secs_f64());
            }
        }
        out.head(&LAST_SUCCESS);
        for (browser, at) in &seen.last_success {
            out.sample(&LAST_SUCCESS, "", &[browser.as_str()], *at as f64);
        }
        out.head(&TOTAL);
        self.total.render(&TOTAL, out);
    }
}
