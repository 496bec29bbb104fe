//! A real gateway before 200 workers and 1,500 clients that are not real: on the wire it cannot
//! tell. Nothing is timed here; `cargo bench -p flotilla --bench fleet` does that.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flotilla_core::{BrowserKind, PlaywrightVersion};
use flotilla_testkit::fakes::{Client, CrowdConfig, Refused, Tally};
use flotilla_testkit::fleet::Fleet;
use flotilla_testkit::folder::Folder;
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::{wait_equal, wait_for, wait_until};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::SOON;
use announced::Announced;

#[path = "../../benches/fleet/announced.rs"]
mod announced;

const WORKERS: usize = 200;
const SLOTS: usize = 5;
const CLIENTS: usize = 1500;

/// The binary, started with another limit of open files.
fn limited(folder: &Folder, ulimit: &str) -> String {
    let path = folder.join("flotilla");
    let binary = env!("CARGO_BIN_EXE_flotilla");
    std::fs::write(&path, format!("#!/bin/sh\nulimit {ulimit}\nexec {binary} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// Comes in, waits until all may go, works, and leaves.
async fn client(
    address: SocketAddr,
    at: usize,
    inside: Arc<AtomicUsize>,
    mut go: watch::Receiver<bool>,
) {
    let mut client = Client::open(address).await.unwrap().expect("there is a slot, or one will be");
    inside.fetch_add(1, Ordering::SeqCst);
    tokio::select! {
        _ = go.wait_for(|go| *go) => {}
        ended = client.stay() => panic!("the session of client {at} ended by itself: {ended:?}"),
    }
    client.echo(format!("client {at}").as_bytes()).await.unwrap();
    client.close().await.unwrap();
}

fn crowd(fleet: &Fleet, workers: usize) -> CrowdConfig {
    let serves = vec![(BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 })];
    CrowdConfig { workers, slots: SLOTS, serves, secret: fleet.secret().to_owned() }
}

/// A runtime for thousands of connections.
fn runtime() -> Runtime {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    Runtime::new().unwrap()
}

#[test]
fn every_slot_of_two_hundred_workers_is_used_and_every_end_is_counted() {
    let runtime = runtime();
    let (redis, folder) = (Redis::start(), Folder::new());
    // As service managers start programs: few open files, until more are asked for.
    let fleet = Fleet::new(&limited(&folder, "-Sn 256")).redis(&redis.url());
    let workers =
        runtime.block_on(Announced::start(&crowd(&fleet, WORKERS), &redis.url())).unwrap();
    let gateway = fleet.gateway().env("FLOTILLA_QUEUE_LIMIT", CLIENTS).start();
    gateway.wait_workers(WORKERS, SOON);

    let (go, going) = watch::channel(false);
    let (inside, address) = (Arc::new(AtomicUsize::new(0)), gateway.address().parse().unwrap());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|at| runtime.spawn(client(address, at, inside.clone(), going.clone())))
        .collect();
    let slots = WORKERS * SLOTS;
    wait_equal("the clients inside", SOON, &slots, || inside.load(Ordering::SeqCst));
    let waiting = u32::try_from(CLIENTS - slots).unwrap();
    gateway.wait_queued(waiting, SOON);
    let full = Tally { held: slots, most_held: SLOTS, admitted: slots as u64, ..Tally::default() };
    assert_eq!(workers.crowd.tally(), full, "each slot has a session, and nobody was sent astray");
    let status = gateway.status();
    assert_eq!((status.slots.used, status.slots.free), (slots as u32, 0));
    let ids: BTreeSet<_> = status.sessions.iter().map(|session| &session.id).collect();
    assert_eq!(ids.len(), slots);

    go.send_replace(true);
    for client in clients {
        runtime.block_on(client).expect("every client comes in, works and leaves");
    }
    let over = Tally { held: 0, admitted: CLIENTS as u64, ..full };
    wait_equal("what the workers have been through", SOON, &over, || workers.crowd.tally());
    let counted = |metric: &str, labels: &[&str]| gateway.metric(metric, labels);
    wait_until("all ends to be counted", SOON, || {
        counted("flotilla_sessions_ended_total", &[]) == Some(CLIENTS as f64)
    });
    let started = [&["result=\"ok\""][..], &[]];
    for labels in started {
        assert_eq!(counted("flotilla_sessions_started_total", labels), Some(CLIENTS as f64));
    }
    let closed = counted("flotilla_sessions_ended_total", &["cause=\"client_close\""]);
    assert_eq!(closed, Some(CLIENTS as f64));
    gateway.stop_and_check();
    runtime.block_on(workers.stop());
    assert_eq!(redis.cli(&["HLEN", "flotilla:workers"]), "0", "all said goodbye");
}

#[test]
fn a_gateway_takes_no_more_sessions_than_it_has_open_files_for() {
    let runtime = runtime();
    let (redis, folder) = (Redis::start(), Folder::new());
    let fleet = Fleet::new(&limited(&folder, "-n 256")).redis(&redis.url());
    let workers = runtime.block_on(Announced::start(&crowd(&fleet, 20), &redis.url())).unwrap();
    let gateway = fleet.gateway().start();
    gateway.wait_workers(20, SOON);

    let address = gateway.address().parse().unwrap();
    let come = |_| runtime.block_on(Client::open(address)).unwrap();
    let (inside, refused): (Vec<_>, Vec<_>) = (0..90).map(come).partition(Result::is_ok);
    let mut inside: Vec<_> = inside.into_iter().map(Result::unwrap).collect();
    // Two for each session, and the rest for pages, dialling workers back and Redis.
    assert_eq!((inside.len(), refused.len()), (48, 42), "of 100 slots");
    for refused in refused {
        let Err(Refused { status: 503, words }) = refused else { panic!("{refused:?}") };
        assert!(words.contains("open files for (48)") && words.contains("ulimit -n"), "{words}");
    }
    for client in &mut inside {
        runtime.block_on(client.echo(b"it goes on")).unwrap();
    }
    runtime.block_on(inside.pop().unwrap().close()).unwrap();
    let next = wait_for("a seat", SOON, || runtime.block_on(Client::open(address)).unwrap().ok());
    for client in inside.into_iter().chain([next]) {
        runtime.block_on(client.close()).unwrap();
    }
    let refused = gateway.metric("flotilla_sessions_started_total", &["result=\"no_capacity\""]);
    assert!(refused >= Some(42.0), "{refused:?}");
    gateway.stop_and_check();
    runtime.block_on(workers.stop());
}
