//! What it costs to choose among 100, 1,000 and 10,000 workers while they change.
//!
//!     cargo bench -p flotilla-core --bench choice [-- --quick]

use std::collections::HashMap;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use flotilla_core::fleet::{Advert, Fleet};
use flotilla_core::{BrowserKind, PlaywrightVersion, WorkerId};

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

/// Nanoseconds, sorted.
struct Samples(Vec<u32>);

/// What one round over one fleet came to.
struct Round {
    choice: Samples,
    update: Samples,
}

fn main() -> std::io::Result<()> {
    let rounds = if std::env::args().any(|arg| arg == "--quick") { 3 } else { 15 };
    let clock = clock();
    let mut all: Vec<Vec<Round>> = FLEETS.iter().map(|_| Vec::new()).collect();
    let mut works: Vec<Work> = FLEETS.iter().map(|workers| Work::new(*workers)).collect();
    for _ in 0..rounds {
        for (work, rounds) in works.iter_mut().zip(&mut all) {
            rounds.push(work.round(clock));
        }
    }
    let mut out = std::io::stdout();
    for (workers, rounds) in FLEETS.iter().zip(&all) {
        let of = |figure: fn(&Round) -> u32| median(rounds.iter().map(figure).collect());
        writeln!(
            out,
            "{workers} workers: choice p50 {} p99 {} ns, update p50 {} p99 {} ns (clock {clock} ns, taken off)",
            of(|round| round.choice.p50()),
            of(|round| round.choice.p99()),
            of(|round| round.update.p50()),
            of(|round| round.update.p99()),
        )?;
    }
    Ok(())
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
            draining: false,
            serves: VERSIONS.map(|version| (BrowserKind::Chromium, version)).to_vec(),
        }
    }

    /// Steps of a choice and an update, timed one by one.
    fn round(&mut self, clock: u32) -> Round {
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
        Round { choice: Samples::new(choices), update: Samples::new(updates) }
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

impl Samples {
    fn new(mut nanoseconds: Vec<u32>) -> Self {
        nanoseconds.sort_unstable();
        Self(nanoseconds)
    }

    /// The mean without the slowest hundredth: finer than the clock's steps, and without the
    /// moments when another process ran.
    fn mean(&self) -> f64 {
        let usual = &self.0[..self.0.len() * 99 / 100];
        usual.iter().map(|took| f64::from(*took)).sum::<f64>() / usual.len() as f64
    }

    fn p99(&self) -> u32 {
        self.0[self.0.len() * 99 / 100]
    }
}

/// What it costs to look at the clock.
fn clock() -> u32 {
    median((0..STEPS).map(|_| nanoseconds(Instant::now(), 0)).collect())
}

fn nanoseconds(since: Instant, clock: u32) -> u32 {
    let took = u32::try_from(since.elapsed().as_nanos()).unwrap_or(u32::MAX);
    took.saturating_sub(clock)
}

fn median(mut values: Vec<u32>) -> u32 {
    values.sort_unstable();
    values[values.len() / 2]
}
