//! What a fleet costs its gateways and its Redis, against its size: fake workers and clients, a
//! real gateway, a real Redis.
//!
//!     cargo bench -p flotilla --bench fleet [-- --quick] [-- --sizes 10,1000]
//!
//! It prints a line of JSON for each size in every round; `--quick` is one short round.

mod announced;
mod clients;
mod clock;
mod part;
mod round;
mod stage;
mod workers;

use std::io::Write as _;
use std::time::Duration;

use anyhow::bail;
use flotilla_testkit::meter;

use round::Round;

const FLEETS: [usize; 4] = [10, 100, 1_000, 10_000];

/// How long and how often to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    rounds: usize,
    idle: Duration,
    connects: usize,
    turns: usize,
    starts: Duration,
}

const FULL: Plan = Plan {
    rounds: 5,
    idle: Duration::from_secs(10),
    connects: 500,
    turns: 500,
    starts: Duration::from_secs(2),
};
const QUICK: Plan = Plan {
    rounds: 1,
    idle: Duration::from_secs(5),
    connects: 100,
    turns: 100,
    starts: Duration::from_millis(500),
};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, part, ..] = &args[..]
        && flag == part::FLAG
    {
        return play(part);
    }
    meter::allow_many_files()?;
    let plan = if args.iter().any(|arg| arg == "--quick") { QUICK } else { FULL };
    let sizes = match args.iter().position(|arg| arg == "--sizes").and_then(|at| args.get(at + 1)) {
        Some(sizes) => sizes.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?,
        None => FLEETS.to_vec(),
    };
    for _ in 0..plan.rounds {
        for workers in &sizes {
            let round = round::run(*workers, &plan)?;
            say(&round)?;
        }
    }
    Ok(())
}

fn play(part: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match part {
        "workers" => runtime.block_on(workers::play()),
        "clients" => runtime.block_on(clients::play()),
        _ => bail!("there is no such part: {part}"),
    }
}

fn say(round: &Round) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(round)?)?)
}
