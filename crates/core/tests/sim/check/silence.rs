//! A worker that a gateway cannot have heard of for longer than the TTL gets no sessions from it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::Fact;
use crate::world::{Me, Name, Role};

use super::Case;
use super::timeline::{FOREVER, Span, covered, touches};

pub(super) fn no_session_goes_to_the_silent(case: &mut Case<'_>) {
    let blind = blindness(case);
    for (at, fact) in &case.outcome.history.facts {
        let Fact::Asked { gateway, worker, instance, .. } = fact else { continue };
        let ttl = case.outcome.setup.timing.ttl;
        // A heartbeat may be on its way, and the gateway looks twice a second.
        let from = at.saturating_sub(ttl + Duration::from_secs(2));
        let Some(name) = named(case, instance) else { continue };
        let blind = blind.get(gateway).is_some_and(|spans| touches(spans, from, *at));
        if blind || from.is_zero() {
            continue;
        }
        // What a gateway missed while it did not run itself is no silence.
        let time = &case.time;
        let direct = [time.bad_links(gateway.name, name), time.absences(name)].concat();
        let there = time.troubles(name, Name::REDIS);
        let here = time.bad_links(gateway.name, Name::REDIS);
        let all = |spans: &[Span]| covered(spans, from, *at) >= *at - from;
        if all(&direct) && all(&[there, here].concat()) {
            let what = format!("{gateway:?} asks {worker} ({instance})");
            case.wrong(*at, "no session goes to the silent", what);
        }
    }
}

/// When each gateway could not reach Redis, as it knows itself. It starts blind.
fn blindness(case: &Case<'_>) -> BTreeMap<Me, Vec<Span>> {
    let mut spans: BTreeMap<Me, Vec<Span>> = BTreeMap::new();
    for (at, fact) in &case.outcome.history.facts {
        match fact {
            Fact::Up { who } | Fact::Blind { gateway: who } if who.name.role == Role::Gateway => {
                spans.entry(*who).or_default().push((*at, FOREVER));
            }
            Fact::Sees { gateway } => {
                if let Some(last) = spans.get_mut(gateway).and_then(|spans| spans.last_mut()) {
                    last.1 = *at;
                }
            }
            _ => {}
        }
    }
    spans
}

/// Which worker an instance is a life of: `worker-1-2` is the second of `worker-1`.
fn named(case: &Case<'_>, instance: &str) -> Option<Name> {
    let of = |me: &&Me| format!("{:?}-{}", me.name, me.life) == instance;
    case.time.lives.keys().find(of).map(|me| me.name)
}
