//! The relay beside HAProxy, nginx and a direct connection, in one run on one machine.
//!
//! `cargo bench -p flotilla-relay` measures and writes `docs/performance.md`; `-- --quick` only shows that it runs.
//! Every party is a process of its own, so that a processor second is charged to whom it belongs: this binary starts
//! itself again as the echo server and as the relays.
#![allow(
    clippy::print_stdout,
    reason = "roles tell their address on it, and a benchmark its figures"
)]

mod findings;
mod load;
mod parties;
mod roles;

use std::time::Duration;

use anyhow::Result;
use flotilla_testkit::meter;

use findings::Findings;
use parties::Parties;

/// How long and how often to measure.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rounds: usize,
    period: Duration,
    sessions: usize,
    writes: bool,
}

const FULL: Plan =
    Plan { rounds: 7, period: Duration::from_millis(900), sessions: 8000, writes: true };
const QUICK: Plan =
    Plan { rounds: 1, period: Duration::from_millis(60), sessions: 50, writes: false };

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = args.iter().position(|arg| arg == "--role") {
        return roles::play(&args[at + 1..]);
    }
    // Without cargo's `--bench` this is `cargo test`, which wants to see that it runs.
    let full = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
    measure(if full { FULL } else { QUICK })
}

fn measure(plan: Plan) -> Result<()> {
    meter::allow_many_files()?;
    let load = meter::load_average();
    let parties = Parties::start()?;
    let mut findings = Findings::default();
    for round in 0..plan.rounds {
        for party in parties.all() {
            findings.large(party, load::large(party, 4, plan.period)?);
            if party.is_for_large_frames_only() {
                continue;
            }
            findings.round_trip(party, load::round_trips(party, plan.period)?);
            let many = || load::many(party, 64, plan.period);
            let (trips, kernel) = load::kernel_share(party, many)?;
            findings.many(party, trips, kernel);
            findings.connections(party, load::connections(party, 8, plan.period / 2)?);
        }
        eprintln_progress(round + 1, plan.rounds);
    }
    for party in parties.proxies().iter().filter(|party| !party.is_for_large_frames_only()) {
        findings.memory(party, load::idle(party, plan.sessions)?);
    }
    let section = findings.section(plan.sessions, load);
    println!("{}", serde_json::to_string_pretty(&section)?);
    if plan.writes {
        section.write()?;
    }
    Ok(())
}

#[allow(clippy::print_stderr, reason = "a benchmark of minutes says how far it is")]
fn eprintln_progress(done: usize, rounds: usize) {
    eprintln!("round {done} of {rounds}");
}
