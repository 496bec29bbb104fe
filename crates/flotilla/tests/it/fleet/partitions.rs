//! A worker or a gateway that reaches everybody but Redis, and a worker that stands still.

use std::time::{Duration, Instant};

use flotilla_testkit::fleet::{Gateway, Worker};
use flotilla_testkit::hosts::Hosts;
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::{Socket, Waiting};
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::{wait_equal, wait_until};
use rustix::process::Signal;

use super::clients::{closes, opens, works};
use super::truth::wait_true;
use super::{fleet, measured};
use crate::{NEWEST, SOON};

/// How long a worker counts as there after it was last heard of: longer than a gateway takes to
/// see that it hears nothing of anybody.
const TTL: Duration = Duration::from_secs(5);
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Opens so many sessions, after which each of the workers has so many.
fn open(gateway: &Gateway, count: usize, workers: &[&Worker; 2], used: [u32; 2]) -> Vec<Socket> {
    let sessions = (0..count).map(|_| gateway.open("/", &[]).expect("a slot is free")).collect();
    wait_equal("where they are", SOON, &used, || workers.map(|worker| worker.status().slots.used));
    sessions
}

/// Closes them. Only the one from the beginning is left, and the gateway knows it.
fn close(gateway: &Gateway, sessions: Vec<Socket>) {
    sessions.into_iter().for_each(Socket::close);
    gateway.wait_used(1, SOON);
}

#[test]
fn who_is_parted_from_redis_only_goes_on_and_comes_back_by_itself() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let [store, front, far] = ["redis", "gateway", "apart"].map(|name| hosts.add(name));
    let redis = Redis::builder().at(&store).start();
    let fleet = fleet(&redis.url())
        .env("MAX_CONCURRENT_SESSIONS", 2)
        .env("HEARTBEAT_INTERVAL", format!("{}ms", HEARTBEAT.as_millis()))
        .env("REDIS_KEY_TTL", TTL.as_secs());
    let gateway = fleet.gateway().at(&front).start();
    let named = |id, host| fleet.worker().env("FLOTILLA_WORKER_ID", id).at(host).start();
    let (apart, near) = (named("apart", &far), named("near", &hosts.add("near")));
    gateway.wait_workers(2, SOON);
    let node = Program::node(NEWEST, gateway.endpoint());
    opens(&node, "kept");
    apart.wait_used(1, SOON);

    // The worker: it keeps what it has, takes new ones for its TTL, and then none.
    far.part(&store);
    let both = [&apart, &near];
    let sessions = open(&gateway, 3, &both, [2, 2]);
    let heard = Instant::now();
    sessions.into_iter().for_each(Socket::close);
    let expired = || gateway.metric("flotilla_worker_expiries_total", &[]);
    wait_equal("expiries", SOON, &Some(1.0), expired);
    let silent = heard.elapsed();
    assert!(silent >= TTL * 3 / 4, "it counts as there for its TTL: {silent:?}");
    assert_eq!(gateway.status().available_workers(), 1);
    let sessions = open(&gateway, 2, &both, [1, 2]);
    works(&node, "kept");
    sessions.into_iter().for_each(Socket::close);
    near.wait_used(0, SOON);
    far.mend();
    let mended = Instant::now();
    gateway.wait_workers(2, SOON);
    wait_true(&redis, &both, SOON);
    measured(format_args!("the worker is back {:?} after it is mended", mended.elapsed()));
    close(&gateway, open(&gateway, 3, &both, [2, 2]));

    // The gateway: no packet comes back, and nobody tells it that the connection is dead.
    front.part(&store);
    let parted = Instant::now();
    wait_until("the gateway to say so, and to go on", SOON, || {
        let ready = gateway.get("/readyz", &[]);
        ready.status == 200 && ready.body.contains("the registry cannot be reached")
    });
    measured(format_args!("the gateway says so after {:?}", parted.elapsed()));
    assert!(!gateway.status().registry.reachable);
    assert!(gateway.metric("flotilla_store_errors_total", &[]) >= Some(1.0));
    let mut sessions = open(&gateway, 3, &both, [2, 2]);
    let waits = Waiting::send(gateway.address(), "/", &[]);
    gateway.wait_queued(1, SOON);
    sessions.pop().unwrap().close();
    sessions.push(waits.answer().expect("it asks the workers itself"));
    wait_until("a TTL to pass", SOON, || parted.elapsed() > TTL + HEARTBEAT * 2);
    assert_eq!(expired(), Some(1.0), "nobody expires for the gateway's own trouble");
    works(&node, "kept");
    front.mend();
    let mended = Instant::now();
    wait_equal("readiness", SOON, &"ready\n".to_owned(), || gateway.get("/readyz", &[]).body);
    measured(format_args!("the gateway has Redis again {:?} after it is mended", mended.elapsed()));
    close(&gateway, sessions);
    wait_true(&redis, &both, SOON);
    works(&node, "kept");
    closes(&node, "kept");
    let ended = |labels: &[&str]| gateway.metric("flotilla_sessions_ended_total", labels);
    let started = gateway.metric("flotilla_sessions_started_total", &["result=\"ok\""]);
    wait_equal("ends by their clients", SOON, &started, || ended(&["cause=\"client_close\""]));
    assert_eq!(ended(&[]), started, "and no other");
    gateway.stop_and_check();
    apart.stop_and_check();
    near.stop_and_check();
}

#[test]
fn a_worker_that_stands_still_is_passed_over_in_time_and_goes_on_where_it_was() {
    const SELECT: Duration = Duration::from_secs(2);
    let redis = Redis::start();
    let fleet = fleet(&redis.url()).env("WORKER_SELECT_TIMEOUT", SELECT.as_secs());
    let gateway = fleet.gateway().start();
    let named = |id| fleet.worker().env("FLOTILLA_WORKER_ID", id).start();
    let (frozen, other) = (named("frozen"), named("other"));
    gateway.wait_workers(2, SOON);
    let node = Program::node(NEWEST, gateway.endpoint());
    opens(&node, "kept");
    frozen.wait_used(1, SOON);
    let first = gateway.open("/", &[]).unwrap();
    other.wait_used(1, SOON);

    // Both have as many slots free, and the first is asked first.
    frozen.signal(Signal::STOP);
    let began = Instant::now();
    let second = gateway.open("/", &[]).expect("another takes it");
    let passed_over = began.elapsed();
    let began = Instant::now();
    let third = gateway.open("/", &[]).expect("another takes it");
    let next = began.elapsed();
    assert!(passed_over >= SELECT / 2, "the one that stands still was never asked");
    assert!(passed_over < SELECT + Duration::from_secs(1), "{passed_over:?}");
    assert!(next < SELECT / 2, "it is known by now: {next:?}");
    other.wait_used(3, SOON);
    frozen.signal(Signal::CONT);
    let thawed = Instant::now();
    gateway.wait_workers(2, SOON);
    measured(format_args!(
        "passed over after {passed_over:?}, the next after {next:?}; back {:?} after it goes on",
        thawed.elapsed()
    ));
    // It may have admitted the session that was taken elsewhere meanwhile.
    frozen.wait_used(1, SOON);
    works(&node, "kept");
    [first, second, third].into_iter().for_each(Socket::close);
    closes(&node, "kept");
    gateway.stop_and_check();
    frozen.stop_and_check();
    other.stop_and_check();
}
