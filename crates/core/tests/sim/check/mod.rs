//! What must always hold, held against what happened. It reads facts and knows nothing of how the
//! code under test comes to its decisions.

mod drains;
mod ends;
mod line;
mod orders;
mod rest;
mod silence;
mod slots;
mod starving;
mod tenants;
mod tickets;
mod timeline;
mod told;
mod views;

use std::time::Duration;

use flotilla_core::pool::Moment;

use crate::run::Outcome;

pub(crate) use timeline::Timeline;

/// Something that must not be.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) at: Moment,
    pub(crate) rule: &'static str,
    pub(crate) what: String,
}

/// What a rule sees.
pub(crate) struct Case<'a> {
    outcome: &'a Outcome,
    time: Timeline,
    violations: Vec<Violation>,
}

/// One rule of what must always hold.
type Rule = fn(&mut Case<'_>);

const RULES: [Rule; 12] = [
    slots::never_more_than_there_are,
    slots::become_free_without_help,
    tenants::never_share_a_browser,
    drains::nobody_comes_in_after,
    tickets::one_admission_each,
    line::in_order_and_in_turn,
    starving::nobody_waits_beside_a_free_slot,
    ends::one_record_with_a_true_cause,
    told::within_a_second,
    orders::an_operators_word_counts,
    views::never_go_back,
    rest::everything_is_given_back,
];

/// Everything that is wrong with this history, in order of time.
pub(crate) fn violations(outcome: &Outcome) -> Vec<Violation> {
    let mut case = Case { outcome, time: Timeline::of(outcome), violations: Vec::new() };
    RULES.iter().for_each(|rule| rule(&mut case));
    silence::no_session_goes_to_the_silent(&mut case);
    case.violations.sort_by_key(|violation| violation.at);
    case.violations
}

impl Case<'_> {
    fn wrong(&mut self, at: Moment, rule: &'static str, what: String) {
        self.violations.push(Violation { at, rule, what });
    }
}

/// For what is done at once: a round trip or two on a network that works.
const AT_ONCE: Duration = Duration::from_secs(1);
