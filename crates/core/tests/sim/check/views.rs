//! A gateway never believes an older word of a worker than the one it has.

use std::collections::BTreeMap;

use crate::history::Fact;

use super::Case;

pub(super) fn never_go_back(case: &mut Case<'_>) {
    let mut known: BTreeMap<_, (String, u64)> = BTreeMap::new();
    for (at, fact) in &case.outcome.history.facts {
        let Fact::Knows { gateway, worker, instance, seq } = fact else { continue };
        let now = (instance.clone(), *seq);
        let before = known.insert((*gateway, worker.clone()), now);
        if let Some((of, newest)) = before.filter(|(of, newest)| of == instance && newest > seq) {
            let what = format!("{gateway:?} of {of}: {seq} after {newest}");
            case.wrong(*at, "an older word never replaces a newer", what);
        }
    }
}
