//! Whose client is next, where several gateways wait for the slots of one worker.
//!
//! Each gateway has a queue of its own, and all of them hear of a free slot at the same time. The
//! one that is nearest would have it every time, and who waits at another would never be let in.
//! So a worker remembers which gateways it has sent away, in their order, and keeps a free slot for
//! the first of them for a moment. Who does not come then does not want it any more.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pool::Moment;

/// How long a free slot is kept. A gateway that still wants it comes within a few milliseconds.
pub const KEPT: Duration = Duration::from_millis(100);

/// Gateways that are remembered.
const MOST: usize = 256;

/// The gateways that wait for one worker.
#[derive(Debug, Default)]
pub struct Claims {
    waiting: VecDeque<Claim>,
}

#[derive(Debug)]
struct Claim {
    gateway: String,
    /// Since when a slot is kept for it, as far as anybody asked.
    kept: Option<Moment>,
}

impl Claims {
    /// A gateway comes for a slot, of which so many are free: whether it may have one. If not,
    /// those that are free are kept for gateways that were sent away before it.
    pub fn may_try(&mut self, gateway: &str, free: usize, now: Moment) -> bool {
        self.keep(free, now);
        let before = self.waiting.iter().take_while(|claim| claim.gateway != gateway).count();
        let may = before < free;
        if !may {
            self.sent_away(gateway);
        }
        // Where none is free there is none to keep: it is sent away for that.
        may || free == 0
    }

    /// It has had its turn. Where more clients wait, it waits for its next.
    pub fn settled(&mut self, gateway: &str, more_wait: bool) {
        self.waiting.retain(|claim| claim.gateway != gateway);
        if more_wait {
            self.sent_away(gateway);
        }
    }

    /// It did not get a slot, and waits for the next.
    pub fn sent_away(&mut self, gateway: &str) {
        let known = self.waiting.iter().any(|claim| claim.gateway == gateway);
        if !known && self.waiting.len() < MOST {
            self.waiting.push_back(Claim { gateway: gateway.to_owned(), kept: None });
        }
    }

    /// The first in line have a slot each that is kept for them, until it was kept long enough.
    fn keep(&mut self, free: usize, now: Moment) {
        let lapsed = |claim: &Claim| claim.kept.is_some_and(|since| now >= since + KEPT);
        self.waiting.retain(|claim| !lapsed(claim));
        for (place, claim) in self.waiting.iter_mut().enumerate() {
            claim.kept = (place < free).then(|| claim.kept.unwrap_or(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    /// One slot becomes free, and these come for it in this order: who gets it.
    fn winner<'a>(claims: &mut Claims, come: &[&'a str], now: Moment) -> Option<&'a str> {
        let winner = *come.iter().find(|gateway| claims.may_try(gateway, 1, now))?;
        claims.settled(winner, false);
        for loser in come.iter().filter(|gateway| **gateway != winner) {
            assert!(claims.may_try(loser, 0, now), "the pool says that there is none");
        }
        Some(winner)
    }

    #[test]
    fn gateways_take_turns_whoever_comes_first() {
        let mut claims = Claims::default();
        let order: Vec<_> =
            (0..6).map(|n| winner(&mut claims, &["near", "far"], millis(n)).unwrap()).collect();
        assert_eq!(order, ["near", "far", "near", "far", "near", "far"]);
        let three = ["near", "far", "farther"];
        let order: Vec<_> =
            (6..12).map(|n| winner(&mut claims, &three, millis(n)).unwrap()).collect();
        for gateway in three {
            assert_eq!(order.iter().filter(|winner| **winner == gateway).count(), 2, "{order:?}");
        }
    }

    #[test]
    fn a_slot_is_kept_for_a_moment_only() {
        let mut claims = Claims::default();
        assert!(claims.may_try("gone", 0, millis(0)));
        assert!(!claims.may_try("near", 1, millis(500)), "it is kept from now on");
        assert!(!claims.may_try("near", 1, millis(599)));
        assert!(claims.may_try("near", 1, millis(600)));
    }

    #[test]
    fn alone_a_gateway_never_waits_and_more_slots_than_claims_are_anybodys() {
        let mut claims = Claims::default();
        assert!(claims.may_try("one", 0, millis(0)));
        assert!(claims.may_try("one", 1, millis(1)));
        assert!(!claims.may_try("two", 1, millis(1)));
        assert!(claims.may_try("three", 3, millis(1)));
        assert!(!claims.may_try("three", 2, millis(1)));
        claims.settled("one", true);
        assert!(claims.may_try("two", 1, millis(1)), "it has had its turn");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut claims = Claims::default();
        for n in 0..10_000 {
            claims.may_try(&n.to_string(), 0, millis(0));
        }
        assert_eq!(claims.waiting.len(), MOST);
    }
}
