//! What must be in no log: the fleet's secret, the password of Redis, and anything that is signed.

use flotilla_testkit::fleet::Fleet;
use flotilla_testkit::redis::{Redis, RedisBuilder};
use flotilla_testkit::role::Role;

use super::fleet;

/// The password of Redis.
const PASSWORD: &str = "open-sesame-of-redis";

/// A fleet that logs all there is to log, over a Redis with a password.
pub(super) fn talkative() -> (Redis, Fleet) {
    let redis = Redis::builder().password(PASSWORD);
    let redis = RedisBuilder::start(redis);
    let fleet = fleet(&redis.url()).env("LOG_LEVEL", "trace");
    (redis, fleet)
}

/// Checks that they have kept them.
pub(super) fn kept(fleet: &Fleet, roles: &[&Role]) {
    let logs: Vec<_> = roles.iter().map(|role| role.log()).collect();
    assert!(logs.iter().any(|log| log.contains("DEBUG")), "they tell everything: {logs:?}");
    for log in logs {
        assert!(log.contains("Redis is there"), "it is a log: {log}");
        let told = told(&log, &[fleet.secret(), PASSWORD]);
        assert_eq!(told, Vec::<&str>::new(), "this is in its log:\n{log}");
    }
}

/// The secrets in this text, and what looks like a signature: 43 letters of Base64.
fn told<'a>(text: &'a str, secrets: &[&'a str]) -> Vec<&'a str> {
    const SIGNATURE: usize = 43;
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let signed = text.split(|c| !letter(c)).filter(|word| word.len() >= SIGNATURE);
    secrets.iter().copied().filter(|secret| text.contains(secret)).chain(signed).collect()
}

#[test]
fn a_secret_in_a_log_would_be_found() {
    use flotilla_core::keyring::{Keyring, Purpose};
    let keyring = Keyring::parse("a-secret-of-the-fleet").unwrap();
    let sealed = keyring.seal(Purpose::Ticket, b"{}");
    let signature = sealed.rsplit('.').find(|part| part.len() == 43).unwrap();
    let log = format!("GET /session/{sealed} HTTP/1.1\nredis://:{PASSWORD}@127.0.0.1:6379\n");
    assert_eq!(told(&log, &[PASSWORD]), [PASSWORD, signature]);
    assert_eq!(told("worker=0123456789abcdef at 127.0.0.1:3131", &[PASSWORD]), [""; 0]);
}
