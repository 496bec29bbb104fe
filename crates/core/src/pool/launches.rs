//! Launches: planned at once, carried out a few at a time, and spaced out after failures.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Browser, Effect, ExitReason, Moment, NotAdmitted, Phase, Pool, Role, WarmWanted};
use crate::browser::BrowserKind;
use crate::launch_options::LaunchOptions;
use crate::launcher::BrowserId;
use crate::version::PlaywrightVersion;

/// A browser that lived this long was sound: its crash does not delay the next.
pub(super) const PROVEN_AFTER: Duration = Duration::from_secs(10);

const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A session waits for a retry that is this near; it is refused if the next is farther off.
const WORTH_WAITING: Duration = Duration::from_secs(1);

/// How often a browser failed in a row, and when it may be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    until: Moment,
    why: String,
}

impl Pool {
    /// Plans a browser for as soon as its back-off and the other launches allow.
    pub(super) fn plan(
        &mut self,
        kind: BrowserKind,
        version: PlaywrightVersion,
        role: Role,
        options: LaunchOptions,
        expose_network: Option<String>,
        now: Moment,
    ) -> BrowserId {
        self.launched_ever += 1;
        let id = BrowserId(format!("b{:06}", self.launched_ever));
        let at = self.backoffs.get(&(kind, version)).map_or(now, |backoff| backoff.until.max(now));
        let browser = Browser {
            kind,
            version,
            role,
            phase: Phase::Planned(at),
            sessions: BTreeSet::new(),
            served: 0,
            since: now,
            last_used: now,
            memory: 0,
            successor: false,
            options,
            expose_network,
        };
        self.browsers.insert(id.clone(), browser);
        id
    }

    /// Starts what is due, those with waiting sessions first.
    pub(super) fn start_due(&mut self, now: Moment) {
        let starting = self.browsers.values().filter(|b| b.phase == Phase::Starting).count();
        let mut due: Vec<_> = self
            .browsers
            .iter()
            .filter(|(_, b)| matches!(b.phase, Phase::Planned(at) if at <= now))
            .map(|(id, b)| (b.sessions.is_empty(), id.clone()))
            .collect();
        due.sort();
        for (_, id) in due.into_iter().take(self.limits.launches.saturating_sub(starting)) {
            let Some(browser) = self.browsers.get_mut(&id) else {
                continue;
            };
            browser.phase = Phase::Starting;
            self.effects.push(Effect::Launch {
                browser: id,
                kind: browser.kind,
                version: browser.version,
                options: browser.options.clone(),
                expose_network: browser.expose_network.clone(),
            });
        }
    }

    /// Plans what is to be kept ready: the default shared browser, and the warm ones.
    pub(super) fn refill(&mut self, now: Moment) {
        if self.draining {
            return;
        }
        if let Some((kind, version, tenant)) = self.kept.clone() {
            let role = Role::Shared(tenant);
            let there = self.browsers.values().any(|b| {
                b.kind == kind
                    && b.version == version
                    && b.role == role
                    && (b.is_coming() || b.phase == Phase::Serving)
            });
            if !there {
                self.plan(kind, version, role, LaunchOptions::new(), None, now);
            }
        }
        let due: Vec<_> =
            self.warm_wanted.iter().filter(|(_, w)| w.not_before <= now).map(|(k, _)| *k).collect();
        for (kind, version) in due {
            for _ in self.warm_count(kind, version)..self.limits.warm {
                self.plan(kind, version, Role::Warm, LaunchOptions::new(), None, now);
            }
        }
    }

    fn warm_count(&self, kind: BrowserKind, version: PlaywrightVersion) -> usize {
        let warm = |b: &&Browser| b.role == Role::Warm && b.kind == kind && b.version == version;
        self.browsers
            .values()
            .filter(warm)
            .filter(|b| b.is_coming() || b.phase == Phase::Serving)
            .count()
    }

    /// A session took a warm browser, or would have: more are wanted, but not this instant.
    pub(super) fn want_warm(&mut self, kind: BrowserKind, version: PlaywrightVersion, now: Moment) {
        if self.limits.warm == 0 {
            return;
        }
        let not_before = now + self.limits.refill_delay;
        self.warm_wanted
            .entry((kind, version))
            .and_modify(|wanted| {
                wanted.not_before = not_before;
                wanted.last_used = wanted.last_used.map(|_| now);
            })
            .or_insert(WarmWanted { not_before, last_used: Some(now) });
    }

    /// # Errors
    /// When the next try is too far off to wait for.
    pub(super) fn check_backoff(
        &self,
        kind: BrowserKind,
        version: PlaywrightVersion,
        now: Moment,
    ) -> Result<(), NotAdmitted> {
        let Some(backoff) = self.backoffs.get(&(kind, version)) else {
            return Ok(());
        };
        let wait = backoff.until.saturating_sub(now);
        if wait <= WORTH_WAITING {
            return Ok(());
        }
        Err(NotAdmitted::BackingOff { wait, why: backoff.why.clone() })
    }

    pub(super) fn backoff_failed(
        &mut self,
        kind: BrowserKind,
        version: PlaywrightVersion,
        why: &str,
        now: Moment,
    ) {
        let failures =
            self.backoffs.get(&(kind, version)).map_or(1, |b| b.failures.saturating_add(1));
        let delay = FIRST_DELAY.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_DELAY);
        let backoff = Backoff { failures, until: now + delay, why: why.to_owned() };
        self.backoffs.insert((kind, version), backoff);
    }

    /// A session ran its course on this browser: earlier failures of its kind are forgiven.
    pub(super) fn backoff_succeeded(&mut self, browser: &BrowserId) {
        if let Some(found) = self.browsers.get(browser) {
            self.backoffs.remove(&(found.kind, found.version));
        }
    }

    /// Closes warm browsers that are no longer wanted.
    pub(super) fn close_idle(&mut self, now: Moment) {
        let idle = self.limits.idle;
        self.warm_wanted.retain(|_, w| w.last_used.is_none_or(|at| now.saturating_sub(at) < idle));
        let unused: Vec<_> = self
            .browsers
            .iter()
            .filter(|(_, b)| {
                b.phase == Phase::Serving
                    && b.sessions.is_empty()
                    && now.saturating_sub(b.last_used) >= idle
                    && !self.is_kept(b)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for browser in unused {
            self.retire(&browser, ExitReason::Idle);
        }
    }

    fn is_kept(&self, browser: &Browser) -> bool {
        match &browser.role {
            Role::Warm => self.warm_wanted.contains_key(&(browser.kind, browser.version)),
            Role::Shared(tenant) => self.kept.as_ref().is_some_and(|(kind, version, kept)| {
                browser.kind == *kind && browser.version == *version && kept == tenant
            }),
            Role::Own => false,
        }
    }
}
