//! The end of a generation: browsers are replaced, never repaired, and the successor comes first.

use std::time::Duration;

use serde::Serialize;

use super::{Browser, Effect, Moment, Phase, Pool, Role, Stage};
use crate::launch_options::LaunchOptions;
use crate::launcher::BrowserId;
use crate::mutant::{self, Mutant};

/// Why a browser is gone. The names are the values of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// It had served as many sessions as a browser may.
    LifetimeSessions,
    /// It was as old as a browser may be.
    LifetimeAge,
    /// It used as much memory as a browser may.
    LifetimeMemory,
    /// It died.
    Crash,
    /// Its driver died.
    DriverCrash,
    /// It was one session's own, and the session ended.
    SessionEnd,
    /// Nobody had used it for long.
    Idle,
    /// The worker was draining.
    Drain,
    /// A session's contexts could not be disposed.
    Stuck,
    /// It never came up.
    LaunchFailed,
}

impl ExitReason {
    /// Every reason, for counters that begin at zero.
    pub const ALL: [Self; 10] = [
        Self::LifetimeSessions,
        Self::LifetimeAge,
        Self::LifetimeMemory,
        Self::Crash,
        Self::DriverCrash,
        Self::SessionEnd,
        Self::Idle,
        Self::Drain,
        Self::Stuck,
        Self::LaunchFailed,
    ];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LifetimeSessions => "lifetime_sessions",
            Self::LifetimeAge => "lifetime_age",
            Self::LifetimeMemory => "lifetime_memory",
            Self::Crash => "crash",
            Self::DriverCrash => "driver_crash",
            Self::SessionEnd => "session_end",
            Self::Idle => "idle",
            Self::Drain => "drain",
            Self::Stuck => "stuck",
            Self::LaunchFailed => "launch_failed",
        }
    }

    /// True for deaths that nobody asked for.
    pub const fn is_crash(self) -> bool {
        matches!(self, Self::Crash | Self::DriverCrash)
    }
}

impl Pool {
    /// Does all that time brings: successors, refills, idle browsers, stuck disposals, due launches.
    pub fn tick(&mut self, now: Moment) {
        self.take_back_stuck(now);
        self.plan_successors(now);
        self.close_idle(now);
        self.refill(now);
        self.start_due(now);
    }

    /// When [`Pool::tick`] next has something to do, if nothing else happens before.
    pub fn next_wake(&self, now: Moment) -> Option<Moment> {
        let planned = self.browsers.values().filter_map(|b| match b.phase {
            Phase::Planned(at) => Some(at),
            _ => None,
        });
        let aged = self.browsers.values().filter(|b| b.phase == Phase::Serving).map(|b| {
            let idle = b.last_used + self.limits.idle;
            if self.limits.browser_age.is_zero() {
                idle
            } else {
                idle.min(b.since + self.limits.browser_age)
            }
        });
        let refills = self.warm_wanted.values().map(|w| w.not_before);
        let stuck = self.sessions.values().filter_map(|s| match s.stage {
            Stage::Releasing { since } => Some(since + self.limits.release_timeout),
            _ => None,
        });
        planned.chain(aged).chain(refills).chain(stuck).filter(|at| *at > now).min()
    }

    /// Plans a successor for a browser that nears its limit. One at a time on a worker: a doubled
    /// browser costs its memory twice.
    fn plan_successors(&mut self, now: Moment) {
        if self.draining || self.browsers.values().any(|b| b.successor && b.is_coming()) {
            return;
        }
        let due = self
            .browsers
            .iter()
            .filter(|(_, b)| b.phase == Phase::Serving && b.role != Role::Own)
            .find_map(|(id, b)| self.limit_reached(b, now).map(|reason| (id.clone(), reason)));
        let Some((old, reason)) = due else { return };
        let Some(browser) = self.browsers.get(&old) else {
            return;
        };
        let (kind, version, role) = (browser.kind, browser.version, browser.role.clone());
        if role == Role::Warm {
            // Nobody is on it: the refill brings another.
            self.retire(&old, reason);
            return;
        }
        let next = self.plan(kind, version, role, LaunchOptions::new(), None, now);
        if let Some(browser) = self.browsers.get_mut(&next) {
            browser.successor = true;
        }
    }

    fn limit_reached(&self, browser: &Browser, now: Moment) -> Option<ExitReason> {
        let limits = &self.limits;
        let old = |limit: Duration| !limit.is_zero() && now.saturating_sub(browser.since) >= limit;
        let sessions_left = limits.browser_sessions.saturating_sub(browser.served);
        if sessions_left <= limits.margin.min(limits.browser_sessions.saturating_sub(1)) {
            return Some(ExitReason::LifetimeSessions);
        }
        if old(limits.browser_age) {
            return Some(ExitReason::LifetimeAge);
        }
        (limits.browser_memory > 0 && browser.memory >= limits.browser_memory)
            .then_some(ExitReason::LifetimeMemory)
    }

    /// The successor serves: the one before it takes no more sessions.
    pub(super) fn hand_over_to(&mut self, successor: &BrowserId) {
        let Some(new) = self.browsers.get(successor).filter(|b| b.phase == Phase::Serving) else {
            return;
        };
        let Role::Shared(_) = &new.role else { return };
        let (kind, version, role, since) = (new.kind, new.version, new.role.clone(), new.since);
        let old: Vec<_> = self
            .browsers
            .iter()
            .filter(|(id, b)| *id != successor && b.kind == kind && b.version == version)
            .filter(|(_, b)| b.role == role && b.phase == Phase::Serving)
            .map(|(id, b)| (id.clone(), self.limit_reached(b, since)))
            .collect();
        for (id, reason) in old {
            self.retire(&id, reason.unwrap_or(ExitReason::LifetimeSessions));
        }
    }

    /// The browser takes no more sessions, and closes when the last has left.
    pub(super) fn retire(&mut self, browser: &BrowserId, reason: ExitReason) {
        let Some(found) = self.browsers.get_mut(browser) else {
            return;
        };
        match found.phase {
            Phase::Planned(_) if found.sessions.is_empty() => {
                self.browsers.remove(browser);
                return;
            }
            Phase::Serving | Phase::Starting if found.sessions.is_empty() => {}
            Phase::Serving => found.phase = Phase::Retiring(reason),
            // Sessions wait for it, or it is on its way out already.
            _ => return,
        }
        let left = found.sessions.is_empty() || mutant::is(Mutant::CloseAReplacedBrowserAtOnce);
        if left && found.phase != Phase::Starting {
            self.close(browser, reason);
        }
    }

    /// Closes a browser that has no reason to be there once its last session has left.
    pub(super) fn close_if_left(&mut self, browser: &BrowserId) {
        let Some(found) = self.browsers.get(browser).filter(|b| b.sessions.is_empty()) else {
            return;
        };
        match (&found.phase, &found.role) {
            (Phase::Retiring(reason), _) => self.close(browser, *reason),
            (Phase::Serving, Role::Own) => self.close(browser, ExitReason::SessionEnd),
            (Phase::Serving, _) if self.draining => self.close(browser, ExitReason::Drain),
            (Phase::Planned(_), Role::Own) => {
                self.browsers.remove(browser);
            }
            _ => {}
        }
    }

    pub(super) fn close(&mut self, browser: &BrowserId, reason: ExitReason) {
        let Some(found) = self.browsers.get_mut(browser) else {
            return;
        };
        if !matches!(found.phase, Phase::Closing(_)) {
            found.phase = Phase::Closing(reason);
            self.effects.push(Effect::Close { browser: browser.clone() });
        }
    }

    /// Takes slots back from sessions whose contexts will not go, and their browser out of service.
    fn take_back_stuck(&mut self, now: Moment) {
        let timeout = self.limits.release_timeout;
        let stuck: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, s)| matches!(s.stage, Stage::Releasing { since } if now.saturating_sub(since) >= timeout))
            .filter(|_| !mutant::is(Mutant::NeverTakeBackASlot))
            .map(|(id, s)| (id.clone(), s.browser.clone()))
            .collect();
        for (session, browser) in stuck {
            self.retire(&browser, ExitReason::Stuck);
            self.forget(&session, now);
        }
    }
}
