//! Redis is wiped, killed, frozen: nobody loses a session, nobody fails to connect, and what it
//! shows is true again within a heartbeat.

use std::time::{Duration, Instant};

use flotilla_testkit::fleet::{Fleet, Gateway, Worker};
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::{Socket, Waiting};
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::wait_until;

use super::clients::{closes, opens, works};
use super::probe::Probe;
use super::truth::wait_true;
use super::{fleet, measured};
use crate::{NEWEST, SOON};

const HEARTBEAT: Duration = Duration::from_secs(2);

/// A heartbeat, and what a busy machine adds to it.
const WITHIN_A_HEARTBEAT: Duration = Duration::from_secs(3);

/// How often a gateway looks for its Redis at least, and what a busy machine adds to it.
const FOUND_AGAIN: Duration = Duration::from_secs(4);

/// A gateway and two workers of two slots each; a client with a page.
fn started(redis: &Redis) -> (Fleet, Gateway, [Worker; 2], Program) {
    let fleet = fleet(&redis.url())
        .env("MAX_CONCURRENT_SESSIONS", 2)
        .env("HEARTBEAT_INTERVAL", HEARTBEAT.as_secs());
    let gateway = fleet.gateway().start();
    let workers = [(); 2].map(|()| fleet.worker().start());
    gateway.wait_workers(2, SOON);
    let node = Program::node(NEWEST, gateway.endpoint());
    opens(&node, "b");
    (fleet, gateway, workers, node)
}

fn all_well(gateway: Gateway, workers: impl IntoIterator<Item = Worker>, node: &Program) {
    works(node, "b");
    closes(node, "b");
    gateway.wait_used(0, SOON);
    for cause in ["client_lost", "worker_lost", "worker_crash", "operator", "drain_kill"] {
        let label = format!("cause=\"{cause}\"");
        let ended = gateway.metric("flotilla_sessions_ended_total", &[&label]);
        assert_eq!(ended, Some(0.0), "{cause}");
    }
    gateway.stop_and_check();
    workers.into_iter().for_each(Worker::stop_and_check);
}

#[test]
fn redis_wiped_live_costs_no_session_and_every_worker_is_there_again_within_a_heartbeat() {
    let redis = Redis::start();
    let (_fleet, gateway, [one, other], node) = started(&redis);
    let probe = Probe::start(&gateway);
    probe.wait_more(5);
    redis.wipe();
    probe.wait_more(5);
    let probed = probe.finish();
    let after = wait_true(&redis, &[&one, &other], WITHIN_A_HEARTBEAT);
    measured(format_args!("{probed:?}; what Redis shows is true after {after:?}"));
    assert_eq!(gateway.status().available_workers(), 2);
    all_well(gateway, [one, other], &node);
}

#[test]
fn redis_killed_costs_nobody_anything_and_who_starts_meanwhile_is_found_when_it_is_back() {
    let mut redis = Redis::start();
    let (fleet, gateway, [one, other], node) = started(&redis);
    let probe = Probe::start(&gateway);
    probe.wait_more(5);
    redis.kill9();
    wait_until("the gateway to see it", SOON, || !gateway.status().registry.reachable);
    let ready = gateway.get("/readyz", &[]);
    assert_eq!(ready.status, 200);
    assert!(ready.body.contains("the registry cannot be reached"), "{}", ready.body);
    let third = fleet.worker().start();
    probe.wait_more(20);
    let probed = probe.finish();
    measured(format_args!("while Redis died and was away: {probed:?}"));
    assert!(probed.slowest < HEARTBEAT, "somebody waited for the next poll: {probed:?}");
    assert_eq!(gateway.status().workers.len(), 2, "nobody tells of the third");

    // Every slot is taken, and nothing is published when one is free again.
    gateway.wait_used(1, SOON);
    let mut held: Vec<_> = (0..3).map(|_| gateway.open("/", &[]).unwrap()).collect();
    let waits = Waiting::send(gateway.address(), "/", &[]);
    gateway.wait_queued(1, SOON);
    let began = Instant::now();
    held.pop().unwrap().close();
    held.push(waits.answer().expect("the workers are asked"));
    measured(format_args!(
        "without Redis, who waits is let in {:?} after a slot is free",
        began.elapsed()
    ));

    redis.restart_empty();
    let after = wait_true(&redis, &[&one, &other, &third], WITHIN_A_HEARTBEAT);
    gateway.wait_workers(3, FOUND_AGAIN);
    measured(format_args!("what Redis shows is true after {after:?}"));
    let ready = gateway.get("/readyz", &[]);
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    held.push(gateway.open("/", &[]).unwrap());
    third.wait_used(1, SOON);
    held.into_iter().for_each(Socket::close);
    all_well(gateway, [one, other, third], &node);
}
