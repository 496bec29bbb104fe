//! The fleet in a simulation: the production's own decisions, on a simulated network and clock.

mod check;
mod client;
mod errand;
mod fault;
mod gateway;
mod history;
mod msg;
mod net;
mod redis;
mod rng;
mod run;
mod setup;
mod worker;
mod world;

use run::Run;
use setup::{Setup, Weather};

#[test]
fn a_calm_day() {
    sweep(Weather::Calm);
}

#[test]
fn a_rough_day() {
    sweep(Weather::Random);
}

fn sweep(weather: Weather) {
    let seeds = std::env::var("FLOTILLA_SIM_SEEDS").map_or(50, |n| n.parse().unwrap());
    let one = std::env::var("FLOTILLA_SIM_SEED").ok().map(|n| n.parse().unwrap());
    let range = one.map_or(0..seeds, |seed| seed..seed + 1);
    let mut rules = std::collections::BTreeMap::<_, Vec<_>>::new();
    for seed in range {
        let outcome = Run::new(Setup::of(seed, weather), one.is_some()).go();
        let violations = check::violations(&outcome);
        for v in &violations {
            rules.entry(v.rule).or_default().push(seed);
            if one.is_some() {
                println!("{v:?}");
            }
        }
    }
    for (rule, mut seeds) in rules {
        let n = seeds.len();
        seeds.dedup();
        println!(
            "{weather:?} {rule}: {n} in {} seeds {:?}",
            seeds.len(),
            &seeds[..seeds.len().min(12)]
        );
    }
}
