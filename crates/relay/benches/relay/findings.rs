//! What was found, as the page's section.

use std::collections::BTreeMap;

use flotilla_testkit::report::{
    Aim, Bar, Chart, Machine, Row, Section, median, number, version_of,
};

use crate::load::{Idle, Trips};
use crate::parties::Party;

/// Every figure of every round, by kind and party.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    figures: BTreeMap<(&'static str, &'static str), Vec<f64>>,
    sessions: usize,
}

const OURS: [&str; 2] = ["relay, unix", "relay, tcp"];
const HAPROXY: [&str; 2] = ["haproxy, unix", "haproxy, tcp"];
const NGINX: [&str; 2] = ["nginx, unix", "nginx, tcp"];
const ALONE: [&str; 2] = ["relay on one thread, unix", "relay on one thread, tcp"];
const COPYING: [&str; 2] = ["relay that copies, unix", "relay that copies, tcp"];
const WAYS: [&str; 2] = ["upstream on a UNIX socket", "upstream on TCP"];

const READING: &str = "Ratios are medians over the rounds of ours to HAProxy's in the same round; figures are \
    medians. Latency is what is added to a direct connection to the echo server.";
const SETUP: &str = "The relay runs as in the product, on a tokio runtime with two workers; \"one thread\" is the same \
    relay on a runtime of one thread. HAProxy (HTTP mode, tunnel after the upgrade) and nginx run with their defaults \
    and as many threads or workers as there are processors. Processor time is that of the proxy's process alone.";
// === impl Findings ===

impl Findings {
    pub(crate) fn round_trip(&mut self, party: &Party, trips: Trips) {
        self.add("one p50", party, trips.p50);
        self.add("one p99", party, trips.p99);
        self.add("one cpu", party, trips.cpu);
    }

    pub(crate) fn many(&mut self, party: &Party, trips: Trips, kernel: f64) {
        self.add("many kernel", party, kernel);
        self.add("many p50", party, trips.p50);
        self.add("many p99", party, trips.p99);
        self.add("many cpu", party, trips.cpu);
    }

    pub(crate) fn large(&mut self, party: &Party, megabytes: f64) {
        self.add("large", party, megabytes);
    }

    pub(crate) fn connections(&mut self, party: &Party, each_second: f64) {
        self.add("connections", party, each_second);
    }

    pub(crate) fn memory(&mut self, party: &Party, idle: Idle) {
        self.sessions = idle.sessions;
        self.add("memory", party, idle.bytes / 1024.0);
    }

    fn add(&mut self, kind: &'static str, party: &Party, value: f64) {
        self.figures.entry((kind, party.name)).or_default().push(value);
    }

    fn all(&self, kind: &'static str, name: &'static str) -> &[f64] {
        self.figures.get(&(kind, name)).map_or(&[], Vec::as_slice)
    }

    fn middle(&self, kind: &'static str, name: &'static str) -> f64 {
        median(self.all(kind, name))
    }

    /// The median of the rounds' ratios: what disturbs a round disturbs both sides of it.
    fn ratio(&self, kind: &'static str, ours: &'static str, theirs: &'static str) -> f64 {
        let pairs = self.all(kind, ours).iter().zip(self.all(kind, theirs));
        median(&pairs.map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    }

    /// The same for what is added to a direct connection.
    fn added_ratio(&self, kind: &'static str, ours: &'static str, theirs: &'static str) -> f64 {
        let direct = self.all(kind, "direct");
        let rounds = self.all(kind, ours).iter().zip(self.all(kind, theirs)).zip(direct);
        median(&rounds.map(|((ours, theirs), d)| (ours - d) / (theirs - d)).collect::<Vec<_>>())
    }

    pub(crate) fn section(&self, wanted: usize, load: f64) -> Section {
        let mut rows = Vec::new();
        for way in 0..2 {
            rows.extend(self.latency_rows(way));
            rows.extend(self.cost_rows(way));
        }
        let notes = self.notes(&rows, wanted, load);
        Section {
            id: "relay".into(),
            title: "Relay".into(),
            intro: "A client, a proxy, an echo server, each a process of its own. Small messages are 1 KiB, \
                one at a time on each connection; large frames are 1 MiB."
                .into(),
            machine: machine(),
            rows,
            notes,
            charts: self.charts(),
            curves: Vec::new(),
        }
    }

    fn notes(&self, rows: &[Row], wanted: usize, load: f64) -> Vec<String> {
        let mut notes = vec![READING.to_owned(), SETUP.to_owned()];
        if rows.iter().any(|row| !row.is_met()) {
            notes.push(self.why_missed());
        }
        if load > 1.0 {
            notes.push(format!(
                "**The machine was not idle**: the load average was {} when this began. Latencies say little then.",
                number(load)
            ));
        }
        if self.sessions < wanted {
            let fit = self.sessions;
            notes.push(format!("Only {fit} idle sessions fit the limit of open files here."));
        }
        notes
    }

    fn why_missed(&self) -> String {
        let [ours, theirs] = [OURS[0], HAPROXY[0]].map(|name| self.middle("many kernel", name));
        format!(
            "What an aim for small messages is up against: the kernel takes {ours:.0} % of the relay's processor time \
             for them and {theirs:.0} % of HAProxy's, and both make one recv and one send for a message (counted with \
             perf), so only the rest can be saved. Fewer calls would take io_uring, which has no safe interface yet."
        )
    }

    fn latency_rows(&self, way: usize) -> Vec<Row> {
        let kinds = [
            ("one p50", "1 connection, latency added, p50"),
            ("one p99", "1 connection, latency added, p99"),
            ("many p50", "64 connections, round trip, p50"),
            ("many p99", "64 connections, round trip, p99"),
        ];
        let row = |(kind, what): (&'static str, &str)| {
            let added = kind.starts_with("one");
            let measured = if added {
                self.added_ratio(kind, OURS[way], HAPROXY[way])
            } else {
                self.ratio(kind, OURS[way], HAPROXY[way])
            };
            Row {
                what: format!("{what}, {}", WAYS[way]),
                figures: self.in_words(kind, way, "µs"),
                measured,
                unit: String::new(),
                aim: Some(Aim::AtMost(0.9)),
            }
        };
        kinds.into_iter().map(row).collect()
    }

    fn cost_rows(&self, way: usize) -> Vec<Row> {
        let row = |kind, what: &str, unit, aim| Row {
            what: format!("{what}, {}", WAYS[way]),
            figures: self.in_words(kind, way, unit),
            measured: self.ratio(kind, OURS[way], HAPROXY[way]),
            unit: String::new(),
            aim: Some(aim),
        };
        vec![
            row("many cpu", "64 connections, CPU for a message", "µs", Aim::AtMost(0.75)),
            row(
                "large",
                "4 connections, large frames, MB for a CPU second",
                "MB",
                Aim::AtLeast(1.5),
            ),
            Row {
                what: format!("the same, spliced against copied, {}", WAYS[way]),
                figures: self.in_words("large", way, "MB"),
                measured: self.ratio("large", OURS[way], COPYING[way]),
                unit: String::new(),
                aim: Some(Aim::AtLeast(1.0)),
            },
            row("connections", "sessions started in a second", "", Aim::AtLeast(0.5)),
            Row {
                what: format!("memory of an idle session, {} open, {}", self.sessions, WAYS[way]),
                figures: self.in_words("memory", way, "KiB"),
                measured: self.middle("memory", OURS[way]),
                unit: "KiB".into(),
                aim: Some(Aim::AtMost(16.0)),
            },
        ]
    }

    fn in_words(&self, kind: &'static str, way: usize, unit: &str) -> String {
        let mut names = vec![
            ("ours", OURS[way]),
            ("one thread", ALONE[way]),
            ("HAProxy", HAPROXY[way]),
            ("nginx", NGINX[way]),
        ];
        if kind == "large" {
            names.push(("ours copying", COPYING[way]));
        }
        if !["many cpu", "large", "memory"].contains(&kind) {
            names.insert(0, ("direct", "direct"));
        }
        let words = names.into_iter().map(|(word, name)| {
            let text = format!("{word} {} {unit}", number(self.middle(kind, name)));
            text.trim_end().to_owned()
        });
        words.collect::<Vec<_>>().join(", ")
    }

    fn charts(&self) -> Vec<Chart> {
        let kinds = [
            ("one p50", "Round trip of 1 KiB, one connection, p50 (less is better)", "µs"),
            ("many cpu", "CPU for a 1 KiB message, 64 connections (less is better)", "µs"),
            ("large", "1 MiB frames for a CPU second (more is better)", "MB"),
            ("memory", "Memory of an idle session (less is better)", "KiB"),
        ];
        let bars = |kind| {
            let names = [("relay", OURS[0]), ("HAProxy", HAPROXY[0]), ("nginx", NGINX[0])];
            let bars = names.into_iter().map(|(label, name)| {
                let value = self.middle(kind, name);
                if label == "relay" { Bar::ours(label, value) } else { Bar::new(label, value) }
            });
            bars.collect()
        };
        kinds
            .into_iter()
            .map(|(kind, title, unit)| Chart {
                title: title.into(),
                unit: unit.into(),
                bars: bars(kind),
            })
            .collect()
    }
}

fn machine() -> Machine {
    let version = |program, flag| version_of(program, flag).unwrap_or_else(|| "unknown".into());
    Machine::here(&[
        ("HAProxy", version("haproxy", "-v")),
        ("nginx", version("nginx", "-v")),
        ("rustc", version("rustc", "-V")),
    ])
}
