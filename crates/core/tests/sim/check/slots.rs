//! Sessions on a worker ≤ its slots, at every instant; and a slot that nobody holds becomes free
//! without anybody's help.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_core::pool::Moment;

use crate::history::Fact;
use crate::net::ConnId;
use crate::world::Me;

use super::timeline::covered;
use super::{AT_ONCE, Case};

/// Who holds a slot, by what the browsers have: from admission until the contexts are gone.
#[derive(Default)]
pub(super) struct Holders {
    held: BTreeMap<Me, BTreeSet<ConnId>>,
    browsers: BTreeMap<(Me, String), Vec<ConnId>>,
    /// Disposals that hang, and until when they count.
    stuck: BTreeMap<ConnId, (Me, Moment)>,
}

impl Holders {
    /// Takes in a fact; true when somebody took a slot.
    pub(super) fn take(&mut self, at: Moment, fact: &Fact, patience: Duration) -> bool {
        self.give_up_stuck(at);
        match fact {
            Fact::Admitted { worker, conn, .. } => {
                return self.held.entry(*worker).or_default().insert(*conn);
            }
            Fact::Granted { worker, conn, browser } => {
                self.browsers.entry((*worker, browser.clone())).or_default().push(*conn);
            }
            Fact::Unseated { worker, conn } | Fact::Disposed { worker, conn } => {
                self.free(*worker, *conn);
            }
            Fact::DisposalAsked { worker, conn } => {
                self.stuck.insert(*conn, (*worker, at + patience));
            }
            Fact::BrowserDown { worker, browser, .. } => {
                for conn in self.browsers.remove(&(*worker, browser.clone())).unwrap_or_default() {
                    self.free(*worker, conn);
                }
            }
            Fact::Down { who, .. } => {
                self.held.remove(who);
            }
            _ => {}
        }
        false
    }

    fn free(&mut self, worker: Me, conn: ConnId) {
        self.stuck.remove(&conn);
        if let Some(held) = self.held.get_mut(&worker) {
            held.remove(&conn);
        }
    }

    fn give_up_stuck(&mut self, at: Moment) {
        let over: Vec<_> = self.stuck.iter().filter(|(_, (_, until))| *until <= at).collect();
        let over: Vec<_> = over.into_iter().map(|(conn, (worker, _))| (*worker, *conn)).collect();
        over.into_iter().for_each(|(worker, conn)| self.free(worker, conn));
    }

    pub(super) fn count(&self, worker: Me) -> usize {
        self.held.get(&worker).map_or(0, BTreeSet::len)
    }

    pub(super) fn has(&self, worker: Me, conn: ConnId) -> bool {
        self.held.get(&worker).is_some_and(|held| held.contains(&conn))
    }
}

pub(super) fn never_more_than_there_are(case: &mut Case<'_>) {
    let (outcome, mut holders) = (case.outcome, Holders::default());
    let mut sessions = BTreeMap::new();
    for (at, fact) in &outcome.history.facts {
        let patience = patience(case, fact);
        let taken = holders.take(*at, fact, patience);
        match fact {
            Fact::Admitted { worker, conn, session, .. } if taken => {
                sessions.insert((*worker, *session), *conn);
                let slots = outcome.setup.worker(worker.name).limits.slots;
                let held = holders.count(*worker);
                if held > slots {
                    let what = format!("{worker:?} has {held} sessions for {slots} slots");
                    case.wrong(*at, "sessions on a worker <= its slots", what);
                }
            }
            Fact::SlotFree { worker, session } => {
                let conn = sessions.remove(&(*worker, *session));
                if conn.is_some_and(|conn| holders.has(*worker, conn)) {
                    let what = format!("{session:?} still has contexts on {worker:?}");
                    case.wrong(*at, "a slot is free after the contexts are disposed", what);
                }
            }
            _ => {}
        }
    }
}

pub(super) fn become_free_without_help(case: &mut Case<'_>) {
    let timing = &case.outcome.setup.timing;
    let longest = timing.peer_timeout + timing.ping + timing.launch_timeout + 2 * AT_ONCE;
    let (mut freed, mut disposed) = (BTreeMap::new(), BTreeMap::new());
    for (at, fact) in &case.outcome.history.facts {
        match fact {
            Fact::SlotFree { worker, session } => {
                freed.entry((*worker, *session)).or_insert_with(Vec::new).push(*at);
            }
            Fact::Disposed { conn, .. } => {
                disposed.entry(*conn).or_insert(*at);
            }
            _ => {}
        }
    }
    let end = case.outcome.setup.end_at;
    let visits: Vec<_> = case.time.visits.iter().map(|(c, v)| (*c, v.clone())).collect();
    for (conn, visit) in visits {
        let down = case.time.lives[&visit.worker].down.min(end);
        let frees = freed.get(&(visit.worker, visit.session)).into_iter().flatten();
        let free = frees.copied().filter(|at| *at >= visit.admitted).min().unwrap_or(down);
        let pauses = case.time.pauses.get(&visit.worker.name).cloned().unwrap_or_default();
        let paused = covered(&pauses, visit.given_up, free);
        let release = case.outcome.setup.worker(visit.worker.name).limits.release_timeout;
        if free > visit.given_up + longest + release + paused {
            let what = format!("{:?} on {:?} ({conn:?})", visit.session, visit.worker);
            case.wrong(visit.given_up, "a slot becomes free without help", what);
        }
        let gone = disposed.get(&conn).copied();
        if gone.is_some_and(|gone| free > gone + AT_ONCE && free > visit.admitted) {
            let what = format!("{:?} on {:?} ({conn:?})", visit.session, visit.worker);
            case.wrong(free, "a slot is free within 1 s of the disposal", what);
        }
    }
}

/// How long this worker waits for a disposal.
fn patience(case: &Case<'_>, fact: &Fact) -> Duration {
    match fact {
        Fact::DisposalAsked { worker, .. } => {
            case.outcome.setup.worker(worker.name).limits.release_timeout
        }
        _ => Duration::ZERO,
    }
}
