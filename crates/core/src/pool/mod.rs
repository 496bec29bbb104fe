//! The worker's truth as a state machine: slots, browsers and their generations.
//!
//! It has no clock, no process and no socket: every input says what time it is, and what is to be
//! done comes out as [`Effect`]s. The worker's supervisor feeds it and carries them out.
//!
//! What always holds:
//! - sessions ≤ slots, from admission until the contexts are disposed;
//! - a browser is shared only by sessions of one tenant, and only when none asked for its own;
//! - every admitted session gets exactly one [`Effect::Grant`] or [`Effect::Refuse`], unless it
//!   closes or is ended first;
//! - nothing is admitted after a drain has begun.

mod browsers;
mod launches;
mod lifetime;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::advert::BrowserCount;
use crate::browser::BrowserKind;
use crate::ending::Ending;
use crate::id::SessionId;
use crate::launch_options::LaunchOptions;
use crate::launcher::BrowserId;
use crate::version::PlaywrightVersion;
use crate::wanted::Isolation;

pub use browsers::{Browser, Phase, Role};
pub use launches::Backoff;
pub use lifetime::ExitReason;

/// The time of an input: how long since some fixed moment. Never goes back.
pub type Moment = Duration;

/// Who may share a browser. Without API keys everybody is the same tenant.
pub type Tenant = String;

/// What a worker allows itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Sessions at one time.
    pub slots: usize,
    /// Sessions that a browser serves before it is replaced.
    pub browser_sessions: u32,
    /// How many sessions before that its successor is launched.
    pub margin: u32,
    /// The age at which a browser is replaced; zero means never.
    pub browser_age: Duration,
    /// The memory of a browser's whole process tree at which it is replaced, in bytes; zero means never.
    pub browser_memory: u64,
    /// Browsers kept ready for sessions that want their own.
    pub warm: usize,
    /// How long an unused browser that is not the default one is kept.
    pub idle: Duration,
    /// Browsers that may be starting at one time; more would only slow each other down.
    pub launches: usize,
    /// How long the warm pool waits before it refills, so that the launch does not compete with
    /// the first page of the session that emptied it.
    pub refill_delay: Duration,
    /// How long disposal may take until its slot is taken back and its browser replaced.
    pub release_timeout: Duration,
}

/// Which browser process a session may run in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Which browser.
    pub kind: BrowserKind,
    /// Which Playwright.
    pub version: PlaywrightVersion,
    /// With whom it may be shared.
    pub sharing: Sharing,
}

/// With whom a browser may be shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// With sessions of this tenant.
    Tenant(Tenant),
    /// With nobody; any warm browser will do.
    Alone,
    /// With nobody, and launched for this session.
    Custom {
        /// What differs from a warm browser.
        options: LaunchOptions,
        /// The pattern of `exposeNetwork`.
        expose_network: Option<String>,
    },
}

/// Why a session was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Every slot is taken.
    #[error("every slot is taken")]
    Busy,
    /// This session holds a slot already, of an earlier try that its gateway has given up.
    #[error("the worker still has this session from an earlier try")]
    Present,
    /// A drain has begun.
    #[error("the worker is draining")]
    Draining,
    /// The browser keeps failing, and its next try is some time away.
    #[error("the browser keeps failing: {why}")]
    BackingOff {
        /// Until the next try.
        wait: Duration,
        /// The last failure.
        why: String,
    },
}

impl NotAdmitted {
    /// The refusal's code on the wire.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Present => "session_present",
            Self::Draining => "draining",
            Self::BackingOff { .. } => "launch_backing_off",
        }
    }
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Launch this browser, then call [`Pool::launched`] or [`Pool::launch_failed`].
    Launch {
        /// Its name.
        browser: BrowserId,
        /// Which browser.
        kind: BrowserKind,
        /// Which Playwright.
        version: PlaywrightVersion,
        /// What differs from a warm browser.
        options: LaunchOptions,
        /// The pattern of `exposeNetwork`.
        expose_network: Option<String>,
    },
    /// End this browser; [`Pool::exited`] follows.
    Close {
        /// Which one.
        browser: BrowserId,
    },
    /// Have this session's contexts disposed, then call [`Pool::released`].
    Release {
        /// Whose.
        session: SessionId,
        /// Where they are.
        browser: BrowserId,
    },
    /// This session may connect to this browser.
    Grant {
        /// Which session.
        session: SessionId,
        /// Its browser.
        browser: BrowserId,
    },
    /// This session was admitted, but its browser did not come up. Its slot is free again.
    Refuse {
        /// Which session.
        session: SessionId,
        /// Why the launch failed.
        why: String,
    },
    /// This session is over, and the client is to be told why. One that waited for its browser has
    /// left already: it gets neither a grant nor a refusal.
    End {
        /// Which session.
        session: SessionId,
        /// Why, and in which words.
        ending: Ending,
    },
    /// A browser is gone; for the counters.
    Gone {
        /// Which kind.
        kind: BrowserKind,
        /// Why.
        reason: ExitReason,
    },
}

/// Where a session is in its life on this worker. It holds a slot in each of these.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Its browser is being launched.
    Waiting,
    /// It may be connected.
    Live,
    /// Its connection is closed, its contexts are being disposed.
    Releasing { since: Moment },
}

#[derive(Clone, Debug)]
struct Session {
    browser: BrowserId,
    kind: BrowserKind,
    version: PlaywrightVersion,
    isolation: Isolation,
    since: Moment,
    stage: Stage,
}

/// A session that holds a slot, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding<'a> {
    /// Its name.
    pub session: &'a SessionId,
    /// Which browser.
    pub kind: BrowserKind,
    /// Which Playwright.
    pub version: PlaywrightVersion,
    /// How far it is kept from others.
    pub isolation: Isolation,
    /// When it was admitted.
    pub since: Moment,
    /// True once its connection is closed, while its contexts are being disposed.
    pub releasing: bool,
}

/// Slots and browsers of one worker.
#[derive(Debug)]
pub struct Pool {
    limits: Limits,
    browsers: BTreeMap<BrowserId, Browser>,
    sessions: BTreeMap<SessionId, Session>,
    backoffs: BTreeMap<(BrowserKind, PlaywrightVersion), Backoff>,
    /// Keys for which browsers are kept ready without a session: asked for by `keep_ready`, or used lately.
    warm_wanted: BTreeMap<(BrowserKind, PlaywrightVersion), WarmWanted>,
    kept: Option<(BrowserKind, PlaywrightVersion, Tenant)>,
    /// What was kept ready when a drain began, for when it is called off.
    kept_before: Option<(BrowserKind, PlaywrightVersion, Tenant)>,
    draining: bool,
    /// True when the drain cannot be called off any more.
    leaving: bool,
    launched_ever: u64,
    admitted_ever: BTreeMap<BrowserKind, u64>,
    effects: Vec<Effect>,
}

/// Since when, and until when, warm browsers of one kind are wanted.
#[derive(Clone, Copy, Debug)]
struct WarmWanted {
    /// No refill before this moment.
    not_before: Moment,
    /// The last session that took one; `None` for the default, which is always wanted.
    last_used: Option<Moment>,
}

impl Pool {
    /// A worker without a browser.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            browsers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            backoffs: BTreeMap::new(),
            warm_wanted: BTreeMap::new(),
            kept: None,
            kept_before: None,
            draining: false,
            leaving: false,
            launched_ever: 0,
            admitted_ever: BTreeMap::new(),
            effects: Vec::new(),
        }
    }

    /// What is to be done since the last call, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Keeps a shared browser and the warm ones of this kind ready from now on.
    pub fn keep_ready(
        &mut self,
        kind: BrowserKind,
        version: PlaywrightVersion,
        tenant: &str,
        now: Moment,
    ) {
        self.kept = Some((kind, version, tenant.to_owned()));
        if self.limits.warm > 0 {
            // The shared one comes first: the first client is waiting for it.
            let wanted = WarmWanted { not_before: now + self.limits.refill_delay, last_used: None };
            self.warm_wanted.insert((kind, version), wanted);
        }
        self.tick(now);
    }

    /// Takes a slot for `session`. A grant or a refusal follows as an effect.
    ///
    /// # Errors
    /// When there is no slot for it, or no browser in sight.
    pub fn admit(
        &mut self,
        session: SessionId,
        demand: &Demand,
        now: Moment,
    ) -> Result<(), NotAdmitted> {
        if self.draining {
            return Err(NotAdmitted::Draining);
        }
        if self.sessions.contains_key(&session) {
            return Err(NotAdmitted::Present);
        }
        if self.sessions.len() >= self.limits.slots {
            return Err(NotAdmitted::Busy);
        }
        let browser = self.browser_for(demand, now)?;
        *self.admitted_ever.entry(demand.kind).or_default() += 1;
        let serving = self.assign(&browser, session.clone(), now);
        let stage = if serving { Stage::Live } else { Stage::Waiting };
        let (kind, version) = (demand.kind, demand.version);
        let isolation = match demand.sharing {
            Sharing::Tenant(_) => Isolation::Tenant,
            Sharing::Alone | Sharing::Custom { .. } => Isolation::Session,
        };
        let granted = browser.clone();
        let holding = Session { browser, kind, version, isolation, since: now, stage };
        self.sessions.insert(session.clone(), holding);
        if serving {
            self.effects.push(Effect::Grant { session, browser: granted });
        }
        self.tick(now);
        Ok(())
    }

    /// The session's connection is closed, or never came about. Its slot becomes free with its contexts.
    pub fn closed(&mut self, session: &SessionId, now: Moment) {
        let Some(found) = self.sessions.get_mut(session) else {
            return;
        };
        let browser = found.browser.clone();
        match found.stage {
            Stage::Releasing { .. } => return,
            Stage::Waiting => self.forget(session, now),
            Stage::Live => {
                found.stage = Stage::Releasing { since: now };
                if self.browsers.get(&browser).is_some_and(|b| b.role == Role::Own) {
                    // Its contexts go with it; the exit frees the slot.
                    self.close(&browser, ExitReason::SessionEnd);
                } else {
                    self.effects.push(Effect::Release { session: session.clone(), browser });
                }
            }
        }
        self.tick(now);
    }

    /// The session's contexts are disposed.
    pub fn released(&mut self, session: &SessionId, now: Moment) {
        if let Some(browser) = self.sessions.get(session).map(|s| s.browser.clone()) {
            self.backoff_succeeded(&browser);
        }
        self.forget(session, now);
        self.tick(now);
    }

    /// No admission from now on; browsers leave with their last session.
    pub fn drain(&mut self, now: Moment) {
        if !self.draining {
            self.kept_before = self.kept.take();
        }
        self.draining = true;
        self.warm_wanted.clear();
        let all: Vec<_> = self.browsers.keys().cloned().collect();
        for browser in all {
            self.retire(&browser, ExitReason::Drain);
        }
        self.tick(now);
    }

    /// As [`Pool::drain`], for a worker that will end: it cannot be called off any more.
    pub fn drain_for_good(&mut self, now: Moment) {
        self.leaving = true;
        self.drain(now);
    }

    /// Admits sessions again; `false` for a worker that is leaving, which never does.
    pub fn undrain(&mut self, now: Moment) -> bool {
        if self.leaving {
            return false;
        }
        self.draining = false;
        match self.kept_before.take() {
            Some((kind, version, tenant)) => self.keep_ready(kind, version, &tenant, now),
            None => self.tick(now),
        }
        true
    }

    /// Ends every session that is left, each with these words.
    pub fn end_all(&mut self, ending: &Ending) {
        let all: Vec<_> = self.sessions.keys().cloned().collect();
        for session in all {
            self.end(&session, ending);
        }
    }

    /// Ends a session with these words; `false` when there is no such session, or it is leaving.
    pub fn end(&mut self, session: &SessionId, ending: &Ending) -> bool {
        let Some(found) = self.sessions.get(session) else { return false };
        let waits = match found.stage {
            Stage::Releasing { .. } => return false,
            Stage::Waiting => true,
            Stage::Live => false,
        };
        self.effects.push(Effect::End { session: session.clone(), ending: ending.clone() });
        if waits {
            // Nobody has connected it yet, so nobody will say that it is closed.
            self.vacate(session);
        }
        true
    }

    /// True when a drain has begun and nothing is left.
    pub fn drained(&self) -> bool {
        self.draining && self.sessions.is_empty() && self.browsers.is_empty()
    }

    /// True after [`Pool::drain`].
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Slots that sessions hold, from admission until disposal.
    pub fn used(&self) -> usize {
        self.sessions.len()
    }

    /// Slots in all.
    pub fn slots(&self) -> usize {
        self.limits.slots
    }

    /// Sessions admitted since the start.
    pub fn admitted_ever(&self) -> u64 {
        self.admitted_ever.values().sum()
    }

    /// The same by browser, with the slots that each holds now.
    pub fn counts(&self) -> Vec<BrowserCount> {
        let active = |kind| self.sessions.values().filter(|s| s.kind == kind).count();
        let count =
            |(&browser, &lifetime)| BrowserCount { browser, active: active(browser), lifetime };
        self.admitted_ever.iter().map(count).collect()
    }

    /// Every session that holds a slot.
    pub fn sessions(&self) -> impl Iterator<Item = Holding<'_>> {
        self.sessions.iter().map(|(session, found)| Holding {
            session,
            kind: found.kind,
            version: found.version,
            isolation: found.isolation,
            since: found.since,
            releasing: matches!(found.stage, Stage::Releasing { .. }),
        })
    }

    /// Every browser, in the order of launch.
    pub fn browsers(&self) -> impl Iterator<Item = (&BrowserId, &Browser)> {
        self.browsers.iter()
    }

    /// The session's browser, while it holds a slot.
    pub fn browser_of(&self, session: &SessionId) -> Option<&BrowserId> {
        self.sessions.get(session).map(|s| &s.browser)
    }

    /// Frees the session's slot.
    fn forget(&mut self, session: &SessionId, now: Moment) {
        if let Some(left) = self.vacate(session)
            && let Some(browser) = self.browsers.get_mut(&left)
        {
            browser.last_used = now;
        }
    }

    /// Takes the session off its browser.
    fn vacate(&mut self, session: &SessionId) -> Option<BrowserId> {
        let left = self.sessions.remove(session)?.browser;
        if let Some(browser) = self.browsers.get_mut(&left) {
            browser.sessions.remove(session);
        }
        self.close_if_left(&left);
        Some(left)
    }
}
