//! Lies in Redis: each is counted and logged, and costs nobody anything.

use flotilla_core::goodbye::Goodbye;
use flotilla_core::keyring::{Keyring, Purpose};
use flotilla_core::{Advert, Instance, WorkerId};
use flotilla_testkit::redis::Redis;

use crate::logs;
use crate::support::*;

/// One who tells lies, a worker that does not, and a gateway that hears both.
struct Court {
    redis: Redis,
    worker: Worker,
    gateway: Gateway,
}

impl Court {
    async fn start(id: &str) -> Self {
        let redis = Redis::start();
        let address = address(&redis.url());
        let worker = Worker::start(&address, id);
        // The lies shall stay.
        let gateway = Gateway::clearing_away(&address, NEVER);
        gateway.until("the worker", id, |advert| advert.slots == 5).await;
        Self { redis, worker, gateway }
    }

    /// Waits until a reason was counted, and then that all is as if nothing had been said.
    async fn rejects(&self, reason: &str, id: &str) {
        wait(reason, || self.gateway.rejected(reason) > 0).await;
        let told = self.worker.told();
        self.worker.says(&busy(id, (told % 5) as usize));
        wait("the worker to be told", || self.worker.told() > told + 1).await;
        let used = (told % 5) as usize;
        self.gateway.until("its word to count", id, |advert| advert.used == used).await;
        assert!(self.gateway.reachable());
    }
}

fn sealed(json: &str) -> String {
    format!("{} {json}", keyring().sign(Purpose::Advert, json.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_that_stand_there_are_counted_and_logged_once() {
    let court = Court::start("honest-1").await;
    let theirs = Keyring::parse("the-secret-of-somebody-else").unwrap();
    let negative = json(&advert("liar-negative")).replacen("\"used\":0", "\"used\":-1", 1);
    let lies = [
        ("liar-garbage", "nonsense".to_owned(), "forged"),
        ("liar-forger", advert("liar-forger").seal(&theirs), "forged"),
        ("liar-negative", sealed(&negative), "malformed"),
        ("liar-many", Advert { used: 9, ..advert("liar-many") }.seal(&keyring()), "absurd"),
        ("liar-thief", advert("honest-1").seal(&keyring()), "misfiled"),
    ];
    for (liar, value, _) in &lies {
        court.redis.cli(&["HSET", "flotilla:workers", liar, value]);
    }
    for (liar, _, reason) in lies {
        court.rejects(reason, "honest-1").await;
        wait("more looks", || court.gateway.rejected(reason) > 3).await;
        let lines = logs::with(&["not believed", liar]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(court.gateway.known(liar).is_none());
    }
    let known = court.gateway.known("honest-1").unwrap();
    assert_eq!(known.advert.endpoint, "10.0.0.1:3131");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_huge_or_no_text_is_not_shown_in_the_log() {
    let court = Court::start("honest-2").await;
    for (field, value, reason) in [
        ("liar-huge", "string.rep('y', 1048576)", "too_long"),
        ("liar-bytes", "'\\255\\254'", "forged"),
    ] {
        let script = format!("return redis.call('HSET', 'flotilla:workers', '{field}', {value})");
        court.redis.cli(&["EVAL", &script, "0"]);
        court.rejects(reason, "honest-2").await;
        let lines = logs::with(&["not believed", field]);
        assert!(lines.len() == 1 && lines[0].len() < 500, "{} lines", lines.len());
    }
    let script = "return redis.call('HSET', 'flotilla:workers', string.rep('z', 1048576), '1')";
    court.redis.cli(&["EVAL", script, "0"]);
    wait("the huge name to be logged", || logs::with(&["not believed", "zzzz"]).len() == 1).await;
    assert!(logs::with(&["not believed", "zzzz"])[0].len() < 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_that_are_said_are_counted() {
    let court = Court::start("honest-3").await;
    let say = |text: &str| court.redis.cli(&["PUBLISH", "flotilla:fleet", text]);
    assert_eq!(say("nonsense"), "1");
    court.rejects("forged", "honest-3").await;
    say(&sealed("{}"));
    court.rejects("malformed", "honest-3").await;
    let script = "return redis.call('PUBLISH', 'flotilla:fleet', string.rep('x', 1048576))";
    court.redis.cli(&["EVAL", script, "0"]);
    court.rejects("too_long", "honest-3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_says_goodbye_for_another() {
    let court = Court::start("honest-4").await;
    let say = |text: &str| court.redis.cli(&["PUBLISH", "flotilla:goodbyes", text]);
    let goodbye = |instance: &str| Goodbye {
        id: WorkerId("honest-4".into()),
        instance: Instance(instance.into()),
    };
    let theirs = Keyring::parse("the-secret-of-somebody-else").unwrap();
    say(&goodbye("honest-4-one").seal(&theirs));
    court.rejects("forged", "honest-4").await;
    // What it said at the end of an earlier life, said again.
    say(&goodbye("honest-4-zero").seal(&keyring()));
    say("and this, so that we know that it was heard");
    wait("it to be heard", || court.gateway.rejected("forged") == 2).await;
    assert!(court.gateway.known("honest-4").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_advert_said_again_changes_nothing() {
    let court = Court::start("honest-5").await;
    let old = court.redis.cli(&["HGET", "flotilla:workers", "honest-5"]);
    court.worker.says(&busy("honest-5", 4));
    court.gateway.until("the change", "honest-5", |advert| advert.used == 4).await;
    court.redis.cli(&["PUBLISH", "flotilla:fleet", &old]);
    court.redis.cli(&["PUBLISH", "flotilla:fleet", "so that we know that it was heard"]);
    wait("it to be heard", || court.gateway.rejected("forged") == 1).await;
    assert_eq!(court.gateway.known("honest-5").unwrap().advert.used, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_type_costs_no_change_and_no_command() {
    let mut court = Court::start("honest-6").await;
    court.redis.cli(&["SET", "flotilla:workers", "something else"]);
    wait("it to be counted", || court.gateway.rejected("wrong_type") > 0).await;
    court.worker.says(&busy("honest-6", 3));
    court.gateway.until("the change", "honest-6", |advert| advert.used == 3).await;
    court.redis.cli(&["SET", "worker:cmd:chromium:honest-6", "drain", "EX", "60"]);
    court.worker.next_command().await;
    assert_eq!(logs::with(&["WRONGTYPE", "cannot be used", &court.redis.address()]).len(), 1);
    court.redis.cli(&["DEL", "flotilla:workers"]);
    wait("it to be there again", || court.redis.cli(&["HLEN", "flotilla:workers"]) == "1").await;
}

/// An advert's JSON, without its signature.
fn json(advert: &Advert) -> String {
    advert.seal(&keyring()).split_once(' ').unwrap().1.to_owned()
}
