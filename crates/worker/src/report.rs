//! What a worker tells people about itself.

use std::collections::HashMap;
use std::time::Duration;

use flotilla_core::launcher::BrowserId;
use flotilla_core::pool::{Browser, Phase, Pool, Role};
use flotilla_core::status::{
    BrowserState, BrowserStatus, SessionStatus, WorkerState, WorkerStatus,
};

use crate::supervisor::{Process, WorkerConfig};

/// The worker as it is now.
pub(crate) fn worker(
    config: &WorkerConfig,
    pool: &Pool,
    processes: &HashMap<BrowserId, Process>,
    now: Duration,
) -> WorkerStatus {
    let browsers: Vec<_> =
        pool.browsers().map(|(id, browser)| one(id, browser, processes.get(id), now)).collect();
    WorkerStatus {
        id: config.id.to_string(),
        state: state(pool, &browsers),
        slots: count(pool.slots()),
        used: count(pool.used()),
        sessions_served: pool.admitted_ever(),
        started_at: config.started_at,
        release: config.release.clone(),
        endpoint: String::new(),
        heartbeat_age_seconds: 0.0,
        uptime_seconds: now.as_secs_f64(),
        problem: None,
        serves: config.serves.clone(),
        browsers,
    }
}

/// Its sessions, the oldest first.
pub(crate) fn sessions(config: &WorkerConfig, pool: &Pool, now: Duration) -> Vec<SessionStatus> {
    let mut sessions: Vec<_> = pool
        .sessions()
        .filter(|holding| !holding.releasing)
        .map(|holding| SessionStatus {
            id: holding.session.to_string(),
            browser: holding.kind,
            version: holding.version,
            isolation: holding.isolation.as_str().to_owned(),
            started_at: config.started_at + holding.since.as_secs(),
            age_seconds: now.saturating_sub(holding.since).as_secs_f64(),
            worker: config.id.to_string(),
        })
        .collect();
    sessions.sort_by(|a, b| b.age_seconds.total_cmp(&a.age_seconds));
    sessions
}

fn state(pool: &Pool, browsers: &[BrowserStatus]) -> WorkerState {
    let all_starting = browsers.iter().all(|b| b.state == BrowserState::Starting);
    match (pool.is_draining(), all_starting && !browsers.is_empty()) {
        (true, _) => WorkerState::Draining,
        (false, true) => WorkerState::Starting,
        (false, false) => WorkerState::Available,
    }
}

fn one(
    id: &BrowserId,
    browser: &Browser,
    process: Option<&Process>,
    now: Duration,
) -> BrowserStatus {
    let launched = process.map(|p| &p.launched);
    BrowserStatus {
        id: id.to_string(),
        browser: browser.kind,
        version: browser.version,
        browser_version: launched.map(|l| l.browser_version.clone()).unwrap_or_default(),
        pid: launched.map(|l| l.pid),
        state: browser_state(browser),
        sessions: count(browser.sessions.len()),
        served: browser.served.into(),
        age_seconds: now.saturating_sub(browser.since).as_secs_f64(),
        memory_bytes: (browser.memory > 0).then_some(browser.memory),
    }
}

fn browser_state(browser: &Browser) -> BrowserState {
    match (&browser.phase, &browser.role) {
        (Phase::Planned(_) | Phase::Starting, _) => BrowserState::Starting,
        (Phase::Retiring(_) | Phase::Closing(_), _) => BrowserState::Retiring,
        (Phase::Serving, Role::Shared(_)) => BrowserState::Serving,
        (Phase::Serving, Role::Warm) => BrowserState::Warm,
        (Phase::Serving, Role::Own) => BrowserState::Own,
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
