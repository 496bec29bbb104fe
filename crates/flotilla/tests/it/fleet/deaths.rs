//! `kill -9` of a worker and of a gateway.

use std::time::{Duration, Instant, SystemTime};

use flotilla_testkit::program::Program;
use flotilla_testkit::raw::{Socket, Waiting};
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::wait_equal;

use super::clients::{Pending, closes, opens, works};
use super::{fleet, measured};
use crate::{NEWEST, SOON};

/// What the table of faults allows.
const ONE_SECOND: Duration = Duration::from_secs(1);

/// Nothing waits here. Whoever waited would wait for a TTL, which is a minute.
const AT_ONCE: Duration = Duration::from_secs(3);

#[test]
fn a_killed_worker_costs_its_own_sessions_which_are_told_why_and_nothing_else() {
    let redis = Redis::start();
    let fleet = fleet(&redis.url());
    let named = |id| fleet.worker().env("FLOTILLA_WORKER_ID", id).start();
    let (victim, survivor) = (named("victim"), named("survivor"));
    let gateway = fleet.gateway().start();
    gateway.wait_workers(2, SOON);
    let node = Program::node(NEWEST, gateway.endpoint());
    opens(&node, "a");
    let on = gateway.only_session().worker;
    opens(&node, "b");
    let (lost, kept) = if on == "victim" { ("a", "b") } else { ("b", "a") };
    wait_equal("a session on each", SOON, &(1, 1), || {
        (victim.status().slots.used, survivor.status().slots.used)
    });

    let call = Pending::start(&node, lost);
    let all = victim.processes();
    let killed = SystemTime::now();
    let mut victim = victim;
    victim.kill9();
    // Those that come at this moment: the gateway's view still has the dead worker in it.
    let began = Instant::now();
    let next: Vec<_> = (0..3).map(|_| gateway.open("/", &[]).expect("elsewhere")).collect();
    let elsewhere = began.elapsed();
    let (after, words) = call.told(killed);
    assert!(words.contains("the worker of this session was lost"), "{words}");
    assert!(after < ONE_SECOND, "told after {after:?}");
    assert!(elsewhere < AT_ONCE, "three sessions elsewhere took {elsewhere:?}");
    works(&node, kept);
    assert!(gateway.status().sessions.iter().all(|session| session.worker == "survivor"));
    victim.check_nothing_left(&all);
    let lost = gateway.metric("flotilla_sessions_ended_total", &["cause=\"worker_lost\""]);
    assert_eq!(lost, Some(1.0));

    let successor = named("victim");
    let began = Instant::now();
    gateway.wait_workers(2, AT_ONCE);
    measured(format_args!(
        "told why after {after:?}; three sessions elsewhere in {elsewhere:?}; its successor of the \
         same name is there after {:?}",
        began.elapsed()
    ));
    next.into_iter().for_each(Socket::close);
    survivor.wait_used(1, SOON);
    let session = gateway.open("/", &[]).unwrap();
    successor.wait_used(1, SOON);
    session.close();
    closes(&node, kept);
    gateway.stop_and_check();
    successor.stop_and_check();
    survivor.stop_and_check();
}

#[test]
fn a_killed_gateway_costs_its_own_sessions_and_their_slots_are_free_within_a_second() {
    let redis = Redis::start();
    let fleet = fleet(&redis.url()).env("MAX_CONCURRENT_SESSIONS", 3);
    let worker = fleet.worker().start();
    let [mut victim, survivor] = [(); 2].map(|()| fleet.gateway().start());
    for gateway in [&victim, &survivor] {
        gateway.wait_workers(1, SOON);
    }
    let theirs = Program::node(NEWEST, victim.endpoint());
    let ours = Program::node(NEWEST, survivor.endpoint());
    opens(&theirs, "a");
    opens(&ours, "a");
    let _vanishes = victim.open("/", &[]).unwrap();
    worker.wait_used(3, SOON);
    let waits = Waiting::send(survivor.address(), "/", &[]);
    survivor.wait_queued(1, SOON);
    let call = Pending::start(&theirs, "a");

    let killed = SystemTime::now();
    let began = Instant::now();
    victim.kill9();
    // The one that waits elsewhere gets one of the two slots.
    wait_equal("used slots", SOON, &2, || worker.status().slots.used);
    let freed = began.elapsed();
    let admitted = waits.answer().expect("a slot is free");
    let (after, words) = call.told(killed);
    assert!(freed < ONE_SECOND, "the slots were free after {freed:?}");
    assert!(after < ONE_SECOND, "told after {after:?}: {words}");
    measured(format_args!("the slots are free after {freed:?}; the clients know after {after:?}"));
    works(&ours, "a");
    admitted.close();
    closes(&ours, "a");
    survivor.stop_and_check();
    worker.stop_and_check();
}
