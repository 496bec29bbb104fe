//! What becomes of workers and gateways when Redis fails in its various ways.

use std::time::{Duration, Instant};

use flotilla_core::registry::Registry as _;
use flotilla_core::view::Standing;
use flotilla_core::{BrowserKind, WorkerId};
use flotilla_registry::redis::{Fault, WorkerCommand, command, read_fleet};
use flotilla_testkit::redis::{Redis, Sentinels};

use crate::logs;
use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_says_nothing_is_noticed_within_seconds() {
    let redis = Redis::start();
    let address = address(&redis.url());
    let (worker, gateway) = (Worker::start(&address, "w"), Gateway::start(&address));
    gateway.until("the worker", "w", |_| true).await;
    redis.freeze();
    let began = Instant::now();
    let lost = |counted: &Counted| counted.reachable.lock().unwrap().last() == Some(&false);
    wait("both to notice", || lost(&gateway.counted) && lost(&worker.counted)).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    worker.says(&busy("w", 1));
    redis.thaw();
    gateway.until("what changed meanwhile", "w", |advert| advert.used == 1).await;
    wait("the gateway to see again", || gateway.reachable()).await;
    assert_ne!(gateway.known("w").unwrap().standing, Standing::Expired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_absence_is_one_line_and_its_return_another() {
    let mut redis = Redis::start();
    let at = redis.address();
    let worker = Worker::start(&address(&redis.url()), "w");
    let lines = |words: &str| logs::with(&[&at, words]).len();
    wait("it to be found", || lines("Redis is there") == 1).await;
    for outage in 1..=2 {
        redis.kill9();
        wait("its absence", || lines("cannot be used") == outage).await;
        // Long enough for several tries.
        let began = Instant::now();
        wait("tries", || began.elapsed() > 4 * HEARTBEAT).await;
        assert_eq!((lines("cannot be used"), lines("still away")), (outage, 0));
        redis.restart();
        wait("its return", || lines("there again") == outage).await;
    }
    let told = worker.told();
    wait("more heartbeats", || worker.told() > told + 2).await;
    assert_eq!(lines("there again"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_starts_before_redis_does_finds_it_later() {
    let builder = Redis::builder();
    let address = address(&builder.url());
    let at = format!("127.0.0.1:{}", builder.port());
    let (worker, gateway) = (Worker::start(&address, "w"), Gateway::start(&address));
    wait("both to say so", || logs::with(&[&at, "cannot be used"]).len() == 2).await;
    assert!(!gateway.reachable());
    let _redis = builder.start();
    gateway.until("the worker", "w", |_| true).await;
    wait("the gateway to see", || gateway.reachable()).await;
    wait("the worker to know", || worker.told() > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_named_and_tried_with_patience() {
    let redis = Redis::builder().password("the-right-one").start();
    let url = format!("redis://:the-wrong-one@{}", redis.address());
    let began = Instant::now();
    let worker = Worker::start(&address(&url), "w");
    let gateway = Gateway::start(&address(&url));
    let tries = || {
        let stats = redis.cli(&["INFO", "errorstats"]);
        let count = stats.split_once("errorstat_WRONGPASS:count=").map(|(_, count)| count.trim());
        count.map_or(0, |count| count.parse::<usize>().unwrap())
    };
    wait("tries", || tries() >= 10).await;
    assert!(began.elapsed() > Duration::from_millis(600), "{:?}", began.elapsed());
    let lines = logs::with(&[&redis.address(), "does not let us in"]);
    assert_eq!(lines.len(), 2, "one each: {lines:?}");
    redis.cli(&["CONFIG", "SET", "requirepass", "the-wrong-one"]);
    wait("both to be let in", || worker.told() > 0 && gateway.reachable()).await;
    gateway.until("the worker", "w", |_| true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_way_in_is_said() {
    let open = Redis::start();
    let locked = Redis::builder().tls().start();
    let old = Redis::builder().config("rename-command HELLO \"\"").start();
    let strange = Redis::builder().tls().start();
    let fault = async |url: String, ca: Option<&str>| {
        let address = with_ca(&url, ca.map(str::to_owned));
        read_fleet(&address, &keyring()).await.unwrap_err()
    };
    let [ca, stranger] = [&locked, &strange].map(|redis| redis.ca().display().to_string());
    let (locked_at, open_at) = (locked.address(), open.address());
    let words = fault(format!("rediss://{locked_at}"), Some(&stranger)).await;
    assert!(matches!(&words, Fault::Tls { .. }), "{words}");
    assert!(words.to_string().contains("redis_ca_file"), "{words}");
    let words = fault(format!("rediss://{locked_at}"), None).await;
    assert!(matches!(&words, Fault::Tls { .. }), "{words}");
    let words = fault(format!("rediss://{open_at}"), Some(&ca)).await;
    assert!(words.to_string().contains("if it has no TLS, write redis://"), "{words}");
    let words = fault(format!("redis://{locked_at}"), None).await;
    assert!(words.to_string().contains(&locked_at), "{words}");
    let words = fault(old.url(), None).await;
    assert!(matches!(&words, Fault::TooOld { .. }), "{words}");
    let words = fault(format!("redis-sentinel://{open_at}/fleet"), None).await;
    assert!(matches!(&words, Fault::NoMaster(_)), "{words}");
    let words = fault(format!("redis-cluster://{open_at}"), None).await;
    assert!(words.to_string().contains("cluster"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_ends_soon_although_redis_is_away() {
    let mut redis = Redis::start();
    let worker = Worker::start(&address(&redis.url()), "w");
    wait("it to be told", || worker.told() > 0).await;
    redis.kill9();
    let began = Instant::now();
    worker.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_latency_is_known() {
    let redis = Redis::start();
    let gateway = Gateway::start(&address(&redis.url()));
    let latency = || gateway.view.status().latency_ms;
    wait("it to be measured", || latency().is_some_and(|ms| ms > 0.0 && ms < 2000.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_demoted_is_left_for_the_new_one() {
    let set = Sentinels::start(1);
    let address =
        address(&format!("redis-sentinel://{}/{}", set.addresses().join(","), Sentinels::NAME));
    let (worker, gateway) = (Worker::start(&address, "w"), Gateway::start(&address));
    gateway.until("the worker", "w", |_| true).await;
    assert_eq!(set.sentinels[0].cli(&["SENTINEL", "FAILOVER", Sentinels::NAME]), "OK");
    set.wait_master(1, SOON);
    worker.says(&busy("w", 4));
    gateway.until("the change", "w", |advert| advert.used == 4).await;
    let told = || set.servers[1].cli(&["HGET", "worker:chromium:w", "used"]);
    wait("the new master to be told", || told() == "4").await;
    wait("the gateway to see", || gateway.reachable()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_nothing_but_the_documented_rights_is_enough() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fleet.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let rights = guide.lines().find(|line| line.starts_with("ACL SETUSER flotilla")).unwrap();
    let redis = Redis::start();
    assert_eq!(redis.cli(&rights.split(' ').collect::<Vec<_>>()), "OK");
    let address = address(&format!("redis://flotilla:PASSWORD@{}", redis.address()));
    let mut worker = Worker::start(&address, "w");
    let gateway = Gateway::clearing_away(&address, HEARTBEAT);
    gateway.until("the worker", "w", |_| true).await;
    let (id, drain) = (WorkerId("w".into()), WorkerCommand::Drain);
    command(&address, &id, BrowserKind::Chromium, drain, TTL).await.unwrap();
    assert_eq!(worker.next_command().await, drain);
    assert_eq!(read_fleet(&address, &keyring()).await.unwrap().len(), 1);
    redis.cli(&["HSET", "flotilla:workers", "nobody", "1"]);
    wait("what is nobody's to go", || redis.cli(&["HLEN", "flotilla:workers"]) == "1").await;
    worker.stop().await;
    wait("the goodbye", || gateway.known("w").is_none()).await;
    let log = redis.cli(&["ACL", "LOG"]);
    assert_eq!(log, "", "something was refused");
}
