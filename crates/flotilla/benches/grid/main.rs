//! What the grid costs, beside what it stands in for: a bare `launchServer`, `launch()`, and HAProxy
//! before a server. Side by side in one run, in turns, so that whatever else the machine does
//! hits both.
//!
//!     cargo bench -p flotilla --bench grid [-- --quick] [-- --only sessions,pages,…]
//!
//! `--quick` is a few rounds that write nothing. It needs the test bed (scripts/setup-tests.sh).

mod bare;
mod client;
mod cpu;
mod figures;
mod freed;
mod outcome;
mod pages;
mod ready;
mod replacement;
mod roles;
mod sessions;
mod setup;
mod starts;

use anyhow::Context as _;

use outcome::{Outcome, say};
use setup::Setup;

/// A series of measurements that belong together.
type Series = fn(&Setup) -> anyhow::Result<Vec<Outcome>>;

const ALL: [(&str, Series); 6] = [
    ("sessions", sessions::measure),
    ("pages", pages::measure),
    ("freed", freed::measure),
    ("replacement", replacement::measure),
    ("ready", ready::measure),
    ("starts", starts::measure),
];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == roles::FLAG) {
        return starts::play(&args[1..]);
    }
    let only = value_of(&args, "--only");
    let setup = Setup::new(args.iter().any(|arg| arg == "--quick"))?;
    let mut outcomes = Vec::new();
    for (name, series) in ALL {
        if only.is_some_and(|only| !only.split(',').any(|one| one == name)) {
            continue;
        }
        let measured = series(&setup).with_context(|| format!("measuring {name}"))?;
        measured.iter().for_each(say);
        outcomes.extend(measured);
    }
    Ok(())
}

fn value_of<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == name)?;
    args.get(at + 1).map(String::as_str)
}
