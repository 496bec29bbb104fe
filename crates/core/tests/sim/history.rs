//! What happened: facts in order, as an onlooker with eyes everywhere would note them. The checker
//! reads nothing else.

use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Write as _};
use std::hash::{Hash as _, Hasher as _};

use flotilla_core::SessionId;
use flotilla_core::ending::EndCause;
use flotilla_core::pool::{Demand, Moment};
use flotilla_core::refusal::Served;

use crate::msg::Order;
use crate::net::{ConnId, Parting};
use crate::world::{Died, Me, Name};

/// A session's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sid(pub(crate) u64);

/// A ticket, by a hash of its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slip(u64);

/// Something that happened.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "a trace shows more than the rules read")]
pub(crate) enum Fact {
    // Processes, machines, links.
    Up {
        who: Me,
    },
    Down {
        who: Me,
        how: Parting,
    },
    Paused {
        who: Me,
        until: Moment,
    },
    HostDown {
        host: Name,
    },
    HostUp {
        host: Name,
    },
    Cut {
        from: Name,
        to: Name,
    },
    Uncut {
        from: Name,
        to: Name,
    },
    Slowed {
        from: Name,
        to: Name,
        millis: u64,
    },
    Broke {
        conn: ConnId,
    },
    Wiped,
    Healed,
    LaunchesFail {
        worker: Name,
        until: Moment,
    },
    LaunchesSlow {
        worker: Name,
        until: Moment,
    },
    DisposalHangs {
        worker: Name,
        until: Moment,
    },
    Attacked {
        worker: Name,
        how: &'static str,
        ticket: Slip,
    },
    Lied {
        how: &'static str,
    },

    // Browsers, as they are.
    BrowserUp {
        worker: Me,
        browser: String,
    },
    BrowserFailed {
        worker: Me,
        browser: String,
    },
    BrowserDown {
        worker: Me,
        browser: String,
        died: Died,
    },
    /// The session may have contexts in the browser from now on.
    Granted {
        worker: Me,
        conn: ConnId,
        browser: String,
    },
    /// It has.
    Seated {
        worker: Me,
        conn: ConnId,
        browser: String,
    },
    DisposalAsked {
        worker: Me,
        conn: ConnId,
    },
    Disposed {
        worker: Me,
        conn: ConnId,
    },

    // What workers do.
    Admitted {
        worker: Me,
        conn: ConnId,
        session: Sid,
        ticket: Slip,
        demand: Demand,
    },
    TurnedAway {
        worker: Me,
        conn: ConnId,
        code: &'static str,
    },
    /// An admitted session leaves without ever having had a browser.
    Unseated {
        worker: Me,
        conn: ConnId,
    },
    /// An admitted session's connection is over, for the worker.
    Parted {
        worker: Me,
        conn: ConnId,
    },
    /// The worker says that the slot is free.
    SlotFree {
        worker: Me,
        session: Sid,
    },
    Draining {
        who: Me,
    },
    Undrained {
        worker: Me,
    },
    Ordered {
        worker: Me,
        order: Order,
    },
    /// An operator, or a drain's end, ends this session.
    EndOrdered {
        worker: Me,
        conn: ConnId,
        session: Sid,
    },
    /// The worker's end record.
    Left {
        worker: Me,
        conn: ConnId,
        session: Sid,
        cause: EndCause,
    },
    Goodbye {
        worker: Me,
    },

    // What gateways do.
    Entered {
        gateway: Me,
        guest: ConnId,
        session: Sid,
        key: String,
        served: Served,
    },
    /// It waits in the line, for the first time or again.
    Joined {
        gateway: Me,
        guest: ConnId,
    },
    Called {
        gateway: Me,
        guest: ConnId,
    },
    /// It waits no more: it left, or its time was up.
    Unqueued {
        gateway: Me,
        guest: ConnId,
    },
    Ticketed {
        gateway: Me,
        session: Sid,
        ticket: Slip,
        worker: String,
        instance: String,
    },
    Asked {
        gateway: Me,
        guest: ConnId,
        conn: ConnId,
        worker: String,
        instance: String,
    },
    Missed {
        gateway: Me,
        guest: ConnId,
        why: String,
    },
    Refused {
        gateway: Me,
        guest: ConnId,
        code: &'static str,
    },
    GaveUp {
        gateway: Me,
        guest: ConnId,
    },
    LetIn {
        gateway: Me,
        guest: ConnId,
        session: Sid,
        conn: ConnId,
    },
    /// The gateway's end record.
    Ended {
        gateway: Me,
        guest: ConnId,
        session: Sid,
        cause: EndCause,
    },
    /// What the gateway now knows of a worker.
    Knows {
        gateway: Me,
        worker: String,
        instance: String,
        seq: u64,
    },
    /// How sure the gateway is of a worker.
    Stands {
        gateway: Me,
        worker: String,
        how: String,
    },
    Blind {
        gateway: Me,
    },
    Sees {
        gateway: Me,
    },
    /// Decisions go round in circles while no time passes.
    Spins {
        who: Me,
    },

    // What clients do, and hear.
    Arrived {
        client: Me,
        guest: ConnId,
        gateway: Name,
    },
    ClientCloses {
        client: Me,
        guest: ConnId,
    },
    ClientLeaves {
        client: Me,
        guest: ConnId,
    },
    Told {
        client: Me,
        guest: ConnId,
        what: Told,
    },

    // What is left when everything is quiet.
    Rest {
        who: Me,
        what: String,
        ok: bool,
    },
}

/// What a client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    In,
    Refused(&'static str),
    /// The end, with a reason.
    Ended(EndCause),
    /// The end, without a word.
    Gone,
    NoGateway,
}

/// Everything that happened.
pub(crate) struct History {
    pub(crate) facts: Vec<(Moment, Fact)>,
    trace: bool,
}

impl History {
    pub(crate) fn new(trace: bool) -> Self {
        Self { facts: Vec::new(), trace }
    }

    pub(crate) fn note(&mut self, at: Moment, fact: Fact) {
        if self.trace {
            println!("{}", line(at, &fact));
        }
        self.facts.push((at, fact));
    }

    /// The same for the same history, and hardly ever for another.
    pub(crate) fn hash(&self) -> u64 {
        let (mut hasher, mut text) = (DefaultHasher::new(), String::new());
        for (at, fact) in &self.facts {
            text.clear();
            // Writing to a string cannot fail.
            let _ = write!(text, "{at:?} {fact:?}");
            text.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The facts around a moment, for people.
    pub(crate) fn around(&self, at: Moment, before: usize, after: usize) -> String {
        let middle = self.facts.partition_point(|(when, _)| *when <= at);
        let from = middle.saturating_sub(before);
        let to = (middle + after).min(self.facts.len());
        self.facts[from..to].iter().map(|(at, fact)| line(*at, fact) + "\n").collect()
    }
}

fn line(at: Moment, fact: &Fact) -> String {
    format!("{:>12.6}  {fact:?}", at.as_secs_f64())
}

impl Sid {
    pub(crate) fn of(session: &SessionId) -> Self {
        Self(session.0.trim_start_matches('s').parse().unwrap_or(0))
    }

    pub(crate) fn name(self) -> SessionId {
        SessionId(format!("s{}", self.0))
    }
}

impl Slip {
    pub(crate) fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Debug for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{:08x}", self.0 as u32)
    }
}
