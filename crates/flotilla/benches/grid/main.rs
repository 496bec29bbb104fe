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
mod direct;
mod evaluate;
mod figures;
mod freed;
mod pages;
mod ready;
mod replacement;
mod roles;
mod sessions;
mod setup;
mod starts;
mod table;

use std::io::Write as _;

use anyhow::Context as _;
use flotilla_testkit::report::{Machine, Section, version_of};

use setup::Setup;
use table::Found;

/// A series of measurements that belong together.
type Series = fn(&Setup) -> anyhow::Result<Found>;

const ALL: [(&str, Series); 7] = [
    ("sessions", sessions::measure),
    ("pages", pages::measure),
    ("direct", direct::measure),
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
    let mut found = Found::default();
    for (name, series) in ALL {
        if only.is_some_and(|only| !only.split(',').any(|one| one == name)) {
            continue;
        }
        let Found { rows, charts } = series(&setup).with_context(|| format!("measuring {name}"))?;
        for row in &rows {
            writeln!(std::io::stdout(), "{}", table::line(row))?;
        }
        found.rows.extend(rows);
        found.charts.extend(charts);
    }
    if !setup.quick && only.is_none() {
        section(found).write()?;
    }
    Ok(())
}

fn section(found: Found) -> Section {
    let version = |name| version_of(name, "--version").unwrap_or_else(|| "unknown".to_owned());
    let versions = [
        ("Playwright", setup::PLAYWRIGHT.to_owned()),
        ("Node", version("node")),
        ("HAProxy", version_of("haproxy", "-v").unwrap_or_default()),
        ("rustc", version("rustc")),
    ];
    Section {
        id: "grid".to_owned(),
        title: "The grid".to_owned(),
        intro: INTRO.to_owned(),
        machine: Machine::here(&versions),
        rows: found.rows,
        notes: NOTES.map(str::to_owned).to_vec(),
        charts: found.charts,
        curves: Vec::new(),
    }
}

const INTRO: &str = "\
Real Playwright clients against a real grid, and against what it stands in for, in turns: a few
sessions here, a few there, round after round. Every figure is the median of the rounds, and so
is every difference and ratio. Each side has a Node client of its own. `cargo bench -p flotilla
--bench grid` measures it again.";

const NOTES: [&str; 6] = [
    "CPU is that of everything but the client: the grid's process, driver and browser against \
     Node and browser, children that have ended included. A session is connect, new context, new \
     page, goto, evaluate, close.",
    "What one `evaluate` costs differs from browser process to browser process, and so do two bare \
     servers of the same kind: how much, and what HAProxy costs in the grid's place, was measured \
     in the same turns. A difference that is no larger than those says nothing about the grid; the \
     relay's own figures above say what a message costs.",
    "A first page is timed from calling `connect()` (or `launch()`) to the end of \
     `page.goto('data:…')`. A warm browser stood ready, and nothing was being started.",
    "A fleet is a gateway, a worker and Redis, all on this machine. A relayed session passes both; a \
     direct one passes the worker, and its connect is two: one to the gateway, one to the worker.",
    "A slot counts as missing when the grid shows fewer than it promised, or when no browser was \
     up to take a session, in any of 100 samples a second.",
    "Session starts: 32 clients beside each other open a session, close it as Playwright does and \
     open the next. The gateway counts and logs each as it does in use; its workers only dial. \
     HAProxy logs nothing. Both have both cores, and share them with the clients and the server, \
     which is why the ratio of the processor time is shown too.",
];

fn value_of<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == name)?;
    args.get(at + 1).map(String::as_str)
}
