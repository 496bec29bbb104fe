//! What must hold between settings besides the timing rules.

use std::net::IpAddr;

use super::Config;
use super::error::Violation;
use super::read::{Entry, Origin, Role};
use super::rules::entry;
use crate::advert::is_name;
use crate::ticket::LONGEST;

/// Lets defaults follow what was set: a grid that serves only Firefox has Firefox as its default.
pub(super) fn follow(config: &mut Config, entries: &mut [Entry]) {
    let browsers = &mut config.browsers;
    let Some(first) = browsers.browsers.first().copied() else {
        return;
    };
    let row = entries.iter_mut().find(|entry| entry.setting.key == "default_browser");
    if let Some(row) = row
        && row.origin == Origin::Default
        && !browsers.browsers.contains(&browsers.default_browser)
    {
        browsers.default_browser = first;
        row.value = first.to_string();
        row.toml = format!("{:?}", first.as_str());
    }
}

/// Says what does not go together.
pub(super) fn check(config: &Config, entries: &[Entry], role: Role) -> Vec<Violation> {
    let said = |key| entry(entries, key).map(ToString::to_string).unwrap_or_default();
    let mut violations = Vec::new();
    let mut violation = |keys: &[&'static str], message| {
        violations.push(Violation { keys: keys.to_vec(), message });
    };
    if role != Role::Worker && !is_loopback(&config.listen.host) && !config.listen.allow_anyone {
        violation(
            &["host", "allow_anyone"],
            format!(
                "{}, which other machines can reach, and there are no API keys: whoever reaches \
                 this grid could drive its browsers, and through them what this machine reaches. \
                 Listen on 127.0.0.1, or say --allow-anyone where that is what you want",
                said("host")
            ),
        );
    }
    if role != Role::Standalone {
        violations.extend(of_fleet(config));
    }
    let mut violation = |keys: &[&'static str], message| {
        violations.push(Violation { keys: keys.to_vec(), message });
    };
    let browsers = &config.browsers;
    if !browsers.browsers.is_empty() && !browsers.browsers.contains(&browsers.default_browser) {
        violation(
            &["default_browser", "browsers"],
            format!(
                "{}, but {}: make the default one of the browsers that are served",
                said("default_browser"),
                said("browsers")
            ),
        );
    }
    if let Some(version) = browsers.default_version
        && !browsers.versions.is_empty()
        && !browsers.versions.contains(&version)
    {
        violation(
            &["default_version", "versions"],
            format!(
                "{}, but {}: make the default one of the versions that are served",
                said("default_version"),
                said("versions")
            ),
        );
    }
    violations
}

/// What a process needs that is a part of a grid only.
fn of_fleet(config: &Config) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut violation = |keys: &[&'static str], message: &str| {
        violations.push(Violation { keys: keys.to_vec(), message: message.to_owned() });
    };
    if config.redis.redis_url.is_none() && config.redis.redis_host.is_none() {
        violation(
            &["redis_url", "redis_host"],
            "neither redis_url nor redis_host is set: gateways and workers find each other through \
             Redis. Set REDIS_URL=redis://HOST:6379 (for a grid in one process: flotilla up)",
        );
    }
    let fleet = &config.fleet;
    if fleet.fleet_secret.is_none() && fleet.fleet_secret_file.is_none() {
        violation(
            &["fleet_secret", "fleet_secret_file"],
            "neither fleet_secret nor fleet_secret_file is set: without a shared secret a worker \
             could not tell a gateway from anybody else. Set FLOTILLA_FLEET_SECRET to the same \
             text on all of them (openssl rand -hex 32 makes one)",
        );
    }
    if let Some(id) = fleet.worker_id.as_deref().filter(|id| !is_name(id)) {
        let message = format!(
            "worker_id is {id:?}: a worker's name is 1 to 64 letters, digits, dots, dashes and \
             underscores"
        );
        violation(&["worker_id"], &message);
    }
    if let Some(public) = fleet.public_endpoint.as_deref().filter(|url| !is_address(url)) {
        let message = format!(
            "public_endpoint is {public:?}: write the address that clients connect to, such as \
             ws://worker-1.example.com:3131 or wss://grid.example.com/worker-1 (a path, but no \
             query)"
        );
        violation(&["public_endpoint"], &message);
    }
    if fleet.reservation_timeout > LONGEST {
        let message = format!(
            "reservation_timeout is {} s: a slot is kept for {} s at most for a client that does \
             not come",
            fleet.reservation_timeout.as_secs(),
            LONGEST.as_secs()
        );
        violation(&["reservation_timeout"], &message);
    }
    violations
}

/// Whether a client can be sent to a path beneath this.
fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("wss://"));
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
}

/// Whether only this machine can connect. Names other than `localhost` may be anything.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
