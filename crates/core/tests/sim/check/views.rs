//! A gateway never believes an older word of a worker than the one it has.

use std::collections::BTreeMap;

use crate::history::Fact;

use super::Case;

pub(super) fn never_go_back(case: &mut Case<'_>) {
    let mut known = BTreeMap::new();
    for (at, fact) in &case.outcome.history.facts {
        let Fact::Knows { gateway, worker, instance, seq } = fact else { continue };
        let newest = known.entry((*gateway, worker.clone(), instance.clone())).or_insert(0);
        if *seq < *newest {
            let what = format!("{gateway:?} of {instance}: {seq} after {newest}");
            case.wrong(*at, "an older word never replaces a newer", what);
        }
        *newest = (*newest).max(*seq);
    }
}
