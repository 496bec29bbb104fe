//! Redis is full of lies, some of them signed: each is counted and told, and costs nobody a session.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use flotilla_core::keyring::{Keyring, Purpose};
use flotilla_core::{Advert, Instance, WorkerId, wire};
use flotilla_testkit::program::Program;
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::{wait_equal, wait_until};

use super::clients::{closes, opens, works};
use super::doors::{advert_of, keyring};
use super::probe::Probe;
use super::{measured, secrets};
use crate::{NEWEST, SOON};

/// Somebody who listens and is no worker: answers everything with this, or nothing at all.
struct Impostor {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

// === impl Impostor ===

impl Impostor {
    fn new(answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let mut line = String::new();
                let _ = BufReader::new(&stream).read_line(&mut line);
                heard.lock().unwrap().push(line);
                match answer {
                    Some(answer) => drop(stream.write_all(answer.as_bytes())),
                    None => silent.push(stream),
                }
            }
        });
        Self { endpoint, asked }
    }
}

/// Files it under that name, and tells everybody.
fn tell(redis: &Redis, name: &str, advert: &str) {
    redis.cli(&["HSET", "flotilla:workers", name, advert]);
    redis.cli(&["PUBLISH", "flotilla:fleet", advert]);
}

/// Signed as an advert, whatever it says.
fn signed(keyring: &Keyring, json: &str) -> String {
    format!("{} {json}", keyring.sign(Purpose::Advert, json.as_bytes()))
}

#[test]
fn lies_in_redis_are_counted_and_told_and_cost_nobody_a_session() {
    let (redis, fleet) = secrets::talkative();
    let fleet = fleet.env("HEARTBEAT_INTERVAL", "500ms").env("REDIS_KEY_TTL", 4);
    let (gateway, honest) = (fleet.gateway().start(), fleet.worker().start());
    gateway.wait_workers(1, SOON);
    let node = Program::node(NEWEST, gateway.endpoint());
    opens(&node, "kept");
    let probe = Probe::start(&gateway);
    let keyring = keyring(&fleet);

    // Everybody would go there, if a signature were enough.
    let truth = advert_of(&honest, &keyring);
    let liar = |name: &str, endpoint: &str| Advert {
        id: WorkerId(name.into()),
        instance: Instance("a-life".into()),
        endpoint: endpoint.into(),
        slots: 1000,
        used: 0,
        ..truth.clone()
    };
    let chatty = Impostor::new(Some("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
    let silent = Impostor::new(None);
    for (name, endpoint) in [
        ("chatty", chatty.endpoint.as_str()),
        ("silent", &silent.endpoint),
        ("mirror", honest.endpoint()),
        ("nowhere", "256.1.1.1:0"),
    ] {
        tell(&redis, name, &liar(name, endpoint).seal(&keyring));
    }
    let json = serde_json::to_string(&liar("liar", honest.endpoint())).unwrap();
    for (from, to) in [("\"used\":0", "\"used\":-3"), ("\"used\":0", "\"used\":1001")] {
        tell(&redis, "liar", &signed(&keyring, &json.replacen(from, to, 1)));
    }
    tell(&redis, "garbage", "\u{1}\u{2} garbage");
    // As if the honest one had nothing left.
    let full = Advert { used: truth.slots, seq: u64::MAX, ..truth.clone() };
    let theirs = Keyring::parse("some-other-secret-of-theirs").unwrap();
    tell(&redis, honest.id(), &full.seal(&theirs));
    redis.cli(&["HSET", "flotilla:workers", "thief", &truth.seal(&keyring)]);
    for command in ["'HSET', 'flotilla:workers', 'huge'", "'PUBLISH', 'flotilla:fleet'"] {
        let script = format!("return redis.call({command}, string.rep('x', 1048576))");
        redis.cli(&["EVAL", &script, "0"]);
    }
    redis.cli(&["PUBLISH", "flotilla:goodbyes", "goodbye"]);
    redis.cli(&["HSET", "cluster:active_connections", "chromium:liar", "-7"]);
    redis.cli(&["SET", &format!("worker:cmd:chromium:{}", honest.id()), "explode"]);
    let intruder = fleet.worker().env("FLOTILLA_FLEET_SECRET", "some-other-secret-of-theirs");
    let intruder = intruder.start();

    for reason in ["forged", "malformed", "absurd", "misfiled", "too_long"] {
        let label = format!("reason=\"{reason}\"");
        wait_until(reason, SOON, || {
            gateway.metric("flotilla_registry_rejected_total", &[&label]) >= Some(1.0)
        });
    }
    let has_line = |role: &flotilla_testkit::role::Role, words: &[&str]| {
        wait_until(&format!("a line with {words:?}"), SOON, || {
            role.log().lines().any(|line| words.iter().all(|word| line.contains(word)))
        });
    };
    for liar in ["liar", "garbage", "thief", "huge", intruder.id()] {
        has_line(&gateway, &["not believed", liar]);
    }
    has_line(&gateway, &["cannot be reached", "chatty", "it is no worker"]);
    has_line(&gateway, &["cannot be reached", "silent"]);
    has_line(&gateway, &["cannot be reached", "mirror", "another worker answers"]);
    has_line(&gateway, &["cannot be reached", "nowhere"]);
    has_line(&honest, &["unknown command"]);
    assert!(gateway.metric("flotilla_worker_dial_failures_total", &[]) >= Some(4.0));

    // Somebody has taken the place of everything.
    redis.cli(&["DEL", "flotilla:workers"]);
    redis.cli(&["SET", "flotilla:workers", "mine"]);
    probe.wait_more(20);
    redis.cli(&["DEL", "flotilla:workers"]);
    let there = || redis.cli(&["HEXISTS", "flotilla:workers", honest.id()]);
    wait_equal("the honest one to be there again", SOON, &"1".to_owned(), there);
    measured(format_args!("among liars: {:?}", probe.finish()));
    works(&node, "kept");
    assert_eq!(gateway.status().available_workers(), 1);
    assert_eq!(intruder.status().workers[0].sessions_served, 0);
    for impostor in [&chatty, &silent] {
        let asked = impostor.asked.lock().unwrap();
        let strange = asked.iter().find(|line| !line.contains(wire::HELLO_PATH));
        assert_eq!(
            (strange, asked.is_empty()),
            (None, false),
            "who is no worker is shown no ticket"
        );
    }
    closes(&node, "kept");
    secrets::kept(&fleet, &[&gateway, &honest, &intruder]);
    gateway.stop_and_check();
    intruder.stop_and_check();
    honest.stop_and_check();
}
