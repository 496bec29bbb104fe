//! Nobody waits, and nobody is sent away, while a worker that can be had has a free slot. That
//! includes: new sessions go elsewhere when a worker dies, and admission goes on without Redis.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_core::pool::Moment;
use flotilla_core::refusal::Served;

use crate::history::Fact;
use crate::net::ConnId;
use crate::world::{Died, Me, Name, Role};

use super::slots::Holders;
use super::timeline::{FOREVER, Span, touches};
use super::{AT_ONCE, Case};

/// A browser that failed is not asked for again for so long, at most.
const BACK_OFF: Duration = Duration::from_secs(36);

pub(super) fn nobody_waits_beside_a_free_slot(case: &mut Case<'_>) {
    let free = free_slots(case);
    let mut pairs = BTreeMap::new();
    let mut waiting: BTreeMap<ConnId, Moment> = BTreeMap::new();
    for (at, fact) in &case.outcome.history.facts {
        match fact {
            Fact::Joined { guest, .. } => {
                waiting.insert(*guest, *at);
            }
            Fact::Called { gateway, guest } | Fact::Unqueued { gateway, guest } => {
                let Some(since) = waiting.remove(guest) else { continue };
                let Some(served) = case.time.guests.get(guest).and_then(|guest| guest.served) else {
                    continue;
                };
                let long = patience(case);
                if *at - since > long
                    && let Some(worker) = beside(case, &mut pairs, &free, *gateway, served, (since, *at), long)
                {
                    let what = format!("{guest:?} at {gateway:?}, beside {worker:?}");
                    case.wrong(*at, "nobody waits beside a free slot", what);
                }
            }
            Fact::Refused { gateway, guest, code } if is_about_workers(code) => {
                let Some(served) = case.time.guests.get(guest).and_then(|guest| guest.served) else {
                    continue;
                };
                let worker = usable(case, &mut pairs, *gateway, served, *at);
                if let Some(worker) = worker {
                    let what = format!("{guest:?} at {gateway:?}: {code}, and there is {worker:?}");
                    case.wrong(*at, "nobody is refused whom somebody can serve", what);
                }
            }
            _ => {}
        }
    }
}

fn is_about_workers(code: &str) -> bool {
    matches!(code, "nothing_served" | "browser_not_served" | "launch_failed" | "launch_backing_off")
}

/// How long a free slot may be overlooked by who waits for it.
fn patience(case: &Case<'_>) -> Duration {
    case.outcome.setup.timing.select_timeout + 3 * AT_ONCE
}

/// How long a gateway and a worker may take to find each other when everything works again.
fn settling(case: &Case<'_>) -> Duration {
    2 * case.outcome.setup.timing.heartbeat + Duration::from_secs(8)
}

/// A worker with a slot that was free for too long.
fn beside(
    case: &Case<'_>,
    pairs: &mut BTreeMap<(Me, Me), Vec<Span>>,
    free: &BTreeMap<Me, Vec<Span>>,
    gateway: Me,
    served: Served,
    waited: Span,
    long: Duration,
) -> Option<Me> {
    let heartbeat = case.outcome.setup.timing.heartbeat;
    free.iter().find_map(|(worker, spans)| {
        if !case.outcome.setup.worker(worker.name).serves.contains(&served) || is_twin(*worker) {
            return None;
        }
        let bad = pairs.entry((gateway, *worker)).or_insert_with(|| bad(case, gateway, *worker));
        spans.iter().find_map(|span| {
            // Others hear of it with the next heartbeat at the latest.
            let from = waited.0.max(span.0 + heartbeat);
            let to = waited.1.min(span.1);
            good_stretch(bad, from, to).filter(|stretch| *stretch > long).map(|_| *worker)
        })
    })
}

/// The longest part of that time that nothing bad touches.
fn good_stretch(bad: &[Span], from: Moment, to: Moment) -> Option<Duration> {
    let mut edges: Vec<_> = bad.iter().filter(|b| b.0 < to && from < b.1).copied().collect();
    edges.sort();
    let (mut at, mut longest) = (from, Duration::ZERO);
    for (start, end) in edges {
        longest = longest.max(start.saturating_sub(at));
        at = at.max(end);
    }
    (to > from).then(|| longest.max(to.saturating_sub(at)))
}

fn usable(
    case: &Case<'_>,
    pairs: &mut BTreeMap<(Me, Me), Vec<Span>>,
    gateway: Me,
    served: Served,
    at: Moment,
) -> Option<Me> {
    case.outcome.setup.worker_names().into_iter().find_map(|name| {
        let worker = case.time.life(name, at)?;
        if !case.outcome.setup.worker(name).serves.contains(&served) {
            return None;
        }
        let bad = pairs.entry((gateway, worker)).or_insert_with(|| bad(case, gateway, worker));
        (!touches(bad, at, at)).then_some(worker)
    })
}

/// When each worker had a free slot.
fn free_slots(case: &Case<'_>) -> BTreeMap<Me, Vec<Span>> {
    let mut free: BTreeMap<Me, Vec<Span>> = BTreeMap::new();
    let mut holders = Holders::default();
    for (at, fact) in &case.outcome.history.facts {
        let worker = match fact {
            Fact::Up { who } if who.name.role == Role::Worker => {
                free.insert(*who, vec![(*at, FOREVER)]);
                continue;
            }
            Fact::DisposalAsked { worker, .. } => Some(*worker),
            Fact::Admitted { worker, .. }
            | Fact::Unseated { worker, .. }
            | Fact::Disposed { worker, .. }
            | Fact::BrowserDown { worker, .. } => Some(*worker),
            Fact::Down { who, .. } if who.name.role == Role::Worker => Some(*who),
            _ => None,
        };
        let Some(worker) = worker else {
            // A disposal that hangs is over some time, and that is found out here too.
            holders.take(*at, fact, Duration::ZERO);
            continue;
        };
        let setup = case.outcome.setup.worker(worker.name);
        holders.take(*at, fact, setup.limits.release_timeout);
        let is_free = holders.count(worker) < setup.limits.slots;
        let spans = free.entry(worker).or_default();
        let is_open = spans.last().is_some_and(|span| span.1 == FOREVER);
        match (is_free, is_open) {
            (true, false) => spans.push((*at, FOREVER)),
            (false, true) => {
                if let Some(last) = spans.last_mut() {
                    last.1 = *at;
                }
            }
            _ => {}
        }
    }
    free
}

/// When this gateway may be excused for not sending anybody to this worker.
fn bad(case: &Case<'_>, gateway: Me, worker: Me) -> Vec<Span> {
    let settling = settling(case);
    let (here, there) = (case.time.lives[&gateway], case.time.lives[&worker]);
    let both_up = here.up.max(there.up);
    let mut bad = vec![(Moment::ZERO, both_up), (here.down.min(there.down), FOREVER)];
    bad.extend(case.time.troubles(gateway.name, worker.name));
    bad.extend(case.time.bad_links(worker.name, Name::REDIS));
    // Without Redis they go on with each other, if they knew each other.
    let mut blind = case.time.absences(Name::REDIS);
    blind.extend(case.time.bad_links(gateway.name, Name::REDIS));
    bad.extend(blind.iter().filter(|span| both_up + settling > span.0));
    bad.extend(of_twins(case, worker, both_up, &bad, &blind));
    bad.extend(case.time.broken.values().map(|at| (*at, *at)));
    let mut bad: Vec<_> = bad.into_iter().map(|(from, to)| (from, to + settling)).collect();
    bad.extend(own_troubles(case, worker));
    bad
}

/// Somebody else with its name, who may have been there first. Whoever believed in him finds the
/// worker again as soon as he is gone, and Redis is there to say so.
fn of_twins(
    case: &Case<'_>,
    worker: Me,
    both_up: Moment,
    bad: &[Span],
    blind: &[Span],
) -> Vec<Span> {
    let is_his = |me: &Me| is_twin(*me) && me.name.number % 100 == worker.name.number;
    let twins = case.time.lives.iter().filter(|(me, _)| is_his(me)).map(|(_, life)| life);
    let first = |up: Moment, down: Moment| {
        both_up + settling(case) > up || touches(bad, up, down)
    };
    let taken = twins.filter(|life| first(life.up, life.down));
    let until = |down: Moment| {
        let blind = blind.iter().filter(|span| span.0 <= down && down <= span.1);
        blind.map(|span| span.1).max().unwrap_or(down)
    };
    taken.map(|life| (life.up, until(life.down))).collect()
}

fn is_twin(me: Me) -> bool {
    me.name.role == Role::Worker && me.name.number > 100
}

/// Drains, and browsers that do not come up.
fn own_troubles(case: &Case<'_>, worker: Me) -> Vec<Span> {
    let settling = settling(case);
    let mut bad: Vec<Span> = Vec::new();
    let mut drain = None;
    for (at, fact) in &case.outcome.history.facts {
        match fact {
            Fact::Draining { who } if *who == worker => drain = drain.or(Some(*at)),
            Fact::Undrained { worker: who } if *who == worker => {
                bad.extend(drain.take().map(|from| (from, *at + settling)));
            }
            Fact::BrowserFailed { worker: who, .. } if *who == worker => {
                bad.push((*at, *at + BACK_OFF));
            }
            Fact::BrowserDown { worker: who, died, .. } if *who == worker && *died != Died::Closed => {
                bad.push((*at, *at + BACK_OFF));
            }
            Fact::LaunchesSlow { worker: name, until } if *name == worker.name => {
                bad.push((*at, *until + case.outcome.setup.timing.launch_timeout + settling));
            }
            _ => {}
        }
    }
    bad.extend(drain.map(|from| (from, FOREVER)));
    bad
}
