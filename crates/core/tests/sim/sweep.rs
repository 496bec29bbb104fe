//! Many seeds over a few threads, and what came of them together.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::check::{self, Violation};
use crate::coverage::Coverage;
use crate::run::{Outcome, Run};
use crate::setup::{Setup, Weather};

/// A seed that broke a rule.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<Violation>,
    /// What happened around the first.
    around: String,
}

/// Runs one seed, and checks it.
pub(crate) fn run(seed: u64, weather: Weather, trace: bool) -> (Outcome, Vec<Violation>) {
    let outcome = Run::new(Setup::of(seed, weather), trace).go();
    let violations = check::violations(&outcome);
    (outcome, violations)
}

/// Runs these seeds on every processor there is.
pub(crate) fn sweep(seeds: Range<u64>, weather: Weather) -> (Coverage, Vec<Failure>) {
    let next = AtomicU64::new(seeds.start);
    let all = Mutex::new((Coverage::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut coverage, mut failures) = (Coverage::default(), Vec::new());
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let (outcome, violations) = run(seed, weather, false);
                    coverage.add(&outcome);
                    failures.extend(Failure::of(seed, &outcome, violations));
                }
                let mut all = all.lock().unwrap();
                all.0.merge(&coverage);
                all.1.extend(failures);
            });
        }
    });
    let (coverage, mut failures) = all.into_inner().unwrap();
    failures.sort_by_key(|failure: &Failure| failure.seed);
    (coverage, failures)
}

/// Fails with the first of them, and how to see it again.
pub(crate) fn assert_none(failures: &[Failure]) {
    let Some(first) = failures.first() else { return };
    let others: Vec<_> = failures.iter().take(20).map(|failure| failure.seed).collect();
    let broken: Vec<_> = first.violations.iter().take(8).map(|v| format!("  {v}\n")).collect();
    panic!(
        "{} seeds broke a rule, such as {others:?}. Seed {} broke:\n{}around the first:\n{}\
         See all of it: FLOTILLA_SIM_SEED={} cargo test -p flotilla-core --test sim -- --nocapture",
        failures.len(),
        first.seed,
        broken.concat(),
        first.around,
        first.seed,
    );
}

impl Failure {
    fn of(seed: u64, outcome: &Outcome, violations: Vec<Violation>) -> Option<Self> {
        let first = violations.first()?;
        let around = outcome.history.around(first.at, 20, 3);
        Some(Self { seed, violations, around })
    }
}
