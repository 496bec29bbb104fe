//! A master, its replica and the Sentinels that watch them.

use std::time::Duration;

use super::{READY, Redis, RedisBuilder};
use crate::wait::wait_until;

/// How long a master may be silent. Tests wait for it; and a busy machine must not fail it over.
const DOWN_AFTER: Duration = Duration::from_secs(2);

/// A running set. Gone with its value.
#[derive(Debug)]
pub struct Sentinels {
    /// The two servers: the first was the master in the beginning.
    pub servers: [Redis; 2],
    /// The Sentinels.
    pub sentinels: Vec<Redis>,
}

// === impl Sentinels ===

impl Sentinels {
    /// What they call the master.
    pub const NAME: &str = "fleet";

    /// Starts two servers and so many Sentinels, and waits until they all know each other. A
    /// failover needs the voices of more than half of the Sentinels.
    ///
    /// # Panics
    /// When they do not come up.
    pub fn start(count: usize) -> Self {
        Self::start_with(count, |redis| redis)
    }

    /// The same with servers that `setup` has set up, such as with a password.
    ///
    /// # Panics
    /// When they do not come up.
    pub fn start_with(count: usize, setup: impl Fn(RedisBuilder) -> RedisBuilder) -> Self {
        let master = trusting(setup(Redis::builder())).start();
        let replica = trusting(setup(Redis::builder()))
            .config(&format!("replicaof 127.0.0.1 {}", master.port()))
            .config("repl-diskless-sync-delay 0")
            .start();
        let sentinels = (0..count).map(|_| sentinel(&master, count / 2 + 1)).collect();
        let set = Self { servers: [master, replica], sentinels };
        set.wait_complete();
        set
    }

    /// Where the Sentinels are, as `HOST:PORT`.
    pub fn addresses(&self) -> Vec<String> {
        self.sentinels.iter().map(Redis::address).collect()
    }

    /// The place in [`Self::servers`] of the master, as the first living Sentinel sees it.
    ///
    /// # Panics
    /// When no Sentinel answers, or it names a stranger.
    pub fn master(&self) -> usize {
        let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME];
        let answer = self.sentinels.iter().map(|sentinel| sentinel.try_cli(&command));
        let answer = answer.into_iter().find(|answer| answer.status.success());
        let words = super::words(&answer.expect("a Sentinel answers")).replace('\n', ":");
        let place = self.servers.iter().position(|server| server.address() == words);
        place.unwrap_or_else(|| panic!("the Sentinels name a stranger as the master: {words}"))
    }

    /// Waits until that server is the master: the Sentinels say so, and so does it.
    ///
    /// # Panics
    /// When it is not within `ceiling`.
    pub fn wait_master(&self, place: usize, ceiling: Duration) {
        wait_until("the failover", ceiling, || {
            self.master() == place && self.servers[place].cli(&["ROLE"]).starts_with("master")
        });
    }

    fn wait_complete(&self) {
        wait_until("the replica to follow", READY, || {
            self.servers[1].cli(&["INFO", "replication"]).contains("master_link_status:up")
        });
        for sentinel in &self.sentinels {
            wait_until("a Sentinel to know the others", READY, || {
                let state = sentinel.cli(&["SENTINEL", "MASTER", Self::NAME]);
                let others = (self.sentinels.len() - 1).to_string();
                field(&state, "num-slaves") == Some("1")
                    && field(&state, "num-other-sentinels") == Some(&others)
            });
        }
    }
}

/// Either of the servers may be a replica one day, and must then know the other's password.
fn trusting(server: RedisBuilder) -> RedisBuilder {
    match server.password.clone() {
        Some(password) => server.config(&format!("masterauth {password}")),
        None => server,
    }
}

fn sentinel(master: &Redis, quorum: usize) -> Redis {
    let name = Sentinels::NAME;
    let sentinel = Redis::builder()
        .sentinel()
        .config(&format!("sentinel monitor {name} 127.0.0.1 {} {quorum}", master.port()))
        .config(&format!("sentinel down-after-milliseconds {name} {}", DOWN_AFTER.as_millis()))
        .config(&format!("sentinel failover-timeout {name} 3000"));
    let sentinel = match &master.setup.password {
        Some(password) => sentinel.config(&format!("sentinel auth-pass {name} {password}")),
        None => sentinel,
    };
    sentinel.start()
}

/// A value in a reply of names and values, each on a line.
fn field<'a>(reply: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = reply.lines();
    lines.find(|line| *line == name)?;
    lines.next()
}
