//! No password and no secret is logged, whatever is logged and whatever goes wrong.

use std::fmt::Debug;

use flotilla_registry::redis::read_fleet;
use flotilla_testkit::redis::Cluster;

use crate::beds::{Bed, ENCODED, PASSWORD, Secured, Watched};
use crate::logs;
use crate::support::*;

const WRONG: &str = "a-wrong-but-secret-password";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_is_in_any_log_on_any_level() {
    let mut beds = (Secured::start(), Watched::start());
    come_and_go(&mut beds.0).await;
    come_and_go(&mut beds.1).await;
    let cluster = Cluster::new();
    let nodes = cluster.addresses().join(",");
    let with = |password| address(&format!("redis-cluster://:{password}@{nodes}"));
    // A server that wants no password takes any.
    let asked = read_fleet(&with(ENCODED), &keyring()).await;
    assert_eq!(asked, Ok(vec![]));
    for node in &cluster.nodes {
        node.cli(&["CONFIG", "SET", "requirepass", PASSWORD]);
    }
    assert_eq!(read_fleet(&with(ENCODED), &keyring()).await, Ok(vec![]));
    hides(&(read_fleet(&with(WRONG), &keyring()).await.unwrap_err(), with(WRONG)));
    let log = logs::all();
    assert!(log.contains("Redis is there") && log.contains("does not let us in"));
    assert!(log.contains("TRACE"), "every level is kept");
    for secret in [PASSWORD, ENCODED, WRONG, SECRET] {
        assert!(!log.contains(secret), "{secret} is in a log");
    }
}

/// A worker and a gateway find Redis, lose it and find it again; others have a wrong password.
async fn come_and_go(bed: &mut impl Bed) {
    let address = bed.address();
    let (worker, gateway) = (Worker::start(&address, "w"), Gateway::start(&address));
    gateway.until("the worker", "w", |_| true).await;
    let wrong = bed.address_with(WRONG);
    let fault = read_fleet(&wrong, &keyring()).await.unwrap_err();
    hides(&(fault, address, wrong.clone()));
    let stranger = Worker::start(&wrong, "v");
    wait("the stranger to be refused", || *stranger.counted.reachable.lock().unwrap() == [false])
        .await;
    bed.kill9();
    wait("it to be lost", || !gateway.reachable()).await;
    bed.come_back();
    wait("it to be found", || gateway.reachable()).await;
    worker.stop().await;
    stranger.stop().await;
}

fn hides(shown: &impl Debug) {
    let shown = format!("{shown:?} {shown:#?}");
    for secret in [PASSWORD, ENCODED, WRONG] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}
