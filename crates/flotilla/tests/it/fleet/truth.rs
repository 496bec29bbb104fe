//! What `redis-cli` shows of the workers, held against what they say themselves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flotilla_testkit::fleet::Worker;
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::wait_equal;

/// What `redis-cli HGETALL` shows.
fn shown(redis: &Redis, key: &str) -> BTreeMap<String, String> {
    let lines = redis.cli(&["HGETALL", key]);
    let mut lines = lines.lines().map(str::to_owned);
    std::iter::from_fn(|| Some((lines.next()?, lines.next()?))).collect()
}

/// What Redis does not show as the worker tells it itself.
fn untrue(redis: &Redis, worker: &Worker) -> Vec<String> {
    let (status, id) = (worker.status(), worker.id());
    let truth = &status.workers[0];
    let state = if truth.used == truth.slots { "busy" } else { "available" };
    let key = format!("worker:chromium:{id}");
    let about = shown(redis, &key);
    let count = |hash| shown(redis, hash).remove(&format!("chromium:{id}"));
    let told = [
        ("browserType", about.get("browserType").cloned(), "chromium".to_owned()),
        ("endpoint", about.get("endpoint").cloned(), worker.endpoint().to_owned()),
        ("status", about.get("status").cloned(), state.to_owned()),
        ("slots", about.get("slots").cloned(), truth.slots.to_string()),
        ("used", about.get("used").cloned(), truth.used.to_string()),
        ("active", count("cluster:active_connections"), truth.used.to_string()),
        ("lifetime", count("cluster:lifetime_connections"), truth.sessions_served.to_string()),
        (
            "in KEYS",
            Some(redis.cli(&["KEYS", "worker:*:*"]).contains(&key).to_string()),
            "true".into(),
        ),
    ];
    let lies = told.into_iter().filter(|(_, told, truth)| told.as_ref() != Some(truth));
    lies.map(|(what, told, truth)| format!("{id}: {what} is {truth}, not {told:?}")).collect()
}

/// Waits until everything that Redis shows is true: how long that took.
pub(super) fn wait_true(redis: &Redis, workers: &[&Worker], ceiling: Duration) -> Duration {
    let began = Instant::now();
    wait_equal("what Redis shows wrong", ceiling, &Vec::new(), || {
        workers.iter().flat_map(|worker| untrue(redis, worker)).collect()
    });
    began.elapsed()
}
