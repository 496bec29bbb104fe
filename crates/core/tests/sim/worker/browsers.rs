//! Browsers as they are: what the pool wants done with them takes time, fails, hangs, and sometimes
//! they die by themselves.

use std::collections::BTreeSet;

use flotilla_core::SessionId;
use flotilla_core::launcher::BrowserId;

use crate::history::Fact;
use crate::net::ConnId;
use crate::world::{Died, Timer, World};

use super::Worker;

/// A browser's process.
#[derive(Debug, Default)]
pub(super) struct Chrome {
    /// Whose contexts are in it.
    pub(super) contexts: BTreeSet<ConnId>,
    closing: bool,
}

impl Worker {
    pub(super) fn launch(&mut self, world: &mut World, browser: BrowserId) {
        let slow = world.troubles.launches_slow.get(&self.me.name).copied().unwrap_or_default();
        let longest = world.setup.timing.launch_timeout.as_millis() as u64;
        let takes = match slow > world.now {
            true => world.rng.millis(longest / 2..longest + longest / 4),
            false => world.rng.millis(50..900),
        };
        self.launching.insert(browser.clone());
        let takes = takes.min(world.setup.timing.launch_timeout);
        world.after(self.me, takes, Timer::Launched(browser));
    }

    pub(super) fn launch_over(&mut self, world: &mut World, browser: &BrowserId) {
        if !self.launching.remove(browser) {
            return;
        }
        let now = self.now(world);
        let fails = world.troubles.launches_fail.get(&self.me.name).copied().unwrap_or_default();
        let (worker, name) = (self.me, browser.0.clone());
        if fails > world.now || world.rng.chance(5) {
            world.note(Fact::BrowserFailed { worker, browser: name });
            return self.pool.launch_failed(browser, "it did not come up", now);
        }
        world.note(Fact::BrowserUp { worker, browser: name });
        self.browsers.insert(browser.clone(), Chrome::default());
        self.pool.launched(browser, now);
    }

    pub(super) fn close_browser(&mut self, world: &mut World, browser: BrowserId) {
        if let Some(chrome) = self.browsers.get_mut(&browser) {
            chrome.closing = true;
            let takes = world.rng.millis(5..300);
            world.after(self.me, takes, Timer::Exited(browser, Died::Closed));
        }
    }

    /// The process is gone, and its sessions' contexts with it.
    pub(super) fn browser_exits(&mut self, world: &mut World, browser: &BrowserId, died: Died) {
        let Some(chrome) = self.browsers.remove(browser) else { return };
        let died = if chrome.closing { Died::Closed } else { died };
        world.note(Fact::BrowserDown { worker: self.me, browser: browser.0.clone(), died });
        let now = self.now(world);
        self.pool.exited(browser, "killed by SIGKILL", died == Died::WithDriver, now);
        self.browser_gone(browser);
    }

    /// The driver dies: with it all browsers, and all launches.
    pub(crate) fn driver_dies(&mut self, world: &mut World) {
        for browser in self.all_browsers() {
            self.browser_exits(world, &browser, Died::WithDriver);
        }
        let now = self.now(world);
        for browser in std::mem::take(&mut self.launching) {
            let (worker, name) = (self.me, browser.0.clone());
            world.note(Fact::BrowserFailed { worker, browser: name });
            self.pool.launch_failed(&browser, "its driver died", now);
        }
        self.carry_out(world);
    }

    /// A session's contexts are to be disposed.
    pub(super) fn dispose(&mut self, world: &mut World, session: &SessionId) {
        let Some(conn) = self.sessions.get(session).copied() else { return };
        world.note(Fact::DisposalAsked { worker: self.me, conn });
        let hangs = world.troubles.disposal_hangs.get(&self.me.name).copied().unwrap_or_default();
        if hangs > world.now {
            return;
        }
        let takes = match world.rng.chance(50) {
            true => world.rng.millis(100..3_000),
            false => world.rng.millis(1..60),
        };
        world.after(self.me, takes, Timer::Disposed(conn));
    }

    pub(super) fn disposed(&mut self, world: &mut World, conn: ConnId) {
        let Some(session) = self.visits.get(&conn).map(|visit| visit.session.clone()) else {
            return;
        };
        for chrome in self.browsers.values_mut() {
            chrome.contexts.remove(&conn);
        }
        world.note(Fact::Disposed { worker: self.me, conn });
        let now = self.now(world);
        self.pool.released(&session, now);
        self.contexts_gone(conn);
    }
}
