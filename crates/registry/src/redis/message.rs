//! What a worker writes into Redis: every key of its own, each time, so that whatever was wiped is
//! there again after one heartbeat.

use std::time::Duration;

use flotilla_core::goodbye::Goodbye;
use flotilla_core::keyring::Keyring;
use flotilla_core::refusal::Served;
use flotilla_core::status::WorkerState;
use flotilla_core::{Advert, BrowserKind};
use redis::{Cmd, cmd};

use super::keys::{self, ACTIVE, Channels, LIFETIME, WORKERS};

/// What a worker needs to know to write.
#[derive(Debug)]
pub(crate) struct Writing {
    /// How long what it wrote stays.
    pub(crate) ttl: Duration,
    pub(crate) channels: Channels,
}

// === impl Writing ===

impl Writing {
    /// The worker as it is. `now` is in milliseconds since 1970.
    pub(crate) fn advert(&self, advert: &Advert, keyring: &Keyring, now: u64) -> Vec<Cmd> {
        let sealed = advert.seal(keyring);
        let browsers = keys::browsers(advert);
        let mut commands = Vec::with_capacity(2 * browsers.len() + 4);
        for &browser in &browsers {
            let key = keys::worker(browser, &advert.id.0);
            commands.push(about(&key, advert, browser, now));
            let mut expire = cmd("PEXPIRE");
            expire.arg(&key).arg(millis(self.ttl));
            commands.push(expire);
        }
        if !browsers.is_empty() {
            commands.extend(counts(advert, &browsers));
        }
        let mut entry = cmd("HSET");
        entry.arg(WORKERS).arg(&advert.id.0).arg(&sealed);
        commands.extend([entry, publish(&self.channels.fleet(), &sealed)]);
        commands
    }

    /// Takes all of it away, and says so.
    pub(crate) fn goodbye(&self, goodbye: &Goodbye, keyring: &Keyring) -> Vec<Cmd> {
        let id = &goodbye.id;
        let mut commands: Vec<_> = BrowserKind::ALL
            .iter()
            .map(|&browser| {
                let mut delete = cmd("DEL");
                delete.arg(keys::worker(browser, &id.0));
                delete
            })
            .collect();
        for hash in [ACTIVE, LIFETIME] {
            let mut delete = cmd("HDEL");
            delete.arg(hash).arg(BrowserKind::ALL.map(|browser| keys::field(browser, id)).to_vec());
            commands.push(delete);
        }
        let mut delete = cmd("HDEL");
        delete.arg(WORKERS).arg(&id.0);
        commands.extend([delete, publish(&self.channels.goodbyes(), &goodbye.seal(keyring))]);
        commands
    }
}

/// `worker:{browser}:{id}`, for people.
fn about(key: &str, advert: &Advert, browser: BrowserKind, now: u64) -> Cmd {
    let versions: Vec<_> =
        advert.serves.iter().filter(|served| served.0 == browser).map(version).collect();
    let mut set = cmd("HSET");
    set.arg(key)
        .arg(&[("browserType", browser.as_str()), ("endpoint", &advert.endpoint)])
        .arg(&[("status", state(advert).as_str()), ("versions", &versions.join(","))])
        .arg(&[("startedAt", advert.started_at * 1000), ("lastHeartbeat", now)])
        .arg(&[("slots", advert.slots), ("used", advert.used)])
        .arg(&[("release", &advert.release), ("instance", &advert.instance.0)]);
    set
}

fn version(served: &Served) -> String {
    served.1.to_string()
}

/// The state as the worker itself knows it.
fn state(advert: &Advert) -> WorkerState {
    match advert {
        Advert { draining: true, .. } => WorkerState::Draining,
        Advert { starting: true, .. } => WorkerState::Starting,
        advert if advert.free() == 0 => WorkerState::Busy,
        _ => WorkerState::Available,
    }
}

fn counts(advert: &Advert, browsers: &[BrowserKind]) -> [Cmd; 2] {
    let (mut active, mut lifetime) = (cmd("HSET"), cmd("HSET"));
    active.arg(ACTIVE);
    lifetime.arg(LIFETIME);
    for &browser in browsers {
        let field = keys::field(browser, &advert.id);
        let count = advert.browsers.iter().find(|count| count.browser == browser);
        active.arg(&field).arg(count.map_or(0, |count| count.active));
        lifetime.arg(&field).arg(count.map_or(0, |count| count.lifetime));
    }
    [active, lifetime]
}

pub(crate) fn publish(channel: &str, text: &str) -> Cmd {
    let mut publish = cmd("PUBLISH");
    publish.arg(channel).arg(text);
    publish
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
