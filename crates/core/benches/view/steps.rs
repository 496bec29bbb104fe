//! What is timed.

use std::hint::black_box;
use std::time::Instant;

use flotilla_core::advert::Advert;
use flotilla_testkit::report::Samples;

use crate::Round;
use crate::memory::resident;
use crate::simulation::{SERVED, SLOTS, Simulation};

const STEPS: usize = 20_000;
const WAITERS: u32 = 10_000;
/// Changes while nobody can be called; each may have to look at everybody who waits.
const CHANGES: usize = 200;
const TICKS: usize = 50;

/// One round over a fleet of that size, in a process that did nothing before.
pub(crate) fn round(workers: usize) -> Round {
    let clock = (0..STEPS).map(|_| timed(|| ()).1).collect::<Samples>().p50();
    let mut fleet = Simulation::new(workers);
    let before = resident();
    fleet.meet();
    let worker_bytes = (resident() - before) / workers as f64;
    // All slots but one of ten workers are taken, or of one.
    let sessions = workers * SLOTS - workers.div_ceil(10);
    while fleet.sessions.len() < sessions {
        start(&mut fleet);
    }
    let (starts, ends) = sessions_at_work(&mut fleet);
    let (verify, heard) = heartbeats(&mut fleet);
    let tick: Samples = (0..TICKS).map(|_| tick(&mut fleet)).collect();
    let change = changes_in_vain(&mut fleet);
    Round {
        start: starts.usual() - clock,
        start_p99: starts.p99() - clock,
        end: ends.usual() - clock,
        verify: verify.usual() - clock,
        heard: heard.usual() - clock,
        heard_p99: heard.p99() - clock,
        change: change.p50() - clock,
        tick: tick.p50() - clock,
        worker_bytes,
    }
}

/// What a gateway does for a session that starts, in nanoseconds.
fn start(fleet: &mut Simulation) -> f64 {
    let began = Instant::now();
    let free = fleet.view.fleet().free(SERVED.0, SERVED.1);
    let at_once = fleet.turns.enter("everybody", &mut None, SERVED, free, 0);
    assert!(matches!(at_once, Ok(Some(_))), "there is a free slot");
    let worker = fleet.view.fleet_mut().claim(SERVED).expect("there is a free slot");
    let chosen = nanoseconds(began);
    let place = fleet.place(&worker);
    fleet.change(place, true);
    let (answer, told) = (fleet.say(place), fleet.say(place));
    let now = fleet.now();
    let began = Instant::now();
    fleet.view.answered(answer, now);
    fleet.view.fleet_mut().settle(&worker);
    fleet.turns.answered(SERVED);
    fleet.view.heard(told, now);
    let taken_in = nanoseconds(began);
    fleet.sessions.push(place);
    chosen + taken_in
}

/// The same for one that ends.
fn end(fleet: &mut Simulation) -> f64 {
    let place = fleet.any_session();
    fleet.change(place, false);
    let told = fleet.say(place);
    let now = fleet.now();
    timed(|| fleet.view.heard(told, now)).1
}

fn sessions_at_work(fleet: &mut Simulation) -> (Samples, Samples) {
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..STEPS {
        ends.push(end(fleet));
        starts.push(start(fleet));
    }
    (starts.into_iter().collect(), ends.into_iter().collect())
}

fn heartbeats(fleet: &mut Simulation) -> (Samples, Samples) {
    let (mut verify, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..STEPS {
        let place = fleet.any_worker();
        let sealed = fleet.say(place).seal(&fleet.keyring);
        let now = fleet.now();
        let (advert, took) = timed(|| Advert::open(&fleet.keyring, black_box(&sealed)));
        verify.push(took);
        let advert = advert.expect("it is signed");
        heard.push(timed(|| fleet.view.heard(advert, now)).1);
    }
    (verify.into_iter().collect(), heard.into_iter().collect())
}

fn tick(fleet: &mut Simulation) -> f64 {
    let now = fleet.now();
    timed(|| fleet.view.tick(now)).1
}

/// What a change costs while many wait.
fn changes_in_vain(fleet: &mut Simulation) -> Samples {
    while fleet.view.fleet().free(SERVED.0, SERVED.1) > 0 {
        start(fleet);
    }
    for n in 0..WAITERS {
        fleet.turns.enter("everybody", &mut None, SERVED, 0, n).expect("there is room");
    }
    let changes = (0..CHANGES).map(|_| {
        let free = |served: (_, _)| fleet.view.fleet().free(served.0, served.1);
        let (called, took) = timed(|| fleet.turns.call(free));
        assert!(called.is_none(), "there is no free slot");
        took
    });
    changes.collect()
}

fn timed<T>(act: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let acted = black_box(act());
    (acted, nanoseconds(began))
}

fn nanoseconds(since: Instant) -> f64 {
    since.elapsed().as_nanos() as f64
}
