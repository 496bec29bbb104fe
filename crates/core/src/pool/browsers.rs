//! Browsers: what each is for, which one a session gets, and what their exits mean.

use std::collections::BTreeSet;

use super::{Demand, Effect, ExitReason, Moment, NotAdmitted, Pool, Sharing, Stage, Tenant};
use crate::browser::BrowserKind;
use crate::ending::Ending;
use crate::id::SessionId;
use crate::launch_options::LaunchOptions;
use crate::launcher::BrowserId;
use crate::mutant::{self, Mutant};
use crate::version::PlaywrightVersion;

/// What a browser is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sessions of one tenant.
    Shared(Tenant),
    /// Waits for a session that wants its own.
    Warm,
    /// One session; discarded with it.
    Own,
}

/// Where a browser is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// To be launched, not before this moment.
    Planned(Moment),
    /// Being launched.
    Starting,
    /// Takes sessions.
    Serving,
    /// Takes no more sessions; closes with its last one.
    Retiring(ExitReason),
    /// Told to close.
    Closing(ExitReason),
}

/// One browser process: one generation.
#[derive(Clone, Debug)]
pub struct Browser {
    /// Which browser.
    pub kind: BrowserKind,
    /// Which Playwright drives it.
    pub version: PlaywrightVersion,
    /// What it is for.
    pub role: Role,
    /// Where it is in its life.
    pub phase: Phase,
    /// Sessions that hold a slot on it.
    pub sessions: BTreeSet<SessionId>,
    /// Sessions it was given, ever.
    pub served: u32,
    /// When it began to serve, or was planned.
    pub since: Moment,
    /// When a session last left it.
    pub last_used: Moment,
    /// The memory of its process tree when last measured, in bytes.
    pub memory: u64,
    /// True when it is to take over from another.
    pub successor: bool,
    pub(super) options: LaunchOptions,
    pub(super) expose_network: Option<String>,
}

impl Browser {
    /// True while it is planned or starting.
    pub fn is_coming(&self) -> bool {
        matches!(self.phase, Phase::Planned(_) | Phase::Starting)
    }

    fn is_shared_for(&self, kind: BrowserKind, version: PlaywrightVersion, tenant: &str) -> bool {
        self.kind == kind
            && self.version == version
            && matches!(&self.role, Role::Shared(of) if of == tenant || mutant::is(Mutant::ShareBetweenTenants))
    }
}

impl Pool {
    /// The browser that a session with this demand is to use: one that serves, one that is coming, or a new one.
    pub(super) fn browser_for(
        &mut self,
        demand: &Demand,
        now: Moment,
    ) -> Result<BrowserId, NotAdmitted> {
        let (kind, version) = (demand.kind, demand.version);
        match &demand.sharing {
            Sharing::Tenant(tenant) => {
                if let Some(found) = self.shared_for(kind, version, tenant) {
                    return Ok(found);
                }
                self.check_backoff(kind, version, now)?;
                let role = Role::Shared(tenant.clone());
                Ok(self.plan(kind, version, role, LaunchOptions::new(), None, now))
            }
            Sharing::Alone => {
                let found = self.warm_for(kind, version);
                if found.is_none() {
                    self.check_backoff(kind, version, now)?;
                }
                self.want_warm(kind, version, now);
                let taken = found.unwrap_or_else(|| {
                    self.plan(kind, version, Role::Own, LaunchOptions::new(), None, now)
                });
                if let Some(browser) = self.browsers.get_mut(&taken) {
                    browser.role = Role::Own;
                }
                Ok(taken)
            }
            Sharing::Custom { options, expose_network } => {
                let expose = expose_network.clone();
                Ok(self.plan(kind, version, Role::Own, options.clone(), expose, now))
            }
        }
    }

    /// The shared browser that takes this tenant's sessions now. One at its limit gives way to a
    /// successor that is coming; while nothing is coming it goes on, for a session late by a launch
    /// is better than one refused.
    fn shared_for(
        &self,
        kind: BrowserKind,
        version: PlaywrightVersion,
        tenant: &str,
    ) -> Option<BrowserId> {
        let mine = || self.browsers.iter().filter(|(_, b)| b.is_shared_for(kind, version, tenant));
        let serving = mine().find(|(_, b)| b.phase == Phase::Serving);
        let coming = mine().find(|(_, b)| b.is_coming());
        let chosen = match (serving, coming) {
            (Some(old), Some(new))
                if old.1.served >= self.limits.browser_sessions
                    && new.1.phase == Phase::Starting =>
            {
                Some(new)
            }
            (Some(old), _) => Some(old),
            (None, coming) => coming,
        };
        chosen.map(|(id, _)| id.clone())
    }

    /// A warm browser: one that serves before one that is coming.
    fn warm_for(&self, kind: BrowserKind, version: PlaywrightVersion) -> Option<BrowserId> {
        let warm = || {
            self.browsers
                .iter()
                .filter(|(_, b)| b.role == Role::Warm && b.kind == kind && b.version == version)
        };
        warm()
            .find(|(_, b)| b.phase == Phase::Serving)
            .or_else(|| warm().find(|(_, b)| b.is_coming()))
            .map(|(id, _)| id.clone())
    }

    /// Puts the session on the browser; true when it serves already.
    pub(super) fn assign(&mut self, browser: &BrowserId, session: SessionId, now: Moment) -> bool {
        let Some(found) = self.browsers.get_mut(browser) else {
            return false;
        };
        found.sessions.insert(session);
        found.served += 1;
        found.last_used = now;
        found.phase == Phase::Serving
    }

    /// The browser is up.
    pub fn launched(&mut self, browser: &BrowserId, now: Moment) {
        let Some(found) = self.browsers.get_mut(browser) else {
            return;
        };
        found.since = now;
        found.last_used = now;
        if found.phase == Phase::Starting {
            found.phase = Phase::Serving;
        }
        let waiting: Vec<_> = found.sessions.iter().cloned().collect();
        for session in waiting {
            if let Some(waiter) = self.sessions.get_mut(&session) {
                waiter.stage = Stage::Live;
                self.effects.push(Effect::Grant { session, browser: browser.clone() });
            }
        }
        self.hand_over_to(browser);
        self.close_if_left(browser);
        self.tick(now);
    }

    /// The browser did not come up. Its waiters are refused; the next try waits.
    pub fn launch_failed(&mut self, browser: &BrowserId, why: &str, now: Moment) {
        let Some(gone) = self.browsers.remove(browser) else {
            return;
        };
        if gone.options.is_empty() && gone.expose_network.is_none() {
            // What one session asked for says nothing about the browser itself.
            self.backoff_failed(gone.kind, gone.version, why, now);
        }
        for session in gone.sessions {
            self.sessions.remove(&session);
            if !mutant::is(Mutant::ForgetWhoWaitedForALaunch) {
                self.effects.push(Effect::Refuse { session, why: why.to_owned() });
            }
        }
        self.effects.push(Effect::Gone { kind: gone.kind, reason: ExitReason::LaunchFailed });
        self.tick(now);
    }

    /// The browser's process is gone, and with it the contexts of its sessions: their slots are free.
    pub fn exited(&mut self, browser: &BrowserId, why: &str, driver_died: bool, now: Moment) {
        let Some(gone) = self.browsers.remove(browser) else {
            return;
        };
        let reason = match gone.phase {
            Phase::Closing(reason) => reason,
            _ if driver_died => ExitReason::DriverCrash,
            _ => ExitReason::Crash,
        };
        // One session's own browser says nothing about the next one.
        let young = now.saturating_sub(gone.since) < super::launches::PROVEN_AFTER;
        if reason.is_crash() && young && gone.role != Role::Own {
            self.backoff_failed(gone.kind, gone.version, why, now);
        }
        let ending = Ending::browser_died(gone.kind.as_str(), why);
        for session in gone.sessions {
            let stage = self.sessions.remove(&session).map(|s| s.stage);
            match stage {
                Some(Stage::Live) => {
                    self.effects.push(Effect::End { session, ending: ending.clone() });
                }
                Some(Stage::Waiting) => {
                    self.effects.push(Effect::Refuse { session, why: why.to_owned() });
                }
                _ => {}
            }
        }
        self.effects.push(Effect::Gone { kind: gone.kind, reason });
        self.tick(now);
    }

    /// The memory of the browser's process tree, in bytes.
    pub fn measured(&mut self, browser: &BrowserId, memory: u64) {
        if let Some(found) = self.browsers.get_mut(browser) {
            found.memory = memory;
        }
    }
}
