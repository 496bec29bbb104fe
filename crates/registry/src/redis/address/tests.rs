//! Addresses that are read, and those that are refused.

use super::*;

fn read(url: &str) -> Result<RedisAddress, InvalidAddress> {
    RedisAddress::parse(&Redis { redis_url: Some(Secret::new(url)), ..Redis::default() })
}

fn password(address: &RedisAddress) -> Option<&str> {
    address.login.password.as_ref().map(Secret::reveal)
}

#[test]
fn every_kind_of_redis_has_its_address() {
    let plain = read("redis://redis.internal").unwrap();
    assert_eq!((plain.to_string().as_str(), plain.database), ("redis.internal:6379", 0));
    let whole = read("rediss://user:pass@10.0.0.1:7000/3").unwrap();
    assert_eq!((whole.to_string().as_str(), whole.database), ("10.0.0.1:7000", 3));
    assert_eq!(
        (whole.tls, password(&read("redis://pass@a").unwrap())),
        (Some(Tls::default()), Some("pass"))
    );
    let watched = read("redis-sentinel://:pass@a:1,b/fleet/2").unwrap();
    assert_eq!(
        (watched.to_string().as_str(), watched.database),
        ("fleet of the Sentinels a:1,b:26379", 2)
    );
    let cluster = read("rediss-cluster://a,[::1]:7001").unwrap();
    assert_eq!(cluster.to_string(), "the cluster of a:6379,[::1]:7001");
}

#[test]
fn special_characters_in_a_password_are_percent_encoded() {
    let address = read("redis://us%3Aer:p%40%2F%25%C3%BC@host").unwrap();
    assert_eq!(password(&address), Some("p@/%ü"));
    assert_eq!(address.login.user.as_ref().map(Secret::reveal), Some("us:er"));
}

#[test]
fn a_host_and_a_port_are_enough() {
    let settings = Redis { redis_host: Some("redis".into()), redis_port: 6380, ..Redis::default() };
    assert_eq!(RedisAddress::parse(&settings).unwrap().to_string(), "redis:6380");
    assert_eq!(RedisAddress::parse(&Redis::default()), Err(InvalidAddress::Missing));
}

#[test]
fn what_is_wrong_is_said_and_no_part_of_it_is_shown() {
    for (url, says) in [
        ("hunter2@host", "begins with"),
        ("hunter2://host", "begins with"),
        ("redis-hunter2://host", "begins with"),
        ("redis://user:hunter2", "an @ and the host are missing"),
        ("redis://:hunter2/x@host", "%2F"),
        ("redis://:hunter2#x@host", "%23"),
        ("redis://:hun:ter2@host", "%3A"),
        ("redis://:hunter2@@host@", "%40"),
        ("redis://:hunter2%@host", "%25"),
        ("redis://:hunter2@", "there are hosts"),
        ("redis://:hunter2@host:0", "1 to 65535"),
        ("redis://:hunter2@host/hunter2", "number of a database"),
        ("redis://:hunter2@a,b", "one server"),
        ("redis-sentinel://:hunter2@a", "which master"),
        ("redis-cluster://:hunter2@a/1", "no database but 0"),
        ("redis://:hunter2@[::1", "ends with ]"),
    ] {
        let error = read(url).expect_err(url).to_string();
        assert!(error.contains(says), "{url}: {error}");
        assert!(!error.contains("hunter2") && !error.contains("ter2"), "{error}");
    }
}

#[test]
fn an_address_prints_without_user_and_password() {
    let address = read("redis://operator:hunter2@host/1").unwrap();
    for shown in [format!("{address:?}"), format!("{address}"), format!("{:#?}", address.login)] {
        assert!(!shown.contains("hunter2") && !shown.contains("operator"), "{shown}");
    }
}

#[test]
fn a_file_of_certificates_must_be_one_and_be_needed() {
    let settings = |url: &str, file: &str| Redis {
        redis_url: Some(Secret::new(url)),
        redis_ca_file: Some(file.to_owned()),
        ..Redis::default()
    };
    let wrong = |url, file| RedisAddress::parse(&settings(url, file)).unwrap_err().to_string();
    assert!(wrong("redis://host", "/etc/hostname").contains("rediss://"));
    assert!(wrong("rediss://host", "/nonexistent").contains("/nonexistent: No such file"));
    assert!(wrong("rediss://host", "/dev/null").contains("no certificate"));
}
