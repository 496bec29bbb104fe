//! What holds whatever kind of Redis it is.

use flotilla_core::registry::Directory as _;
use flotilla_core::view::Standing;
use flotilla_testkit::redis::Redis;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_seen_with_its_slots_and_each_change_of_them() {
    let redis = Redis::start();
    let address = address(&redis.url());
    let worker = Worker::start(&address, "w");
    let gateway = Gateway::start(&address);
    gateway.until("the worker", "w", |advert| advert.slots == 5).await;
    worker.says(&busy("w", 3));
    gateway.until("the change", "w", |advert| advert.used == 3).await;
    assert!(gateway.reachable());
    worker.stop().await;
    wait("the goodbye", || gateway.known("w").is_none()).await;
    assert_eq!(redis.cli(&["KEYS", "*"]), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dies_and_comes_back_empty_and_the_view_never_lost_the_worker() {
    let mut redis = Redis::start();
    let address = address(&redis.url());
    let worker = Worker::start(&address, "w");
    let gateway = Gateway::start(&address);
    gateway.until("the worker", "w", |_| true).await;
    redis.kill9();
    wait("the gateway to be blind", || !gateway.reachable()).await;
    worker.says(&busy("w", 2));
    let age = || gateway.view.view(|view, now| view.workers().next().unwrap().age(now));
    wait("two TTLs to pass", || age() > 2 * TTL).await;
    assert_ne!(gateway.known("w").unwrap().standing, Standing::Expired);
    redis.restart_empty();
    gateway.until("what changed meanwhile", "w", |advert| advert.used == 2).await;
    wait("the gateway to see again", || gateway.reachable()).await;
    assert!(redis.cli(&["HGET", "worker:chromium:w", "used"]) == "2");
}
