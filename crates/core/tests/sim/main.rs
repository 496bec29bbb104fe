//! The fleet in a simulation: the production's own decisions about slots, tickets, lines, workers
//! and gateways, on a simulated network and clock, and a checker that holds what must always be
//! true against what happened. `docs/simulation.md` says more.
//!
//! `FLOTILLA_SIM_SEED=7` replays a seed and shows all that happens, `FLOTILLA_SIM_SEEDS=50000` runs
//! more than usual, `FLOTILLA_SIM_FROM=1000` begins elsewhere, `FLOTILLA_SIM_MUTANT=ForgetADrain`
//! replays a seed with a deliberate bug. All of them with `--nocapture`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "all of it is tests; a trace is read"
)]

mod check;
mod client;
mod coverage;
mod errand;
mod fault;
mod gateway;
mod history;
mod msg;
mod mutants;
mod net;
mod redis;
mod rng;
mod run;
mod setup;
mod strike;
mod sweep;
mod worker;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use coverage::{ENDS, FAULTS, REFUSED, TURNED_AWAY};
use fault::Fault;
use run::Run;
use setup::{Setup, Weather};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn what_must_always_hold_holds_for_a_thousand_seeds() {
    if let Some(seed) = number("FLOTILLA_SIM_SEED") {
        mutants::breed_by_name(std::env::var("FLOTILLA_SIM_MUTANT").ok());
        let (_, violations) = sweep::run(seed, Weather::Random, true);
        violations.iter().for_each(|violation| println!("{violation}"));
        assert!(violations.is_empty(), "seed {seed} broke {} rules", violations.len());
        return;
    }
    let from = number("FLOTILLA_SIM_FROM").unwrap_or(0);
    let count = number("FLOTILLA_SIM_SEEDS").unwrap_or(1000);
    let (coverage, failures) = sweep::sweep(from..from + count, Weather::Random);
    println!("{coverage}");
    sweep::assert_none(&failures);
    if count >= 1000 {
        for (what, all) in [
            (FAULTS, &Fault::KINDS[..]),
            (REFUSED, &REFUSALS[..]),
            (TURNED_AWAY, &ANSWERS[..]),
            (ENDS, &CAUSES[..]),
        ] {
            let missing = coverage.missing(what, all);
            assert!(missing.is_empty(), "{what}: {missing:?} never happened");
        }
    }
}

/// What clients are told who are not let in.
const REFUSALS: [&str; 8] = [
    "browser_not_served",
    "draining",
    "ended",
    "launch_backing_off",
    "launch_failed",
    "nothing_served",
    "queue_full",
    "queue_timeout",
];

/// What workers say when they do not take a session.
const ANSWERS: [&str; 11] = [
    "browser_unreachable",
    "busy",
    "draining",
    "ended",
    "launch_backing_off",
    "launch_failed",
    "session_present",
    "ticket_expired",
    "ticket_foreign",
    "ticket_forged",
    "ticket_replayed",
];

/// Why sessions end.
const CAUSES: [&str; 7] = [
    "client_close",
    "client_lost",
    "deadline",
    "drain_kill",
    "operator",
    "worker_crash",
    "worker_lost",
];

#[test]
fn without_faults_sessions_end_by_their_clients_and_their_limit_only() {
    let (coverage, failures) = sweep::sweep(0..100, Weather::Calm);
    sweep::assert_none(&failures);
    let never = ["drain_kill", "operator", "worker_crash", "worker_lost"];
    assert_eq!(coverage.missing(ENDS, &never), never, "{coverage}");
    assert!(coverage.missing(ENDS, &["client_close", "client_lost", "deadline"]).is_empty());
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..40 {
        let hash = || Run::new(Setup::of(seed, Weather::Random), false).go().history.hash();
        assert_eq!(hash(), hash(), "seed {seed}");
    }
}

#[test]
fn a_wall_clock_that_jumps_changes_nothing() {
    let mut jumped = 0;
    for seed in 0..40 {
        let setup = Setup::of(seed, Weather::Random);
        let steady = Setup { jumps: Vec::new(), ..setup.clone() };
        jumped += setup.jumps.len();
        let hash = |setup| Run::new(setup, false).go().history.hash();
        assert_eq!(hash(setup), hash(steady), "seed {seed}");
    }
    assert!(jumped > 40, "no clock has jumped: {jumped}");
}

#[test]
fn the_checker_finds_every_mutant() {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((mutant, what)) =
                    mutants::ALL.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let seed = mutants::find(*mutant);
                    found.lock().unwrap().push((format!("{mutant:?}"), what, seed));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort();
    for (mutant, what, seed) in &found {
        println!("{mutant:<28} {what}: {seed:?}");
    }
    let alive: Vec<_> = found.iter().filter(|(.., seed)| seed.is_none()).collect();
    assert!(alive.is_empty(), "the checker does not find {alive:?}");
}
