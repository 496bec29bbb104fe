//! A client that waits is served in order within its key, keys take turns, and calling is progress.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_core::pool::Moment;
use flotilla_core::refusal::Served;

use crate::history::Fact;
use crate::net::ConnId;
use crate::world::Me;

use super::Case;

/// Who waits at a gateway, in order of arrival.
type Waiting = BTreeMap<ConnId, (String, Served, Moment)>;

/// How often the others were called while a key waited, by key and browser.
type Passed = BTreeMap<(String, Served), BTreeMap<String, u32>>;

pub(super) fn in_order_and_in_turn(case: &mut Case<'_>) {
    let mut lines: BTreeMap<Me, (Waiting, Passed)> = BTreeMap::new();
    for (at, fact) in &case.outcome.history.facts {
        match fact {
            Fact::Joined { gateway, guest } => {
                let Some(found) = case.time.guests.get(guest) else { continue };
                let Some(served) = found.served else { continue };
                let (waiting, _) = lines.entry(*gateway).or_default();
                waiting.insert(*guest, (found.key.clone(), served, found.entered));
            }
            Fact::Unqueued { gateway, guest } => {
                let (waiting, passed) = lines.entry(*gateway).or_default();
                waiting.remove(guest);
                passed.retain(|(key, served), _| waits(waiting, key, *served));
            }
            Fact::Called { gateway, guest } => {
                let (waiting, passed) = lines.entry(*gateway).or_default();
                waiting.remove(guest);
                let Some(found) = case.time.guests.get(guest).cloned() else { continue };
                let Some(served) = found.served else { continue };
                let earlier = waiting.iter().find(|(_, (key, wanted, since))| {
                    *key == found.key && *wanted == served && *since < found.entered
                });
                if let Some((other, _)) = earlier {
                    let what = format!("{guest:?} is called before {other:?} at {gateway:?}");
                    case.wrong(*at, "in order within a key", what);
                }
                if let Some(other) = pass(waiting, passed, &found.key, served) {
                    let what = format!("{} twice, and {other} waits at {gateway:?}", found.key);
                    case.wrong(*at, "keys take turns", what);
                }
            }
            Fact::Refused { gateway, guest, code: "queue_full" } => {
                let waiting = lines.get(gateway).map_or(0, |(waiting, _)| waiting.len());
                if waiting < case.outcome.setup.queue_limit {
                    let what = format!("{guest:?} at {gateway:?}, where {waiting} wait");
                    case.wrong(*at, "only a full line is full", what);
                }
            }
            Fact::Spins { who } => {
                case.wrong(*at, "decisions do not go round in circles", format!("{who:?}"));
            }
            _ => {}
        }
    }
}

fn waits(waiting: &Waiting, key: &str, served: Served) -> bool {
    waiting.values().any(|(other, wanted, _)| other == key && *wanted == served)
}

/// A key is called; another that is passed over by it for the second time is given back.
fn pass(waiting: &Waiting, passed: &mut Passed, called: &str, served: Served) -> Option<String> {
    // Its own turn has come, for whatever browser.
    passed.retain(|(key, wanted), _| key != called && waits(waiting, key, *wanted));
    let others: BTreeSet<_> = waiting
        .values()
        .filter(|(key, wanted, _)| key != called && *wanted == served)
        .map(|(key, ..)| key.clone())
        .collect();
    let mut twice = None;
    for key in others {
        let count = passed.entry((key.clone(), served)).or_default();
        let times = count.entry(called.to_owned()).or_default();
        *times += 1;
        if *times > 1 {
            twice = Some(key);
        }
    }
    twice
}
