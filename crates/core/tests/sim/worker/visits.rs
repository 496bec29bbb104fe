//! Sessions that come with a ticket: admitted, connected to a browser, relayed, ended.

use std::time::Duration;

use flotilla_core::attempt;
use flotilla_core::ending::{EndCause, Ending};
use flotilla_core::launcher::BrowserId;
use flotilla_core::pool::{Moment, NotAdmitted};
use flotilla_core::proof;
use flotilla_core::ticket::{Route, Ticket};
use flotilla_core::SessionId;

use crate::history::{Fact, Sid, Slip};
use crate::msg::Msg;
use crate::net::ConnId;
use crate::world::{Timer, World};

use super::Worker;

/// A connection with a session.
pub(super) struct Visit {
    pub(super) session: SessionId,
    pub(super) stage: Stage,
    browser: Option<BrowserId>,
    limit: Option<Duration>,
    since: Moment,
    /// Told to end before its browser had answered.
    ending: Option<Ending>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Admitted: its browser is coming.
    Asked,
    /// Its browser is being connected.
    Dialling(BrowserId),
    /// Relayed.
    Live(BrowserId),
    /// Its connection is over; its contexts may not be.
    Parted,
}

impl Worker {
    pub(super) fn prove(&mut self, world: &mut World, conn: ConnId, nonce: &str) {
        let text = proof::answer(&world.keyring, nonce, &self.sealed(world));
        world.send(self.me, conn, Msg::Proof { text });
        world.close(self.me, conn);
    }

    /// Somebody comes with a ticket.
    pub(super) fn take(&mut self, world: &mut World, conn: ConnId, text: &str) {
        let now = self.now(world);
        let ticket = match self.gate.take(&world.keyring, text, &[Route::Relayed], now) {
            Ok(ticket) => ticket,
            Err(error) => {
                let words = error.to_string();
                return self.turn_away(world, conn, error.as_str(), 403, words, None, false);
            }
        };
        match self.pool.admit(ticket.session.clone(), &ticket.demand, now) {
            Ok(()) => self.admitted(world, conn, text, ticket),
            Err(refused) => self.not_admitted(world, conn, &refused),
        }
    }

    fn admitted(&mut self, world: &mut World, conn: ConnId, text: &str, ticket: Ticket) {
        let session = Sid::of(&ticket.session);
        world.note(Fact::Admitted {
            worker: self.me,
            conn,
            session,
            ticket: Slip::of(text),
            demand: ticket.demand,
        });
        self.board.post(&self.advert());
        self.herald.cadence.changed();
        let advert = self.sealed(world);
        world.send(self.me, conn, Msg::Processing { advert });
        self.sessions.insert(ticket.session.clone(), conn);
        let limit = ticket.max_seconds.map(Duration::from_secs);
        let visit = Visit {
            session: ticket.session,
            stage: Stage::Asked,
            browser: None,
            limit,
            since: world.now,
            ending: None,
        };
        self.visits.insert(conn, visit);
    }

    fn not_admitted(&mut self, world: &mut World, conn: ConnId, refused: &NotAdmitted) {
        let wait = match refused {
            NotAdmitted::BackingOff { wait, .. } => Some(*wait),
            _ => None,
        };
        self.turn_away(world, conn, refused.code(), 503, refused.to_string(), wait, true);
    }

    #[expect(clippy::too_many_arguments, reason = "an answer has as many parts")]
    fn turn_away(
        &mut self,
        world: &mut World,
        conn: ConnId,
        code: &'static str,
        status: u16,
        words: String,
        wait: Option<Duration>,
        with_advert: bool,
    ) {
        world.note(Fact::TurnedAway { worker: self.me, conn, code });
        self.board.post(&self.advert());
        let advert = with_advert.then(|| self.sealed(world));
        world.send(self.me, conn, Msg::NotOpened { code, status, words, wait, advert });
        world.close(self.me, conn);
    }

    pub(super) fn granted(&mut self, world: &mut World, session: &SessionId, browser: BrowserId) {
        let Some(conn) = self.sessions.get(session).copied() else { return };
        let Some(visit) = self.visits.get_mut(&conn) else { return };
        if visit.stage == Stage::Asked {
            visit.browser = Some(browser.clone());
            let (worker, name) = (self.me, browser.0.clone());
            world.note(Fact::Granted { worker, conn, browser: name });
            visit.stage = Stage::Dialling(browser);
            let takes = world.rng.millis(1..20);
            world.after(self.me, takes, Timer::Dialled(conn));
        }
    }

    /// The browser's server has answered, or is not there any more.
    pub(super) fn dialled(&mut self, world: &mut World, conn: ConnId) {
        let Some(Stage::Dialling(browser)) = self.stage(conn).cloned() else { return };
        let Some(chrome) = self.browsers.get_mut(&browser) else {
            let words = "the browser's server is gone".to_owned();
            self.turn_away(world, conn, "browser_unreachable", 502, words, None, true);
            return self.never_seated(world, conn);
        };
        chrome.contexts.insert(conn);
        let (worker, browser_name) = (self.me, browser.0.clone());
        world.note(Fact::Seated { worker, conn, browser: browser_name });
        world.send(self.me, conn, Msg::Switching);
        let now = self.now(world);
        let Some(visit) = self.visits.get_mut(&conn) else { return };
        visit.stage = Stage::Live(browser);
        visit.since = world.now;
        self.book.begin(visit.session.clone(), conn, now);
        let ending = visit.ending.take();
        if let Some(limit) = visit.limit {
            world.after(self.me, limit, Timer::Limit(conn));
        }
        world.after(self.me, world.setup.timing.ping, Timer::Ping(conn));
        if let Some(ending) = ending {
            self.end(world, conn, ending);
        }
    }

    /// The browser did not come up.
    pub(super) fn refused(&mut self, world: &mut World, session: &SessionId, why: &str) {
        let Some(conn) = self.sessions.get(session).copied() else { return };
        if self.stage(conn) == Some(&Stage::Asked) {
            self.turn_away(world, conn, "launch_failed", 502, why.to_owned(), None, true);
            self.never_seated(world, conn);
        }
    }

    /// The session leaves without ever having had contexts.
    fn never_seated(&mut self, world: &mut World, conn: ConnId) {
        world.note(Fact::Unseated { worker: self.me, conn });
        self.forget(conn);
        // As its lease does when it is dropped.
        let now = self.now(world);
        if let Some(session) = self.visits.remove(&conn).map(|visit| visit.session) {
            self.pool.closed(&session, now);
        }
    }

    /// The pool has decided that the session is over.
    pub(super) fn ended(&mut self, world: &mut World, session: &SessionId, ending: Ending) {
        let Some(conn) = self.sessions.get(session).copied() else { return };
        match self.visits.get_mut(&conn) {
            Some(visit) if matches!(visit.stage, Stage::Dialling(_)) => {
                visit.ending = Some(ending);
            }
            Some(visit) if matches!(visit.stage, Stage::Live(_)) => self.end(world, conn, ending),
            Some(visit) if visit.stage == Stage::Asked => {
                let code = attempt::code_of(&ending);
                self.turn_away(world, conn, code, 503, ending.reason, None, true);
                self.never_seated(world, conn);
            }
            _ => {}
        }
    }

    fn end(&mut self, world: &mut World, conn: ConnId, ending: Ending) {
        let cause = ending.cause;
        world.send(self.me, conn, Msg::Close { ending: Some(ending) });
        self.part(world, conn, cause);
    }

    /// The session's connection is over.
    pub(super) fn part(&mut self, world: &mut World, conn: ConnId, cause: EndCause) {
        world.close(self.me, conn);
        let now = self.now(world);
        let Some(visit) = self.visits.get_mut(&conn) else { return };
        let (session, stage) = (visit.session.clone(), visit.stage.clone());
        if stage == Stage::Parted {
            return;
        }
        visit.stage = Stage::Parted;
        world.note(Fact::Parted { worker: self.me, conn });
        if let Some(record) = self.book.end(&session, cause) {
            let session = Sid::of(&record.session);
            world.note(Fact::Left { worker: self.me, conn, session, cause: record.cause });
        }
        if stage == Stage::Asked {
            world.note(Fact::Unseated { worker: self.me, conn });
            self.forget(conn);
            self.visits.remove(&conn);
        }
        self.pool.closed(&session, now);
        // With its browser gone, nothing is left to dispose.
        if self.pool.browser_of(&session).is_none() {
            if let Stage::Dialling(_) = stage {
                world.note(Fact::Unseated { worker: self.me, conn });
            }
            self.forget(conn);
            self.visits.remove(&conn);
        }
    }

    fn forget(&mut self, conn: ConnId) {
        if let Some(visit) = self.visits.get(&conn)
            && self.sessions.get(&visit.session) == Some(&conn)
        {
            self.sessions.remove(&visit.session);
        }
    }

    /// A browser is gone, and whatever contexts were in it.
    pub(super) fn browser_gone(&mut self, browser: &BrowserId) {
        let on_it = |visit: &&Visit| visit.browser.as_ref() == Some(browser);
        let on_it: Vec<_> = self.visits.iter().filter(|(_, visit)| on_it(visit)).collect();
        let on_it: Vec<_> = on_it.into_iter().map(|(conn, _)| *conn).collect();
        on_it.into_iter().for_each(|conn| self.contexts_gone(conn));
    }

    /// The session's contexts are gone, by disposal or with their browser.
    pub(super) fn contexts_gone(&mut self, conn: ConnId) {
        if self.stage(conn) == Some(&Stage::Parted) {
            self.forget(conn);
            self.visits.remove(&conn);
        }
    }

    pub(super) fn over_limit(&mut self, world: &mut World, conn: ConnId) {
        if let Some(Stage::Live(_)) = self.stage(conn)
            && let Some(limit) = self.visits.get(&conn).and_then(|visit| visit.limit)
        {
            self.end(world, conn, Ending::too_long(limit));
        }
    }

    /// Pings the gateway, and gives up on one that has been silent for too long.
    pub(super) fn look_after(&mut self, world: &mut World, conn: ConnId) {
        let Some(Stage::Live(_)) = self.stage(conn) else { return };
        let Some(since) = self.visits.get(&conn).map(|visit| visit.since) else { return };
        let timing = world.setup.timing.clone();
        if world.now - world.heard_at(self.me, conn).max(since) >= timing.peer_timeout {
            return self.part(world, conn, EndCause::ClientLost);
        }
        world.send(self.me, conn, Msg::Ping);
        world.after(self.me, timing.ping, Timer::Ping(conn));
    }
}
