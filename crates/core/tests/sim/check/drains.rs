//! Nobody is admitted after a drain has begun.

use std::collections::BTreeSet;

use crate::history::Fact;

use super::Case;

pub(super) fn nobody_comes_in_after(case: &mut Case<'_>) {
    const RULE: &str = "no admission after a drain has begun";
    let mut draining = BTreeSet::new();
    for (at, fact) in &case.outcome.history.facts {
        match fact {
            Fact::Draining { who } => {
                draining.insert(*who);
            }
            Fact::Undrained { worker } => {
                draining.remove(worker);
            }
            Fact::Admitted { worker, session, .. } if draining.contains(worker) => {
                case.wrong(*at, RULE, format!("{session:?} on {worker:?}"));
            }
            Fact::Called { gateway, guest } if draining.contains(gateway) => {
                case.wrong(*at, RULE, format!("{guest:?} at {gateway:?}"));
            }
            _ => {}
        }
    }
}
