//! Redis does what a test asks of it, and leaves nothing behind.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::hosts::Hosts;
use crate::procs;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn it_answers_at_its_url_and_is_gone_with_its_value() {
    let redis = Redis::start();
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}", redis.port()));
    assert_eq!(redis.cli(&["SET", "key", "two words"]), "OK");
    assert_eq!(redis.cli(&["GET", "key"]), "two words");
    assert!(redis.cli(&["HGETALL", "key"]).starts_with("WRONGTYPE"));
    let (pid, folder) = (redis.pid(), redis.folder().to_owned());
    assert_eq!(procs::find(pid).unwrap().name, "redis-server");
    drop(redis);
    assert_eq!(procs::find(pid), None);
    assert!(!folder.exists());
}

#[test]
fn its_url_is_known_before_it_starts() {
    let builder = Redis::builder().password("sesame");
    let url = builder.url();
    assert_eq!(url, format!("redis://:sesame@127.0.0.1:{}", builder.port()));
    assert_eq!(builder.start().url(), url);
}

#[test]
fn killed_and_restarted_it_has_the_same_port_and_no_data() {
    let mut redis = Redis::start();
    let (port, pid) = (redis.port(), redis.pid());
    redis.cli(&["SET", "key", "1"]);
    redis.kill9();
    assert!(!redis.try_cli(&["PING"]).status.success(), "it is dead");
    redis.restart();
    assert_eq!((redis.port(), redis.cli(&["EXISTS", "key"]).as_str()), (port, "0"));
    assert_ne!(redis.pid(), pid);
}

#[test]
fn with_an_append_only_file_it_forgets_only_when_its_disk_is_new() {
    let mut redis = Redis::builder().appendonly().start();
    redis.cli(&["SET", "key", "1"]);
    redis.kill9();
    redis.restart();
    assert_eq!(redis.cli(&["GET", "key"]), "1");
    redis.restart_empty();
    assert_eq!(redis.cli(&["EXISTS", "key"]), "0");
    redis.cli(&["SET", "key", "2"]);
    redis.wipe();
    assert_eq!(redis.cli(&["EXISTS", "key"]), "0");
}

#[test]
fn whoever_does_not_know_the_password_is_refused() {
    let redis = Redis::builder().password("sesame").config("maxmemory 3mb").start();
    assert_eq!(redis.cli(&["CONFIG", "GET", "maxmemory"]), "maxmemory\n3145728");
    let mut stranger = redis.setup.cli();
    let answer = stranger.env_remove("REDISCLI_AUTH").arg("PING").output().unwrap();
    assert!(words(&answer).starts_with("NOAUTH"), "{}", words(&answer));
}

#[test]
fn with_tls_it_shows_a_certificate_that_its_ca_signed_and_no_other() {
    let redis = Redis::builder().tls().start();
    assert!(redis.url().starts_with("rediss://127.0.0.1:"));
    assert_eq!(redis.cli(&["PING"]), "PONG");
    let verify = |ca: &Path| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &redis.address(), "-verify_ip", "127.0.0.1"]);
        command.args(["-verify_return_error", "-brief", "-CAfile"]).arg(ca);
        command.stdin(std::process::Stdio::null()).output().unwrap()
    };
    let ours = verify(&redis.ca());
    assert!(words(&ours).contains("Verification: OK"), "{}", words(&ours));
    let other = Redis::builder().tls().start();
    let strange = verify(&other.ca());
    assert!(!strange.status.success(), "{}", words(&strange));
}

#[test]
fn frozen_it_accepts_and_says_nothing_until_it_is_thawed() {
    use std::io::{Read as _, Write as _};
    let redis = Redis::start();
    redis.freeze();
    let mut stream = std::net::TcpStream::connect(redis.address()).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut answer = [0; 7];
    assert!(stream.read(&mut answer).is_err(), "it is frozen");
    redis.thaw();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn on_a_host_of_its_own_it_is_asked_although_the_network_is_cut() {
    let Some(hosts) = Hosts::new_or_say() else { return };
    let (host, other) = (hosts.add("redis"), hosts.add("other"));
    let redis = Redis::builder().at(&host).start();
    assert_eq!(redis.address(), format!("{}:{}", host.address(), redis.port()));
    let ping = |mut command: Command| command.args(["-u", &redis.url(), "PING"]).output().unwrap();
    assert_eq!(words(&ping(Command::new("redis-cli"))), "PONG");
    assert_eq!(words(&ping(other.command("redis-cli"))), "PONG");
    host.lose_incoming();
    assert_eq!(redis.cli(&["PING"]), "PONG");
    let mut stream = other.run(|| {
        std::net::TcpStream::connect_timeout(
            &redis.address().parse().unwrap(),
            Duration::from_millis(300),
        )
    });
    assert!(stream.is_err(), "nobody else reaches it");
    host.mend();
    stream = other.run(|| std::net::TcpStream::connect(redis.address()));
    assert!(stream.is_ok());
}

#[test]
fn sentinels_make_the_replica_the_master_when_that_dies() {
    let mut set = Sentinels::start_with(3, |redis| redis.password("sesame"));
    assert_eq!((set.master(), set.addresses().len()), (0, 3));
    set.servers[0].cli(&["SET", "key", "1"]);
    wait_until("the replica to have it", SOON, || set.servers[1].cli(&["GET", "key"]) == "1");
    set.servers[0].kill9();
    set.wait_master(1, SOON);
    set.servers[0].restart();
    wait_until("the old master to follow", SOON, || {
        set.servers[0].cli(&["GET", "key"]) == "1"
            && set.servers[0].cli(&["ROLE"]).starts_with("slave")
    });
}

#[test]
fn one_sentinel_is_enough_for_a_failover() {
    let mut set = Sentinels::start(1);
    set.servers[0].kill9();
    set.wait_master(1, SOON);
}

#[test]
fn a_cluster_spreads_its_keys_over_three_nodes() {
    let cluster = Cluster::new();
    assert_eq!(cluster.addresses().len(), 3);
    let answers = ["a", "b", "c"].map(|key| cluster.nodes[0].cli(&["SET", key, "1"]));
    let moved = answers.iter().filter(|answer| answer.starts_with("MOVED")).count();
    assert!(moved > 0 && moved < 3, "{answers:?}");
}
