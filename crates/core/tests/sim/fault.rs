//! What goes wrong: a schedule that the seed decides.

use std::time::Duration;

use flotilla_core::pool::Moment;

use crate::msg::Order;
use crate::net::Parting;
use crate::rng::Rng;
use crate::setup::Setup;
use crate::world::Name;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9`; it is started again later, perhaps at another address.
    Kill {
        name: Name,
        parting: Parting,
        back: Duration,
        moved: bool,
    },
    /// The machine is gone without a word.
    PowerOff {
        name: Name,
        back: Duration,
    },
    /// The process does not run for a while (SIGSTOP).
    Pause {
        name: Name,
        lasts: Duration,
    },
    Cut {
        from: Name,
        to: Name,
        both: bool,
        lasts: Duration,
    },
    /// Cut from everybody.
    Isolate {
        name: Name,
        lasts: Duration,
    },
    Slow {
        from: Name,
        to: Name,
        by: Duration,
        lasts: Duration,
    },
    /// A connection is lost.
    Break {
        number: u64,
        both: bool,
    },
    /// `FLUSHALL`.
    Wipe,
    BrowserDies {
        worker: Name,
        number: u64,
    },
    DriverDies {
        worker: Name,
    },
    LaunchesFail {
        worker: Name,
        lasts: Duration,
    },
    LaunchesSlow {
        worker: Name,
        lasts: Duration,
    },
    DisposalHangs {
        worker: Name,
        lasts: Duration,
    },
    Operator {
        worker: Name,
        order: Order,
    },
    /// An orderly restart of a gateway.
    Restart {
        gateway: Name,
    },
    /// Another worker starts under the same name.
    Twin {
        worker: Name,
        lasts: Duration,
    },
    Attack {
        worker: Name,
        how: Attack,
    },
    Lie {
        how: Lie,
        number: u64,
    },
}

/// How somebody tries to get in without a ticket of his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    NoTicket,
    Forged,
    Replayed,
}

/// What somebody writes into the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    Garbage,
    Forged,
    /// What a worker said some time ago.
    Stale,
}

impl Fault {
    /// The counter's name.
    pub(crate) fn kind(&self) -> &'static str {
        use crate::world::Role;
        match self {
            Self::Kill { name, .. } => match name.role {
                Role::Worker => "worker killed",
                Role::Gateway => "gateway killed",
                _ => "redis killed",
            },
            Self::PowerOff { .. } => "machine lost",
            Self::Pause { .. } => "process paused",
            Self::Cut { both: true, .. } => "link cut",
            Self::Cut { .. } => "link cut one way",
            Self::Isolate { .. } => "machine isolated",
            Self::Slow { .. } => "link slow",
            Self::Break { both: true, .. } => "connection lost",
            Self::Break { .. } => "connection lost at one end",
            Self::Wipe => "redis wiped",
            Self::BrowserDies { .. } => "browser died",
            Self::DriverDies { .. } => "driver died",
            Self::LaunchesFail { .. } => "launches fail",
            Self::LaunchesSlow { .. } => "launches slow",
            Self::DisposalHangs { .. } => "disposal hangs",
            Self::Operator { order, .. } => match order {
                Order::Drain => "worker drained",
                Order::Undrain => "worker undrained",
                Order::EndOldest => "session ended by an operator",
                Order::Stop => "worker stopped",
            },
            Self::Restart { .. } => "gateway restarted",
            Self::Twin { .. } => "two workers with one name",
            Self::Attack { how: Attack::NoTicket, .. } => "no ticket",
            Self::Attack { how: Attack::Forged, .. } => "forged ticket",
            Self::Attack { how: Attack::Replayed, .. } => "replayed ticket",
            Self::Lie { how: Lie::Garbage, .. } => "garbage in the registry",
            Self::Lie { how: Lie::Forged, .. } => "forged advert",
            Self::Lie { how: Lie::Stale, .. } => "stale advert",
        }
    }

    /// Every kind that a schedule may have.
    pub(crate) const KINDS: [&str; 29] = [
        "worker killed",
        "gateway killed",
        "redis killed",
        "machine lost",
        "process paused",
        "link cut",
        "link cut one way",
        "machine isolated",
        "link slow",
        "connection lost",
        "connection lost at one end",
        "redis wiped",
        "browser died",
        "driver died",
        "launches fail",
        "launches slow",
        "disposal hangs",
        "worker drained",
        "worker undrained",
        "session ended by an operator",
        "worker stopped",
        "gateway restarted",
        "two workers with one name",
        "no ticket",
        "forged ticket",
        "replayed ticket",
        "garbage in the registry",
        "forged advert",
        "stale advert",
    ];
}

/// A family of faults. A run has some of them: what comes alone shows other things than what
/// comes with everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Workers,
    Gateways,
    Redis,
    Links,
    Connections,
    Pauses,
    Browsers,
    Operators,
    Names,
    Intruders,
}

const FAMILIES: [Family; 10] = [
    Family::Workers,
    Family::Gateways,
    Family::Redis,
    Family::Links,
    Family::Connections,
    Family::Pauses,
    Family::Browsers,
    Family::Operators,
    Family::Names,
    Family::Intruders,
];

/// The faults of a run, in no order.
pub(crate) fn schedule(rng: &mut Rng, setup: &Setup) -> Vec<(Moment, Fault)> {
    let share = *rng.pick(&[100, 300, 600, 1000]);
    let mut families: Vec<_> = FAMILIES.into_iter().filter(|_| rng.chance(share)).collect();
    if families.is_empty() {
        families.push(*rng.pick(&FAMILIES));
    }
    let count = rng.number(1..16);
    let mut faults = Vec::new();
    if rng.chance(100) {
        // A night without Redis, whatever else happens.
        let (name, back, moved) = (Name::REDIS, setup.heal_at, false);
        let redis = Fault::Kill { name, parting: Parting::Closed, back, moved };
        faults.push((rng.secs(8..20), redis));
    }
    for _ in 0..count {
        let at = rng.secs(3..setup.heal_at.as_secs() - 1);
        let family = *rng.pick(&families);
        faults.push((at, one(rng, setup, family)));
        if let Some((_, Fault::Operator { worker, order: Order::Drain })) = faults.last() {
            let undrain = Fault::Operator { worker: *worker, order: Order::Undrain };
            let at = at + rng.secs(1..20);
            faults.push((at, undrain));
        }
    }
    faults
}

fn one(rng: &mut Rng, setup: &Setup, family: Family) -> Fault {
    let worker = *rng.pick(&setup.worker_names());
    let gateway = *rng.pick(&setup.gateway_names());
    let lasts = lasting(rng, setup);
    let back = rng.millis(100..20_000);
    match family {
        Family::Workers => stop(rng, worker, back),
        Family::Gateways if rng.chance(300) => Fault::Restart { gateway },
        Family::Gateways => stop(rng, gateway, back),
        Family::Redis if rng.chance(250) => Fault::Wipe,
        Family::Redis => stop(rng, Name::REDIS, lasts),
        Family::Links => link(rng, setup, lasts),
        Family::Connections => Fault::Break { number: rng.next(), both: rng.chance(600) },
        Family::Pauses => {
            let all = [setup.gateway_names(), setup.worker_names(), vec![Name::REDIS]].concat();
            // As long as a gateway waits for an answer, or a little longer, or any time.
            let select = setup.timing.select_timeout.as_millis() as u64;
            let lasts = if rng.chance(400) { rng.millis(select..2 * select) } else { lasts };
            Fault::Pause { name: *rng.pick(&all), lasts }
        }
        Family::Browsers => match rng.number(0..6) {
            0 | 1 => Fault::BrowserDies { worker, number: rng.next() },
            2 => Fault::DriverDies { worker },
            3 => Fault::LaunchesFail { worker, lasts },
            4 => Fault::LaunchesSlow { worker, lasts },
            _ => Fault::DisposalHangs { worker, lasts },
        },
        Family::Operators => {
            let orders =
                [Order::Drain, Order::Drain, Order::EndOldest, Order::EndOldest, Order::Stop];
            Fault::Operator { worker, order: rng.pick(&orders).clone() }
        }
        Family::Names => Fault::Twin { worker, lasts },
        Family::Intruders => match rng.number(0..6) {
            0 => Fault::Attack { worker, how: Attack::NoTicket },
            1 => Fault::Attack { worker, how: Attack::Forged },
            2 | 3 => Fault::Attack { worker, how: Attack::Replayed },
            4 => Fault::Lie { how: *rng.pick(&[Lie::Garbage, Lie::Forged]), number: rng.next() },
            _ => Fault::Lie { how: Lie::Stale, number: rng.next() },
        },
    }
}

fn stop(rng: &mut Rng, name: Name, back: Duration) -> Fault {
    if rng.chance(200) {
        return Fault::PowerOff { name, back };
    }
    let parting = *rng.pick(&[Parting::Closed, Parting::Closed, Parting::Reset]);
    Fault::Kill { name, parting, back, moved: rng.chance(200) }
}

fn link(rng: &mut Rng, setup: &Setup, lasts: Duration) -> Fault {
    let hosts = setup.hosts();
    let fleet = [setup.gateway_names(), setup.worker_names(), vec![Name::REDIS]].concat();
    let from = *rng.pick(&fleet);
    let to = *rng.pick(&hosts);
    match rng.number(0..8) {
        0 | 1 => Fault::Isolate { name: from, lasts },
        2 => Fault::Slow { from, to, by: rng.millis(50..3000), lasts },
        3 | 4 => match rng.chance(500) {
            true => Fault::Cut { from, to, both: false, lasts },
            false => Fault::Cut { from: to, to: from, both: false, lasts },
        },
        _ => Fault::Cut { from, to, both: true, lasts },
    }
}

/// Short ones are not noticed, long ones outlast every patience.
fn lasting(rng: &mut Rng, setup: &Setup) -> Duration {
    let long = setup.timing.peer_timeout.as_millis() as u64;
    match rng.number(0..3) {
        0 => rng.millis(50..3_000),
        1 => rng.millis(1_000..long),
        _ => rng.millis(long..3 * long),
    }
}
