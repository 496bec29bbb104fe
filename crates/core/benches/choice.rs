//! What it costs to choose among 100, 1,000 and 10,000 workers while they change.
//!
//!     cargo bench -p flotilla-core --bench choice [-- --quick]

use std::collections::HashMap;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use flotilla_core::advert::Advert;
use flotilla_core::fleet::Fleet;
use flotilla_core::{BrowserKind, PlaywrightVersion, WorkerId};
use flotilla_testkit::report::{
    Aim, Bar, Chart, Machine, Row, Samples, Section, median, number, version_of,
};

const FLEETS: [usize; 3] = [100, 1_000, 10_000];
const SLOTS: usize = 5;
const STEPS: usize = 20_000;
const VERSIONS: [PlaywrightVersion; 2] =
    [PlaywrightVersion { major: 1, minor: 64 }, PlaywrightVersion { major: 1, minor: 65 }];

/// A fleet at work: sessions come to the chosen worker, and end on any.
struct Work {
    fleet: Fleet,
    adverts: Vec<Advert>,
    places: HashMap<WorkerId, usize>,
    random: u64,
}

/// What one round over one fleet came to, in nanoseconds.
struct Round {
    choice: Samples,
    update: Samples,
}

/// The medians of the rounds over one fleet.
struct Size {
    choice: f64,
    choice_p99: f64,
    update: f64,
    update_p99: f64,
}

fn main() -> std::io::Result<()> {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let rounds = if quick { 3 } else { 25 };
    let clock = clock();
    let mut works: Vec<Work> = FLEETS.iter().map(|workers| Work::new(*workers)).collect();
    let mut all: Vec<Vec<Round>> = FLEETS.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (work, rounds) in works.iter_mut().zip(&mut all) {
            rounds.push(work.round(clock));
        }
    }
    let sizes: Vec<Size> = all.iter().map(|rounds| Size::of(rounds)).collect();
    let section = section(&sizes);
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

fn section(sizes: &[Size]) -> Section {
    let [small, .., large] = sizes else { unreachable!("there are several sizes of fleets") };
    let each = |figure: fn(&Size) -> f64| {
        let one = |(workers, size)| format!("{workers}: {} ns", number(figure(size)));
        FLEETS.iter().zip(sizes).map(one).collect::<Vec<_>>().join(", ")
    };
    let row = |what: &str, figures, measured, unit: &str, aim| Row {
        what: what.to_owned(),
        figures,
        measured,
        unit: unit.to_owned(),
        aim,
    };
    let choice = each(|size| size.choice);
    let (p99, update) = (each(|size| size.choice_p99), each(|size| size.update));
    let at_most = |limit| Some(Aim::AtMost(limit));
    Section {
        id: "choice".to_owned(),
        title: "Choosing a worker".to_owned(),
        intro: INTRO.to_owned(),
        machine: Machine::here(&[("rustc", version_of("rustc", "--version").unwrap_or_default())]),
        rows: vec![
            row(
                "choice among 10,000 workers, p99",
                p99,
                large.choice_p99 / 1000.0,
                "µs",
                at_most(5.0),
            ),
            row(
                "choice among 10,000 beside 100",
                choice,
                large.choice / small.choice,
                "",
                at_most(2.0),
            ),
            row("update among 10,000", update, large.update / 1000.0, "µs", None),
            row(
                "update among 10,000, p99",
                each(|size| size.update_p99),
                large.update_p99 / 1000.0,
                "µs",
                None,
            ),
        ],
        notes: vec![NOTE.to_owned()],
        charts: vec![
            chart("choice", sizes, |size| size.choice),
            chart("update", sizes, |size| size.update),
        ],
        curves: Vec::new(),
    }
}

const INTRO: &str = "\
A gateway's view of the fleet, at work: a choice, then the update of the chosen worker or of one
whose session has ended, 20,000 times for each size in every round, the sizes in turns. Each
worker serves one browser for two Playwright versions. Medians of the rounds.
`cargo bench -p flotilla-core --bench choice` measures it again.";

const NOTE: &str = "\
Every choice and every update is timed by itself, and what it costs to look at the clock is taken \
off. Where no percentile is named, it is the mean without the slowest hundredth: finer than the \
clock's steps, and without the moments when another process ran.";

fn chart(title: &str, sizes: &[Size], figure: fn(&Size) -> f64) -> Chart {
    let bar = |(workers, size)| Bar::ours(format!("{workers} workers"), figure(size));
    Chart {
        title: title.to_owned(),
        unit: "ns".to_owned(),
        bars: FLEETS.iter().zip(sizes).map(bar).collect(),
    }
}

impl Size {
    fn of(rounds: &[Round]) -> Self {
        let median_of =
            |figure: fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
        Self {
            choice: median_of(|round| round.choice.usual()),
            choice_p99: median_of(|round| round.choice.p99()),
            update: median_of(|round| round.update.usual()),
            update_p99: median_of(|round| round.update.p99()),
        }
    }
}

impl Work {
    fn new(workers: usize) -> Self {
        let mut work = Self {
            fleet: Fleet::default(),
            adverts: Vec::new(),
            places: HashMap::new(),
            random: 0x9e37_79b9_7f4a_7c15,
        };
        for place in 0..workers {
            let advert = work.advert(place);
            work.places.insert(advert.id.clone(), place);
            work.fleet.update(advert.clone());
            work.adverts.push(advert);
        }
        work
    }

    fn advert(&mut self, place: usize) -> Advert {
        Advert {
            id: WorkerId::from_random(self.random().to_be_bytes()),
            slots: SLOTS,
            used: place % SLOTS,
            lifetime: self.random() % 1000,
            serves: VERSIONS.map(|version| (BrowserKind::Chromium, version)).to_vec(),
            ..Advert::default()
        }
    }

    /// Steps of a choice and an update, timed one by one.
    fn round(&mut self, clock: f64) -> Round {
        let (mut choices, mut updates) = (Vec::new(), Vec::new());
        for step in 0..STEPS {
            let version = VERSIONS[step % VERSIONS.len()];
            let began = Instant::now();
            let chosen = black_box(&self.fleet).choose(BrowserKind::Chromium, version);
            let took = nanoseconds(began, clock);
            choices.push(took);
            let advert = match (chosen, step % 2) {
                (Some(id), 0) => self.admitted(&id.clone()),
                _ => self.ended(),
            };
            let began = Instant::now();
            self.fleet.update(black_box(advert));
            updates.push(nanoseconds(began, clock));
        }
        Round { choice: choices.into_iter().collect(), update: updates.into_iter().collect() }
    }

    /// The chosen worker has one more session.
    fn admitted(&mut self, id: &WorkerId) -> Advert {
        let advert = &mut self.adverts[self.places[id]];
        advert.used += 1;
        advert.lifetime += 1;
        advert.clone()
    }

    /// Some worker that has sessions has one less.
    fn ended(&mut self) -> Advert {
        loop {
            let at = self.random() as usize % self.adverts.len();
            let advert = &mut self.adverts[at];
            if advert.used > 0 {
                advert.used -= 1;
                return advert.clone();
            }
        }
    }

    /// Xorshift: the same fleet and the same sessions in every run.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// What it costs to look at the clock.
fn clock() -> f64 {
    (0..STEPS).map(|_| nanoseconds(Instant::now(), 0.0)).collect::<Samples>().p50()
}

fn nanoseconds(since: Instant, clock: f64) -> f64 {
    (since.elapsed().as_nanos() as f64 - clock).max(0.0)
}
