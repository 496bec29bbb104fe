//! What dead workers leave is cleared away, and nothing else.

use std::sync::atomic::Ordering;

use flotilla_testkit::redis::Redis;

use crate::beds::Bed;
use crate::support::*;

pub(crate) async fn what_the_dead_left_is_cleared_away_and_never_what_is_the_livings(
    bed: &mut impl Bed,
) {
    let address = bed.address();
    // It will not tell again what was taken from it.
    let living = Worker::paced(&address, "living", NEVER, NEVER);
    let dead = Worker::start(&address, "dead");
    wait("them to be told", || living.told() > 0 && dead.told() > 0).await;
    dead.die();
    for (key, field) in [
        ("flotilla:workers", "nobody"),
        ("cluster:active_connections", "chromium:nobody"),
        ("cluster:lifetime_connections", "neither a browser nor a worker"),
    ] {
        bed.cli(&["HSET", key, field, "1"]);
    }
    // It would stay for ever, so it is nobody's heartbeat.
    bed.cli(&["HSET", "worker:chromium:nobody", "status", "available"]);
    let gateways = [(); 2].map(|()| Gateway::clearing_away(&address, HEARTBEAT));
    let fields = |key: &str| {
        let mut fields: Vec<_> = bed.cli(&["HKEYS", key]).lines().map(str::to_owned).collect();
        fields.sort();
        fields
    };
    let counts = ["chromium:living", "firefox:living"];
    wait("the dead to be forgotten", || fields("flotilla:workers") == ["living"]).await;
    for key in ["cluster:active_connections", "cluster:lifetime_connections"] {
        wait("their counts to go", || fields(key) == counts).await;
    }
    let looks = |gateway: &Gateway| gateway.counted.reaped.load(Ordering::Relaxed);
    let before = gateways.each_ref().map(looks);
    wait("more looks", || gateways.iter().zip(before).all(|(g, n)| looks(g) > n + 2)).await;
    assert_eq!(fields("flotilla:workers"), ["living"]);
    assert_eq!(fields("cluster:active_connections"), counts);
    assert!(gateways.iter().all(|gateway| gateway.known("living").is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_worker_said_last_does_not_bring_it_back() {
    let redis = Redis::start();
    let address = address(&redis.url());
    let gateway = Gateway::clearing_away(&address, NEVER);
    let worker = Worker::start(&address, "w");
    gateway.until("the worker", "w", |_| true).await;
    worker.die();
    wait("it to be forgotten", || gateway.known("w").is_none()).await;
    let looked_up = || gateway.counted.looked_up.load(Ordering::Relaxed);
    let before = looked_up();
    wait("more looks", || looked_up() > before + 2).await;
    assert_eq!(redis.cli(&["HLEN", "flotilla:workers"]), "1", "it still stands there");
    assert!(gateway.known("w").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_may_still_refresh_is_left() {
    let redis = Redis::start();
    redis.cli(&["HSET", "flotilla:workers", "w", "1"]);
    let gateway = Gateway::paced(&address(&redis.url()), NEVER, HEARTBEAT);
    let looks = || gateway.counted.reaped.load(Ordering::Relaxed);
    wait("looks", || looks() > 3).await;
    assert_eq!(redis.cli(&["HLEN", "flotilla:workers"]), "1", "its TTL has not passed");
}
