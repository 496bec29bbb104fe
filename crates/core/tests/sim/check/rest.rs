//! When everything works again and nobody comes any more, nothing is left: no slot, no claim, no
//! place in a line; and every gateway knows every worker.

use crate::history::Fact;

use super::Case;

pub(super) fn everything_is_given_back(case: &mut Case<'_>) {
    for (at, fact) in &case.outcome.history.facts {
        if let Fact::Rest { who, what, ok: false } = fact {
            case.wrong(*at, "everything is given back", format!("{who:?}: {what}"));
        }
    }
}
