//! Deliberate bugs in the decisions: the checker must find each, or it would not find the next one
//! that nobody meant.

use flotilla_core::mutant::{Mutant, breed};

use crate::setup::Weather;
use crate::sweep;

/// The seeds that a mutant may live for.
const SEEDS: u64 = 1000;

/// Each mutant, and what it does.
pub(crate) const ALL: [(Mutant, &str); 26] = [
    (Mutant::BelieveAnySignature, "take what nobody of the fleet has signed"),
    (Mutant::TakeForeignTickets, "take a ticket for another worker, or another life of it"),
    (Mutant::TakeExpiredTickets, "take a ticket that has expired"),
    (Mutant::TakeTicketsTwice, "keep no memory of tickets"),
    (Mutant::FreeASlotOnClose, "free a slot when the connection closes"),
    (Mutant::ForgetADrain, "admit sessions after a drain has begun"),
    (Mutant::ShareBetweenTenants, "share a browser between tenants"),
    (Mutant::NeverTakeBackASlot, "wait for a disposal that hangs, forever"),
    (Mutant::AdmitASessionTwice, "admit a session that is there already"),
    (Mutant::ForgetWhoWaitedForALaunch, "tell nobody that a launch has failed"),
    (
        Mutant::CloseAReplacedBrowserAtOnce,
        "close a browser under its sessions when its successor is up",
    ),
    (
        Mutant::EndNobodyWhoWaits,
        "pass over sessions that wait for their browser when all are ended",
    ),
    (Mutant::TrustAStaleAdvert, "let an older advert replace a newer"),
    (Mutant::ExpireWhileBlind, "let workers expire while Redis is away"),
    (Mutant::TakeAnybodysProof, "take another life's proof for the one that was meant"),
    (Mutant::NeverRetryTheUnroutable, "never dial again who could not be reached"),
    (Mutant::NeverBelieveASuccessor, "hold on to a worker's old life"),
    (Mutant::ForgetToSettle, "count answered sessions as on their way"),
    (Mutant::TryWhatIsTried, "call clients for slots that are being tried"),
    (Mutant::KnowNoOthers, "refuse a failed launch although there are other workers"),
    (Mutant::ForgetAPlace, "send who comes back to the end of the line"),
    (Mutant::NoPlaceForWhoTriedAtOnce, "give no place to who tries at once"),
    (Mutant::KeepTheTurn, "serve one key until nobody of it waits"),
    (Mutant::ForgetAnAnswer, "count who was answered as trying"),
    (Mutant::ForgetTheHeartbeat, "tell Redis only what has changed"),
    (Mutant::CountAnEndTwice, "write an end record for everybody who notices"),
];

/// Switches on the mutant of this name, for a replay.
pub(crate) fn breed_by_name(name: Option<String>) {
    let named = |name| ALL.iter().find(|(mutant, _)| format!("{mutant:?}") == name);
    breed(name.map(|name| named(name).expect("the name of a mutant").0));
}

/// The first seed that finds a mutant, and by which rule.
pub(crate) fn find(mutant: Mutant) -> Option<(u64, &'static str)> {
    breed(Some(mutant));
    let found = (0..SEEDS).find_map(|seed| {
        let (_, violations) = sweep::run(seed, Weather::Random, false);
        violations.first().map(|violation| (seed, violation.rule))
    });
    breed(None);
    found
}
