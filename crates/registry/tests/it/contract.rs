//! What holds whatever kind of Redis it is.

use flotilla_core::config::Redis as Settings;
use flotilla_core::registry::Directory as _;
use flotilla_core::view::Standing;
use flotilla_core::{BrowserKind, WorkerId};
use flotilla_registry::redis::{RedisAddress, WorkerCommand, command, read_fleet};

use crate::beds::{Bed, Clustered, Plain, Secured, Watched};
use crate::reaping::what_the_dead_left_is_cleared_away_and_never_what_is_the_livings;
use crate::support::*;

/// One Redis goes through all of it, so that it is started once.
macro_rules! contract {
    ($($name:ident: $bed:ty),+; $steps:tt) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let mut bed = <$bed>::start();
            contract!(@ bed, $steps);
        })+
    };
    (@ $bed:ident, [$($step:ident),+ $(,)?]) => {
        $(println!("--- {}", stringify!($step));
        $step(&mut $bed).await;
        $bed.wipe();)+
    };
}

contract!(
    one_server_keeps_the_contract: Plain,
    one_with_tls_and_a_password_keeps_the_contract: Secured,
    one_that_sentinels_watch_keeps_the_contract: Watched,
    a_cluster_keeps_the_contract: Clustered;
    [
        a_worker_that_stops_leaves_nothing_behind,
        every_line_of_the_schema_shows_the_truth,
        a_worker_is_seen_with_its_slots_and_each_change_of_them,
        what_is_said_is_heard_at_once_and_what_was_said_before_is_looked_up,
        a_command_arrives_once,
        what_nobody_refreshes_goes_by_itself,
        the_fleet_is_read_at_once,
        what_is_wiped_is_back_after_a_heartbeat,
        what_the_dead_left_is_cleared_away_and_never_what_is_the_livings,
        redis_dies_and_whoever_comes_in_its_place_knows_the_worker_soon,
    ]
);

async fn a_worker_is_seen_with_its_slots_and_each_change_of_them(bed: &mut impl Bed) {
    let address = bed.address();
    let worker = Worker::start(&address, "w");
    let gateway = Gateway::start(&address);
    gateway.until("the worker", "w", |advert| advert.slots == 5).await;
    for used in [3, 5, 0] {
        worker.says(&busy("w", used));
        gateway.until("the change", "w", |advert| advert.used == used).await;
    }
    assert!(gateway.reachable());
    assert_eq!(*gateway.counted.reachable.lock().unwrap(), [true]);
    assert_eq!(gateway.counted.rejected.lock().unwrap().len(), 0);
}

async fn every_line_of_the_schema_shows_the_truth(bed: &mut impl Bed) {
    let worker = Worker::start(&bed.address(), "w.1_2");
    let told = || bed.cli(&["HGET", "cluster:active_connections", "chromium:w.1_2"]);
    wait("the worker to be told", || told() == "0").await;
    worker.says(&busy("w.1_2", 5));
    wait("its sessions to be told", || told() == "5").await;
    let about = bed.cli(&["HGETALL", "worker:chromium:w.1_2"]);
    let lines: Vec<_> = about.lines().collect();
    let field = |name| lines.iter().position(|line| *line == name).map(|at| lines[at + 1]);
    for (name, value) in [
        ("browserType", "chromium"),
        ("endpoint", "10.0.0.1:3131"),
        ("status", "busy"),
        ("startedAt", "1700000000000"),
        ("slots", "5"),
        ("used", "5"),
        ("versions", "1.65"),
        ("release", "0.1.0"),
        ("instance", "w.1_2-one"),
    ] {
        assert_eq!(field(name), Some(value), "{about}");
    }
    let heartbeat: u128 = field("lastHeartbeat").unwrap().parse().unwrap();
    assert!(millis_now().abs_diff(heartbeat) < 10_000, "{heartbeat}");
    for (command, value) in [
        (&["HGET", "worker:firefox:w.1_2", "browserType"][..], "firefox"),
        (&["HGET", "cluster:active_connections", "firefox:w.1_2"], "0"),
        (&["HGET", "cluster:lifetime_connections", "chromium:w.1_2"], "15"),
        (&["HLEN", "cluster:lifetime_connections"], "2"),
        (&["HLEN", "flotilla:workers"], "1"),
        (&["EXISTS", "worker:webkit:w.1_2"], "0"),
    ] {
        assert_eq!(bed.cli(command), value, "{command:?}");
    }
    let left: u128 = bed.cli(&["PTTL", "worker:chromium:w.1_2"]).parse().unwrap();
    assert!(left <= TTL.as_millis(), "{left} ms");
    worker.says(&flotilla_core::Advert { draining: true, ..busy("w.1_2", 5) });
    let status = || bed.cli(&["HGET", "worker:chromium:w.1_2", "status"]);
    wait("the drain to be told", || status() == "draining").await;
}

async fn redis_dies_and_whoever_comes_in_its_place_knows_the_worker_soon(bed: &mut impl Bed) {
    let address = bed.address();
    let worker = Worker::start(&address, "w");
    let gateway = Gateway::start(&address);
    gateway.until("the worker", "w", |_| true).await;
    bed.kill9();
    wait("the gateway to be blind", || !gateway.reachable()).await;
    worker.says(&busy("w", 2));
    let age = || gateway.view.view(|view, now| view.workers().next().unwrap().age(now));
    // Sentinels have another master before that.
    wait("two TTLs to pass", || age() > 2 * TTL || gateway.reachable()).await;
    assert_ne!(gateway.known("w").unwrap().standing, Standing::Expired);
    bed.come_back();
    gateway.until("what changed meanwhile", "w", |advert| advert.used == 2).await;
    wait("the gateway to see again", || gateway.reachable()).await;
    assert_ne!(gateway.known("w").unwrap().standing, Standing::Expired);
    wait("the key", || bed.cli(&["HGET", "worker:chromium:w", "used"]) == "2").await;
    for counted in [&worker.counted, &gateway.counted] {
        assert_eq!(*counted.reachable.lock().unwrap(), [true, false, true]);
    }
}

async fn what_is_wiped_is_back_after_a_heartbeat(bed: &mut impl Bed) {
    let address = bed.address();
    let _worker = Worker::start(&address, "w");
    let gateway = Gateway::start(&address);
    gateway.until("the worker", "w", |_| true).await;
    bed.wipe();
    let expiry = || bed.cli(&["PTTL", "worker:firefox:w"]).parse::<i64>().unwrap();
    wait("its key", || expiry() > 0).await;
    for hash in ["flotilla:workers", "cluster:active_connections", "cluster:lifetime_connections"] {
        wait("its entry", || bed.cli(&["HLEN", hash]) != "0").await;
    }
    assert_ne!(gateway.known("w").unwrap().standing, Standing::Expired);
    assert_eq!(*gateway.counted.reachable.lock().unwrap(), [true]);
}

async fn a_worker_that_stops_leaves_nothing_behind(bed: &mut impl Bed) {
    let address = bed.address();
    let (worker, other) = (Worker::start(&address, "w"), Worker::start(&address, "v"));
    let gateway = Gateway::start(&address);
    gateway.until("one worker", "w", |_| true).await;
    gateway.until("the other", "v", |_| true).await;
    worker.stop().await;
    wait("the goodbye", || gateway.known("w").is_none()).await;
    assert_eq!(bed.cli(&["EXISTS", "worker:chromium:w"]), "0");
    assert_eq!(bed.cli(&["HKEYS", "flotilla:workers"]), "v");
    assert_eq!(bed.cli(&["HLEN", "cluster:active_connections"]), "2");
    other.stop().await;
    wait("the other goodbye", || gateway.known("v").is_none()).await;
    assert_eq!(bed.cli(&["KEYS", "*"]), "");
    assert_eq!(gateway.counted.rejected.lock().unwrap().len(), 0);
}

async fn what_is_said_is_heard_at_once_and_what_was_said_before_is_looked_up(bed: &mut impl Bed) {
    let address = bed.address();
    let first = Gateway::paced(&address, NEVER, NEVER);
    wait("the gateway to listen", || first.reachable()).await;
    let mut worker = Worker::paced(&address, "w", NEVER, NEVER);
    first.until("the worker", "w", |_| true).await;
    worker.says(&busy("w", 3));
    first.until("the change", "w", |advert| advert.used == 3).await;
    let later = Gateway::paced(&address, NEVER, NEVER);
    later.until("what was said before", "w", |advert| advert.used == 3).await;
    let (id, drain) = (WorkerId("w".into()), WorkerCommand::Drain);
    command(&address, &id, BrowserKind::Chromium, drain, NEVER).await.unwrap();
    assert_eq!(worker.next_command().await, drain);
}

async fn a_command_arrives_once(bed: &mut impl Bed) {
    let address = bed.address();
    let mut worker = Worker::start(&address, "w");
    let mut other = Worker::start(&address, "v");
    wait("it to be told", || worker.told() > 0 && other.told() > 0).await;
    let id = WorkerId("w".into());
    for what in [WorkerCommand::Drain, WorkerCommand::Undrain, WorkerCommand::Shutdown] {
        command(&address, &id, BrowserKind::Firefox, what, TTL).await.unwrap();
        assert_eq!(worker.next_command().await, what);
    }
    assert_eq!(bed.cli(&["EXISTS", "worker:cmd:firefox:w"]), "0");
    // As the guide has it, and nobody tells the worker.
    bed.cli(&["SET", "worker:cmd:chromium:w", "shutdown", "EX", "60"]);
    bed.cli(&["SET", "worker:cmd:webkit:w", "make coffee", "EX", "60"]);
    assert_eq!(worker.next_command().await, WorkerCommand::Shutdown);
    wait("what is none to be taken away", || bed.cli(&["EXISTS", "worker:cmd:webkit:w"]) == "0")
        .await;
    let told = worker.told();
    wait("two more heartbeats", || worker.told() > told + 2).await;
    assert_eq!((worker.commands(), other.commands()), (vec![], vec![]));
}

async fn what_nobody_refreshes_goes_by_itself(bed: &mut impl Bed) {
    let worker = Worker::start(&bed.address(), "w");
    wait("the key", || bed.cli(&["EXISTS", "worker:chromium:w"]) == "1").await;
    worker.die();
    wait("the key to go", || bed.cli(&["EXISTS", "worker:chromium:w"]) == "0").await;
    assert_eq!(bed.cli(&["EXISTS", "worker:firefox:w"]), "0");
}

async fn the_fleet_is_read_at_once(bed: &mut impl Bed) {
    let address = bed.address();
    let worker = Worker::start(&address, "w");
    let dead = Worker::start(&address, "dead");
    wait("them to be told", || worker.told() > 0 && dead.told() > 0).await;
    bed.cli(&["HSET", "flotilla:workers", "liar", "nonsense"]);
    let ids = async || {
        let fleet = read_fleet(&address, &keyring()).await.unwrap();
        fleet.into_iter().map(|advert| advert.id.0).collect::<Vec<_>>()
    };
    assert_eq!(ids().await, ["dead", "w"]);
    dead.die();
    wait("the dead one's key to go", || bed.cli(&["EXISTS", "worker:chromium:dead"]) == "0").await;
    assert_eq!(ids().await, ["w"]);
}

#[tokio::test]
async fn who_cannot_be_reached_is_named() {
    let nobody = |host: &str, port| {
        let redis_host = Some(host.to_owned());
        let settings = Settings { redis_host, redis_port: port, ..Settings::default() };
        RedisAddress::parse(&settings).unwrap()
    };
    let unresolved = read_fleet(&nobody("no-such-host.invalid", 6379), &keyring()).await;
    let words = unresolved.unwrap_err().to_string();
    assert!(words.contains("no-such-host.invalid:6379: the name does not resolve"), "{words}");
    let refused = read_fleet(&nobody("127.0.0.1", 1), &keyring()).await;
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("127.0.0.1:1: Connection refused"), "{words}");
}
