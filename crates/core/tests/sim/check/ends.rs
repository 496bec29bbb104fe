//! Every session that was let in gets exactly one end record, and its cause is true: only a
//! client, a browser's or a worker's or a gateway's death, an operator, a limit, a lost connection
//! or a long silence ends a session. Never Redis, another session, or housekeeping.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_core::ending::EndCause;
use flotilla_core::pool::Moment;

use crate::history::Fact;
use crate::net::ConnId;
use crate::world::{Died, Me};

use super::Case;
use super::timeline::{Guest, Visit, covered};

/// What the causes may point to.
#[derive(Default)]
struct Evidence {
    browser_died: BTreeMap<(Me, String), Moment>,
    ordered: BTreeMap<ConnId, Moment>,
    draining: BTreeMap<Me, Moment>,
    /// Records, by the gateway's and the worker's connection.
    ended: BTreeMap<ConnId, Vec<(Moment, EndCause)>>,
    left: BTreeMap<ConnId, Vec<(Moment, EndCause)>>,
    /// Left before they had a browser.
    unseated: BTreeSet<ConnId>,
}

pub(super) fn one_record_with_a_true_cause(case: &mut Case<'_>) {
    let evidence = Evidence::of(case);
    let visits: Vec<_> = case.time.visits.iter().map(|(c, v)| (*c, v.clone())).collect();
    for (conn, visit) in visits {
        of_the_worker(case, &evidence, conn, &visit);
        if let (Some(_), Some(guest)) = (visit.let_in, visit.guest) {
            of_the_gateway(case, &evidence, conn, &visit, guest);
        }
    }
}

/// A session that was admitted ends once on its worker: with a record, or before it had a browser.
fn of_the_worker(case: &mut Case<'_>, evidence: &Evidence, conn: ConnId, visit: &Visit) {
    let records = evidence.left.get(&conn).map_or(&[][..], Vec::as_slice);
    let ends = match visit.browser {
        Some(_) => records.len(),
        // It left before a browser had it: that is all there is to say.
        None => usize::from(evidence.unseated.contains(&conn)) + records.len(),
    };
    let died = case.time.lives[&visit.worker].how.is_some();
    if ends > 1 || (ends == 0 && !died && visit.given_up < case.outcome.setup.heal_at) {
        let what = format!("{:?} on {:?} ({conn:?}) has {ends}", visit.session, visit.worker);
        case.wrong(visit.admitted, "one end record for an admitted session", what);
    }
    for (at, cause) in records {
        let is_true = evidence.worker_says_true(case, conn, visit, *at, *cause);
        if !is_true {
            let what = format!("{:?} on {:?} ({conn:?}): {cause:?}", visit.session, visit.worker);
            case.wrong(*at, "a session ends for a reason", what);
        }
    }
}

fn of_the_gateway(
    case: &mut Case<'_>,
    evidence: &Evidence,
    conn: ConnId,
    visit: &Visit,
    guest: ConnId,
) {
    let records = evidence.ended.get(&guest).map_or(&[][..], Vec::as_slice);
    let Some(found) = case.time.guests.get(&guest).cloned() else { return };
    let Some(gateway) = found.gateway else { return };
    let died = case.time.lives[&gateway].how.is_some();
    if records.len() > 1 || (records.is_empty() && !died) {
        let what = format!("{:?} at {gateway:?} has {}", visit.session, records.len());
        case.wrong(visit.admitted, "one end record for a session that was let in", what);
    }
    for (at, cause) in records {
        if !evidence.gateway_says_true(case, conn, visit, &found, *at, *cause) {
            let what = format!("{:?} at {gateway:?} ({conn:?}): {cause:?}", visit.session);
            case.wrong(*at, "a session ends for a reason", what);
        }
    }
}

impl Evidence {
    fn of(case: &Case<'_>) -> Self {
        let mut all = Self::default();
        for (at, fact) in &case.outcome.history.facts {
            match fact {
                Fact::BrowserDown { worker, browser, died } if *died != Died::Closed => {
                    all.browser_died.insert((*worker, browser.clone()), *at);
                }
                Fact::EndOrdered { conn, .. } => {
                    all.ordered.entry(*conn).or_insert(*at);
                }
                Fact::Draining { who } => {
                    all.draining.entry(*who).or_insert(*at);
                }
                Fact::Ended { guest, cause, .. } => {
                    all.ended.entry(*guest).or_default().push((*at, *cause));
                }
                Fact::Left { conn, cause, .. } => {
                    all.left.entry(*conn).or_default().push((*at, *cause));
                }
                Fact::Unseated { conn, .. } | Fact::Parted { conn, .. } => {
                    all.unseated.insert(*conn);
                }
                _ => {}
            }
        }
        all
    }

    fn gateway_says_true(
        &self,
        case: &Case<'_>,
        conn: ConnId,
        visit: &Visit,
        guest: &Guest,
        at: Moment,
        cause: EndCause,
    ) -> bool {
        let Some(gateway) = guest.gateway else { return false };
        let guest_conn = visit.guest.unwrap_or(conn);
        match cause {
            EndCause::ClientClose => guest.left <= at,
            EndCause::ClientLost => {
                guest.left <= at
                    || broke(case, guest_conn, at)
                    || silent(case, gateway, guest.client, at)
            }
            EndCause::WorkerLost => {
                let (worker, life) = (visit.worker, &case.time.lives[&visit.worker]);
                life.down <= at || broke(case, conn, at) || silent(case, gateway, worker, at)
            }
            EndCause::DrainKill if self.drained(case, gateway, at) => true,
            other => self.common(case, conn, visit, at, other),
        }
    }

    /// Whether the gateway's own drain was over.
    fn drained(&self, case: &Case<'_>, gateway: Me, at: Moment) -> bool {
        let began = self.draining.get(&gateway);
        began.is_some_and(|began| *began + case.outcome.setup.timing.drain_timeout <= at)
    }

    fn worker_says_true(
        &self,
        case: &Case<'_>,
        conn: ConnId,
        visit: &Visit,
        at: Moment,
        cause: EndCause,
    ) -> bool {
        let gateway = visit.guest.and_then(|guest| case.time.guests.get(&guest)?.gateway);
        match cause {
            EndCause::ClientClose | EndCause::ClientLost => match gateway {
                // An intruder comes and goes as he likes.
                None => true,
                Some(gateway) => {
                    visit.given_up <= at
                        || broke(case, conn, at)
                        || silent(case, visit.worker, gateway, at)
                }
            },
            other => self.common(case, conn, visit, at, other),
        }
    }

    /// What a worker brings about, and tells its gateway.
    fn common(
        &self,
        case: &Case<'_>,
        conn: ConnId,
        visit: &Visit,
        at: Moment,
        cause: EndCause,
    ) -> bool {
        match cause {
            EndCause::Operator | EndCause::DrainKill => {
                self.ordered.get(&conn).is_some_and(|ordered| *ordered <= at)
            }
            EndCause::WorkerCrash => visit.browser.clone().is_some_and(|browser| {
                self.browser_died.get(&(visit.worker, browser)).is_some_and(|died| *died <= at)
            }),
            EndCause::Deadline => {
                let limit = case.outcome.setup.timing.max_duration;
                // Tickets count whole seconds.
                let limit = limit.map(|limit| Duration::from_secs(limit.as_secs()));
                limit.is_some_and(|limit| at >= visit.admitted + limit)
            }
            _ => false,
        }
    }
}

fn broke(case: &Case<'_>, conn: ConnId, at: Moment) -> bool {
    case.time.broken.get(&conn).is_some_and(|broke| *broke <= at)
}

/// Whether these two could hardly have heard of each other for as long as a peer may be silent.
fn silent(case: &Case<'_>, a: Me, b: Me, at: Moment) -> bool {
    let timing = &case.outcome.setup.timing;
    let troubles = case.time.troubles(a.name, b.name);
    // Between two pings all may have been well; and what was stalled is sent again a little later.
    let from = at.saturating_sub(timing.peer_timeout + timing.ping);
    let least = timing.peer_timeout.saturating_sub(timing.ping + Duration::from_millis(1500));
    covered(&troubles, from, at) >= least
}
