//! What an operator ends is over on its worker within a second, whatever the network does.

use std::collections::BTreeMap;

use crate::history::Fact;

use super::timeline::touches;
use super::{AT_ONCE, Case};

pub(super) fn an_operators_word_counts(case: &mut Case<'_>) {
    let mut over = BTreeMap::new();
    for (at, fact) in &case.outcome.history.facts {
        if let Fact::Left { conn, .. } | Fact::Unseated { conn, .. } | Fact::Parted { conn, .. } =
            fact
        {
            over.entry(*conn).or_insert(*at);
        }
    }
    for (at, fact) in &case.outcome.history.facts {
        let Fact::EndOrdered { worker, conn, session } = fact else { continue };
        let ended = over.get(conn).is_some_and(|over| *over <= *at + AT_ONCE);
        let absent = case.time.absences(worker.name);
        if !ended && !touches(&absent, *at, *at + AT_ONCE) {
            case.wrong(*at, "an operator's word counts", format!("{session:?} on {worker:?}"));
        }
    }
}
