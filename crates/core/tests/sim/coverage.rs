//! What really happened in all those runs: a rule that never had its case has shown nothing.

use std::collections::BTreeMap;
use std::fmt;

use crate::fault::Fault;
use crate::history::{Fact, Told};
use crate::msg::Order;
use crate::run::Outcome;

/// Counts by what is counted, and which.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    counts: BTreeMap<&'static str, BTreeMap<String, u64>>,
}

pub(crate) const RUNS: &str = "runs";
pub(crate) const FAULTS: &str = "faults";
pub(crate) const REFUSED: &str = "clients refused";
pub(crate) const TURNED_AWAY: &str = "turned away by a worker";
pub(crate) const ENDS: &str = "sessions ended";
const CLIENTS: &str = "clients";
const WORLD: &str = "the world";

impl Coverage {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.count(RUNS, "seeds");
        self.counts.entry(RUNS).or_default().entry("events".to_owned()).or_default();
        *self.counts.entry(RUNS).or_default().entry("events".to_owned()).or_default() +=
            u64::from(outcome.events);
        let hours = outcome.setup.end_at.as_secs();
        *self.counts.entry(RUNS).or_default().entry("simulated seconds".to_owned()).or_default() +=
            hours;
        outcome.struck.iter().for_each(|kind| self.count(FAULTS, kind));
        outcome.history.facts.iter().for_each(|(_, fact)| self.fact(fact));
    }

    fn fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Ordered { order, .. } => self.count(FAULTS, order_kind(order)),
            Fact::Arrived { .. } => self.count(CLIENTS, "arrived"),
            Fact::LetIn { .. } => self.count(CLIENTS, "let in"),
            Fact::GaveUp { .. } => self.count(CLIENTS, "left while they waited"),
            Fact::Told { what: Told::NoGateway, .. } => self.count(CLIENTS, "found no gateway"),
            Fact::Told { what: Told::Gone, .. } => self.count(CLIENTS, "lost their gateway"),
            Fact::Refused { code, .. } => self.count(REFUSED, code),
            Fact::TurnedAway { code, .. } => self.count(TURNED_AWAY, code),
            Fact::Ended { cause, .. } => self.count(ENDS, cause.as_str()),
            Fact::Admitted { .. } => self.count(WORLD, "admissions"),
            Fact::Missed { .. } => self.count(WORLD, "tries that missed"),
            Fact::Blind { .. } => self.count(WORLD, "gateways lost sight of Redis"),
            Fact::BrowserUp { .. } => self.count(WORLD, "browsers launched"),
            Fact::BrowserFailed { .. } => self.count(WORLD, "launches failed"),
            _ => {}
        }
    }

    fn count(&mut self, what: &'static str, which: &str) {
        let counts = self.counts.entry(what).or_default();
        match counts.get_mut(which) {
            Some(count) => *count += 1,
            None => drop(counts.insert(which.to_owned(), 1)),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, counts) in &other.counts {
            for (which, count) in counts {
                *self.counts.entry(what).or_default().entry(which.clone()).or_default() += count;
            }
        }
    }

    /// Those of these that never happened.
    pub(crate) fn missing(&self, what: &str, all: &[&'static str]) -> Vec<&'static str> {
        let counts = self.counts.get(what);
        let happened = |which: &str| counts.is_some_and(|counts| counts.contains_key(which));
        all.iter().copied().filter(|which| !happened(which)).collect()
    }
}

fn order_kind(order: &Order) -> &'static str {
    let worker = crate::world::Name::OPERATOR;
    Fault::Operator { worker, order: order.clone() }.kind()
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, counts) in &self.counts {
            writeln!(f, "{what}:")?;
            for (which, count) in counts {
                writeln!(f, "  {count:>10}  {which}")?;
            }
        }
        Ok(())
    }
}
