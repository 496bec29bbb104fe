//! Two workers with one name.

use flotilla_testkit::program::Program;
use flotilla_testkit::raw::Socket;
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::{wait_for, wait_until};

use super::clients::{closes, opens, works};
use super::doors::{advert_of, come, keyring, ticket};
use super::fleet;
use super::probe::Probe;
use crate::{NEWEST, SOON};

#[test]
fn of_two_workers_with_one_name_the_first_stays_and_the_sessions_of_both_go_on() {
    let redis = Redis::start();
    let fleet = fleet(&redis.url()).env("HEARTBEAT_INTERVAL", "500ms");
    let gateway = fleet.gateway().start();
    let named = || fleet.worker().env("FLOTILLA_WORKER_ID", "twin").start();
    let first = named();
    gateway.wait_workers(1, SOON);
    let node = Program::node(NEWEST, gateway.endpoint());
    opens(&node, "kept");
    let probe = Probe::start(&gateway);

    let second = named();
    let duplicates = || gateway.metric("flotilla_worker_duplicates_total", &[]);
    wait_until("the gateway to count it", SOON, || duplicates() >= Some(1.0));
    let error = wait_for("the gateway to say so", SOON, || {
        let log = gateway.log();
        log.lines().find(|line| line.contains("two workers have one name")).map(str::to_owned)
    });
    assert!(error.contains("ERROR"), "{error}");
    for words in ["twin", first.endpoint(), second.endpoint(), "FLOTILLA_WORKER_ID"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    // A session that some gateway has brought to the second.
    let keyring = keyring(&fleet);
    let theirs = come(&second, &ticket(&advert_of(&second, &keyring), "theirs").seal(&keyring));
    second.wait_used(1, SOON);
    probe.wait_more(10);
    probe.finish();
    works(&node, "kept");
    let status = gateway.status();
    assert_eq!(status.available_workers(), 1);
    assert_eq!(status.workers[0].endpoint, first.endpoint(), "the first stays");
    assert_eq!(second.status().workers[0].sessions_served, 1, "nobody was sent to the second");
    second.wait_used(1, SOON);

    // The first goes, and the name is the other's.
    closes(&node, "kept");
    first.stop_and_check();
    wait_until("the second to be found", SOON, || {
        let status = gateway.status();
        let twin = status.workers.iter().find(|worker| worker.endpoint == second.endpoint());
        twin.is_some() && status.available_workers() == 1
    });
    gateway.open("/", &[]).map(Socket::close).unwrap();
    drop(theirs);
    gateway.stop_and_check();
    second.stop_and_check();
}
