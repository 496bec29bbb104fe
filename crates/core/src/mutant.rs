//! Deliberate bugs, each one decision undone, for the simulation to find. Only the feature
//! `mutants` makes the switch, which only this crate's own tests ask for: everywhere else every
//! question is answered with a constant `false`.

/// A deliberate bug.
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "it is, for the simulation"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it, and nobody else sees them")]
pub enum Mutant {
    BelieveAnySignature,
    TakeForeignTickets,
    TakeExpiredTickets,
    TakeTicketsTwice,
    FreeASlotOnClose,
    ForgetADrain,
    ShareBetweenTenants,
    NeverTakeBackASlot,
    AdmitASessionTwice,
    ForgetWhoWaitedForALaunch,
    CloseAReplacedBrowserAtOnce,
    EndNobodyWhoWaits,
    TrustAStaleAdvert,
    ExpireWhileBlind,
    TakeAnybodysProof,
    NeverRetryTheUnroutable,
    NeverBelieveASuccessor,
    ForgetToSettle,
    TryWhatIsTried,
    KnowNoOthers,
    ForgetAPlace,
    NoPlaceForWhoTriedAtOnce,
    KeepTheTurn,
    ForgetAnAnswer,
    ForgetTheHeartbeat,
    CountAnEndTwice,
}

#[cfg(feature = "mutants")]
mod switch {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static BRED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// From now on this thread runs with this bug, or with none.
    pub fn breed(mutant: Option<Mutant>) {
        BRED.set(mutant);
    }

    pub(crate) fn is(mutant: Mutant) -> bool {
        BRED.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub use switch::breed;
#[cfg(feature = "mutants")]
pub(crate) use switch::is;

#[cfg(not(feature = "mutants"))]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}
