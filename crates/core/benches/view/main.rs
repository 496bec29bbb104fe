//! What a fleet costs a gateway, simulated: its view, its line and 100,000 sessions in one thread,
//! without a socket, at 10 to 10,000 workers.
//!
//!     cargo bench -p flotilla-core --bench view [-- --quick]

mod memory;
mod simulation;
mod steps;

use std::io::Write as _;
use std::process::Command;

use flotilla_testkit::report::{
    Aim, Curve, Line, Machine, Row, Section, median, number, version_of,
};
use serde::{Deserialize, Serialize};

const FLEETS: [usize; 4] = [10, 100, 1_000, 10_000];
/// The process of one round over one fleet: memory is measured best where there was none before.
const ONE: &str = "--one";

/// What one round over one fleet came to: nanoseconds and bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Round {
    start: f64,
    start_p99: f64,
    end: f64,
    verify: f64,
    heard: f64,
    heard_p99: f64,
    change: f64,
    tick: f64,
    worker_bytes: f64,
}

/// A figure of a round.
type Figure = fn(&Round) -> f64;

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == ONE) {
        let workers = args[at + 1].parse().expect("a number of workers");
        let round = steps::round(workers);
        return writeln!(std::io::stdout(), "{}", serde_json::to_string(&round)?);
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let rounds = if quick { 1 } else { 9 };
    let mut all: Vec<Vec<Round>> = FLEETS.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (workers, rounds) in FLEETS.iter().zip(&mut all) {
            rounds.push(round(*workers)?);
        }
    }
    let section = section(&Sizes(all));
    for row in &section.rows {
        writeln!(
            std::io::stdout(),
            "{}: {:.3} {} ({})",
            row.what,
            row.measured,
            row.unit,
            row.figures
        )?;
    }
    if quick { Ok(()) } else { section.write() }
}

fn round(workers: usize) -> std::io::Result<Round> {
    let output =
        Command::new(std::env::current_exe()?).args([ONE, &workers.to_string()]).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The rounds over each size.
struct Sizes(Vec<Vec<Round>>);

impl Sizes {
    /// The medians of a figure, by size.
    fn medians(&self, figure: Figure) -> Vec<f64> {
        let one = |rounds: &Vec<Round>| median(&rounds.iter().map(figure).collect::<Vec<_>>());
        self.0.iter().map(one).collect()
    }

    fn row(&self, what: &str, figure: Figure, unit: &str, aim: Option<Aim>) -> Row {
        let all = self.medians(figure);
        let one = |(workers, value)| format!("{workers}: {}", number(value));
        let figures: Vec<_> = FLEETS.iter().zip(all.iter().copied()).map(one).collect();
        Row {
            what: what.to_owned(),
            figures: figures.join(", "),
            measured: all[all.len() - 1],
            unit: unit.to_owned(),
            aim,
        }
    }

    fn curve(&self, title: &str, unit: &str, lines: &[(&str, Figure)]) -> Curve {
        let line = |(label, figure): &(&str, Figure)| {
            let values = self.medians(*figure);
            Line::new(*label, FLEETS.iter().map(|workers| *workers as f64).zip(values))
        };
        Curve {
            title: title.to_owned(),
            unit: unit.to_owned(),
            across: "workers".to_owned(),
            lines: lines.iter().map(line).collect(),
        }
    }
}

fn section(sizes: &Sizes) -> Section {
    let at_most = |limit| Some(Aim::AtMost(limit));
    let heartbeat: Figure = |round| (round.verify + round.heard) / 1000.0;
    Section {
        id: "view".to_owned(),
        title: "A gateway's decisions, simulated".to_owned(),
        intro: INTRO.to_owned(),
        machine: Machine::here(&[("rustc", version_of("rustc", "--version").unwrap_or_default())]),
        rows: vec![
            sizes.row("a session's start", |r| r.start / 1000.0, "µs", None),
            sizes.row("the same, p99", |r| r.start_p99 / 1000.0, "µs", at_most(20.0)),
            sizes.row("a session's end", |r| r.end / 1000.0, "µs", None),
            sizes.row("a heartbeat", heartbeat, "µs", at_most(25.0)),
            sizes.row("of it, signature and JSON", |r| r.verify / 1000.0, "µs", None),
            sizes.row("of it, the view, p99", |r| r.heard_p99 / 1000.0, "µs", None),
            sizes.row(
                "a change while 10,000 wait in vain",
                |r| r.change / 1000.0,
                "µs",
                at_most(1.0),
            ),
            sizes.row("looking for silent workers", |r| r.tick / 1000.0, "µs", None),
            sizes.row("memory of a worker in the view", |r| r.worker_bytes, "bytes", None),
        ],
        notes: NOTES.map(str::to_owned).to_vec(),
        charts: Vec::new(),
        curves: vec![
            sizes.curve(
                "a session",
                "µs",
                &[("start", |r| r.start / 1000.0), ("end", |r| r.end / 1000.0)],
            ),
            sizes.curve(
                "a heartbeat",
                "µs",
                &[("signature", |r| r.verify / 1000.0), ("view", |r| r.heard / 1000.0)],
            ),
            sizes.curve("a change while 10,000 wait", "µs", &[("change", |r| r.change / 1000.0)]),
            sizes.curve("memory of a worker", "bytes", &[("worker", |r| r.worker_bytes)]),
        ],
    }
}

const INTRO: &str = "\
The production code of `core` that a gateway decides with (the view of the fleet, the order of
choice, the line), driven in one thread **without sockets, processes or Redis**: a simulation of the
work, not of a network. Every worker has 10 slots and serves one browser for two Playwright
versions; at 10,000 workers 100,000 sessions are held while others end and start. A process of its
own for each round and size; medians of the rounds. `cargo bench -p flotilla-core --bench view`
measures it again. The column *measured* is for 10,000 workers.";

const NOTES: [&str; 3] = [
    "A start is: may it try, the choice, the worker's answer taken in, the claim settled, and the \
     same told once more by the registry. An end is what the registry tells of it. A heartbeat is \
     an advert in which nothing is new but its number and its time: its signature is verified, its \
     JSON read, and the view told.",
    "A change is what the line does when anything about any worker has changed and nobody can be \
     called.",
    "Memory is what the process holds more when it is there (RSS), so it includes what the \
     allocator keeps.",
];
