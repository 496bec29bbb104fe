//! The check, step by step, in the guide's order and words.

use std::time::{Duration, Instant};

use flotilla_core::status::{PoolStatus, RegistryKind, RegistryStatus, Status, WorkerState};
use flotilla_core::{BrowserKind, PlaywrightVersion};

use super::report::{HealthReport, Outcome, Reply, Workers};
use crate::printer::Paint;
use crate::probe::{self, AskError, Endpoint, Phase, ProbeReport, Target};

/// A page about the grid itself is no browser: it comes at once or not at all.
const PAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// From here on the guide calls a Redis critical.
const REDIS_CRITICAL_MS: f64 = 50.0;

/// What is to be checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which grid.
    pub endpoint: Endpoint,
    /// Which browsers; none named means all that are served.
    pub browsers: Vec<BrowserKind>,
    /// Which versions; none named means all that are served.
    pub versions: Vec<PlaywrightVersion>,
    /// How long one session may take.
    pub timeout: Duration,
}

/// Who is told how it goes.
pub trait Teller {
    /// One line of the check's output.
    fn line(&mut self, line: &str, paint: Option<Paint>);
    /// What is being waited for.
    fn busy(&mut self, with: &str);
}

/// Checks the grid, telling every step as it is taken.
pub async fn examine(plan: &Plan, teller: &mut dyn Teller) -> HealthReport {
    let report = HealthReport::new(plan.endpoint.to_string());
    let mut check = Check { plan, teller, report };
    let outcome = check.steps().await;
    check.report.concluded(outcome)
}

struct Check<'a> {
    plan: &'a Plan,
    teller: &'a mut dyn Teller,
    report: HealthReport,
}

impl Check<'_> {
    async fn steps(&mut self) -> Outcome {
        if let Err(outcome) = self.proxy().await {
            return outcome;
        }
        let status = match probe::status(&self.plan.endpoint, self.page_timeout()).await {
            Ok(status) => status,
            Err(error) => {
                self.problem(&format!("The grid does not say what it serves: {error}"));
                return Outcome::CouldNotCheck;
            }
        };
        self.redis(&status.registry);
        if !self.workers(&status) {
            return Outcome::Down;
        }
        self.end_to_end(&status).await
    }

    fn page_timeout(&self) -> Duration {
        self.plan.timeout.min(PAGE_TIMEOUT)
    }

    fn heading(&mut self, text: &str) {
        self.teller.line(text, None);
        self.teller.busy(text);
    }

    fn detail(&mut self, text: &str, paint: Option<Paint>) {
        for line in text.lines() {
            self.teller.line(&format!("  {line}"), paint);
        }
    }

    fn problem(&mut self, text: &str) {
        self.problem_because(text, "");
    }

    /// The guide's words stand on a line of their own; ours come below.
    fn problem_because(&mut self, text: &str, why: &str) {
        self.teller.line(&format!("FAIL: {text}"), Some(Paint::Bad));
        self.detail(why, None);
        let because = why.split_whitespace().collect::<Vec<_>>().join(" ");
        let colon = if because.is_empty() { "" } else { ": " };
        self.report.problems.push(format!("{text}{colon}{because}"));
    }

    /// Alive is: the process answers. Ready is: it takes clients.
    async fn proxy(&mut self) -> Result<(), Outcome> {
        self.heading("Checking proxy...");
        let (live, bad_address) = self.ask("healthz").await;
        self.report.live = Some(live.clone());
        if !live.ok {
            self.problem_because("Proxy not responding", &live.message.unwrap_or_default());
            let unknown = bad_address.then_some(Outcome::CouldNotCheck);
            return Err(unknown.unwrap_or(Outcome::Down));
        }
        let (ready, _) = self.ask("readyz").await;
        match &ready.message {
            None => self.detail(&format!("alive and ready ({:.1} ms)", live.ms), None),
            Some(message) => self.problem_because("Proxy not ready", message),
        }
        self.report.ready = Some(ready);
        Ok(())
    }

    /// The answer, and whether there is none because the address leads nowhere.
    async fn ask(&self, page: &'static str) -> (Reply, bool) {
        let started = Instant::now();
        let answer = probe::page(&self.plan.endpoint, page, self.page_timeout()).await;
        let ms = probe::millis(started.elapsed());
        let bad_address = answer.as_ref().is_err_and(AskError::is_bad_address);
        let message = match answer {
            Ok(answer) if answer.is_success() => None,
            Ok(answer) => Some(format!(
                "/{page} answers {} {}\n{}",
                answer.status,
                answer.reason,
                answer.text().trim_end()
            )),
            Err(error) => Some(error.to_string()),
        };
        let ok = message.is_none();
        (Reply { ok, ms, message }, bad_address)
    }

    fn redis(&mut self, registry: &RegistryStatus) {
        if registry.kind != RegistryKind::Redis {
            return self.teller.line("Redis: not used (standalone)", None);
        }
        self.heading("Checking Redis...");
        let ms = registry.latency_ms.unwrap_or_default();
        let message = if !registry.reachable {
            Some("Redis not responding".to_owned())
        } else if ms > REDIS_CRITICAL_MS {
            Some(format!("Redis is slow: {ms:.0} ms for a round trip"))
        } else {
            self.detail(&format!("round trip {ms:.1} ms"), None);
            None
        };
        if let Some(message) = &message {
            self.problem(message);
        }
        let ok = message.is_none();
        self.report.redis = Some(Reply { ok, ms, message });
    }

    /// The guide's number counts those that a session can be given to; the others are listed.
    fn workers(&mut self, status: &Status) -> bool {
        self.heading("Checking workers...");
        let workers =
            Workers { registered: status.workers.len(), available: status.available_workers() };
        self.report.workers = Some(workers);
        self.teller.line(&format!("Workers registered: {}", workers.available), None);
        for worker in status.workers.iter().filter(|w| w.state != WorkerState::Available) {
            self.detail(&format!("and {}: {}", worker.id, worker.state.as_str()), None);
        }
        if workers.available == 0 {
            self.problem("No workers registered");
        }
        workers.available > 0
    }

    async fn end_to_end(&mut self, status: &Status) -> Outcome {
        self.heading("End-to-end test...");
        for wish in self.unserved(&status.pools) {
            self.problem(&wish);
        }
        let pools: Vec<_> = status.pools.iter().filter(|p| self.wanted(p)).collect();
        for pool in &pools {
            let (browser, version) = (pool.browser, pool.version);
            self.teller.busy(&format!("{browser} {version}"));
            let report = self.session(browser, version).await;
            self.tell_session(&report);
            self.report.probes.push(report);
        }
        self.verdict(status)
    }

    async fn session(&self, kind: BrowserKind, version: PlaywrightVersion) -> ProbeReport {
        let target =
            Target { endpoint: self.plan.endpoint.clone(), kind, version, headers: Vec::new() };
        probe::check(&target, self.plan.timeout).await
    }

    fn tell_session(&mut self, report: &ProbeReport) {
        let (line, paint) = session_line(report);
        self.detail(&line, Some(paint));
        if let Some(failure) = &report.failure {
            let what = format!("{} {}: {}", report.browser, report.version, failure.message);
            self.report.problems.push(what);
        }
    }

    fn verdict(&mut self, status: &Status) -> Outcome {
        let worked = self.report.probes.iter().filter(|p| p.ok).count();
        if worked > 0 && worked == self.report.probes.len() && self.report.problems.is_empty() {
            self.teller.line("OK", Some(Paint::Good));
            return Outcome::Healthy;
        }
        if worked < self.report.probes.len() || worked == 0 {
            self.problem("End-to-end connection failed");
            self.note_full_grid(status);
        }
        // That all of what was picked out fails says nothing about the rest.
        let all = self.plan.browsers.is_empty() && self.plan.versions.is_empty();
        if worked == 0 && all && !self.starved(status) {
            return Outcome::Down;
        }
        Outcome::Degraded
    }

    /// True when no session was had because others had the slots: that grid is at work.
    fn starved(&self, status: &Status) -> bool {
        let waited = |probe: &ProbeReport| {
            let failure = probe.failure.as_ref();
            failure.is_some_and(|f| f.kind == "timeout" && f.phase == Phase::Connect)
        };
        let probes = &self.report.probes;
        status.slots.used > 0
            && status.slots.free == 0
            && !probes.is_empty()
            && probes.iter().all(waited)
    }

    fn note_full_grid(&mut self, status: &Status) {
        if status.slots.free == 0 {
            let (total, depth) = (status.slots.total, status.queue.depth);
            let line = format!("no slot of {total} was free when it began, and {depth} waited");
            self.detail(&line, Some(Paint::Warn));
        }
    }

    fn wanted(&self, pool: &PoolStatus) -> bool {
        let (browsers, versions) = (&self.plan.browsers, &self.plan.versions);
        (browsers.is_empty() || browsers.contains(&pool.browser))
            && (versions.is_empty() || versions.contains(&pool.version))
    }

    /// Every wish that no pool fulfils, in words.
    fn unserved(&self, pools: &[PoolStatus]) -> Vec<String> {
        let served = list(pools);
        wishes(&self.plan.browsers, &self.plan.versions)
            .filter(|(browser, version)| {
                !pools.iter().any(|p| {
                    browser.is_none_or(|b| b == p.browser) && version.is_none_or(|v| v == p.version)
                })
            })
            .map(|(browser, version)| {
                let browser = browser.map_or("any browser", BrowserKind::as_str);
                let version = version.map_or(String::new(), |v| format!(" for Playwright {v}"));
                format!("{browser}{version} is not served ({served})")
            })
            .collect()
    }
}

/// Every combination that was asked for; `None` stands for any.
fn wishes(
    browsers: &[BrowserKind],
    versions: &[PlaywrightVersion],
) -> impl Iterator<Item = (Option<BrowserKind>, Option<PlaywrightVersion>)> {
    fn or_any<T: Copy>(named: &[T]) -> Vec<Option<T>> {
        if named.is_empty() {
            return vec![None];
        }
        named.iter().copied().map(Some).collect()
    }
    let versions = or_any(versions);
    or_any(browsers)
        .into_iter()
        .flat_map(move |b| versions.clone().into_iter().map(move |v| (b, v)))
}

fn list(pools: &[PoolStatus]) -> String {
    if pools.is_empty() {
        return "the grid serves no browser".to_owned();
    }
    let names = pools.iter().map(|p| format!("{} {}", p.browser, p.version));
    format!("served: {}", names.collect::<Vec<_>>().join(", "))
}

fn session_line(report: &ProbeReport) -> (String, Paint) {
    let (word, paint) = if report.ok { ("ok", Paint::Good) } else { ("FAIL", Paint::Bad) };
    let mut line = format!("{:<8} {:<5} {word:<4}", report.browser, report.version);
    for timing in &report.phases {
        line.push_str(&format!("  {} {:.1} ms", timing.phase, timing.ms));
    }
    if let Some(failure) = &report.failure {
        let first = failure.message.lines().next().unwrap_or_default();
        line.push_str(&format!("  {first}"));
    }
    (line, paint)
}

#[cfg(test)]
mod tests;
