//! One Redis of each kind, with the same few things that a test does to it.

use flotilla_registry::redis::RedisAddress;
use flotilla_testkit::redis::{Cluster, Redis, Sentinels};

use crate::support::{SOON, address, with_ca};

/// In no log, on any level: it has all that must be encoded.
pub(crate) const PASSWORD: &str = "hunter2@Redis:/%?#";
pub(crate) const ENCODED: &str = "hunter2%40Redis%3A%2F%25%3F%23";

/// A Redis of some kind.
pub(crate) trait Bed {
    fn start() -> Self;
    /// Where it is, with a password for whoever asks for one.
    fn address_with(&self, password: &str) -> RedisAddress;
    /// Where it is.
    fn address(&self) -> RedisAddress {
        self.address_with(ENCODED)
    }
    /// What `redis-cli` prints.
    fn cli(&self, command: &[&str]) -> String;
    /// Forgets everything, and keeps its connections.
    fn wipe(&self);
    /// `kill -9` of whatever answers.
    fn kill9(&mut self);
    /// There is a Redis again, with or without its data.
    fn come_back(&mut self);
}

/// One server.
pub(crate) struct Plain(Redis);

impl Bed for Plain {
    fn start() -> Self {
        Self(Redis::start())
    }

    fn address_with(&self, _: &str) -> RedisAddress {
        address(&self.0.url())
    }

    fn cli(&self, command: &[&str]) -> String {
        self.0.cli(command)
    }

    fn wipe(&self) {
        self.0.wipe();
    }

    fn kill9(&mut self) {
        self.0.kill9();
    }

    fn come_back(&mut self) {
        self.0.restart_empty();
    }
}

/// One with TLS, a password and another database than the first.
pub(crate) struct Secured(Redis);

impl Bed for Secured {
    fn start() -> Self {
        Self(Redis::builder().tls().password(PASSWORD).start())
    }

    fn address_with(&self, password: &str) -> RedisAddress {
        let url = format!("rediss://:{password}@{}/3", self.0.address());
        with_ca(&url, Some(self.0.ca().display().to_string()))
    }

    fn cli(&self, command: &[&str]) -> String {
        self.0.cli(&[&["-n", "3"], command].concat())
    }

    fn wipe(&self) {
        self.0.wipe();
    }

    fn kill9(&mut self) {
        self.0.kill9();
    }

    fn come_back(&mut self) {
        self.0.restart_empty();
    }
}

/// A master with a password, its replica, and Sentinels without one.
pub(crate) struct Watched {
    set: Sentinels,
    killed: usize,
}

impl Bed for Watched {
    fn start() -> Self {
        let set = Sentinels::start_with(3, |redis| redis.password(PASSWORD));
        Self { set, killed: 0 }
    }

    fn address_with(&self, password: &str) -> RedisAddress {
        let nodes = self.set.addresses().join(",");
        address(&format!("redis-sentinel://:{password}@{nodes}/{}", Sentinels::NAME))
    }

    fn cli(&self, command: &[&str]) -> String {
        self.set.servers[self.set.master()].cli(command)
    }

    fn wipe(&self) {
        self.set.servers[self.set.master()].wipe();
    }

    fn kill9(&mut self) {
        self.killed = self.set.master();
        self.set.servers[self.killed].kill9();
    }

    /// The replica takes over.
    fn come_back(&mut self) {
        self.set.wait_master(1 - self.killed, SOON);
    }
}

/// Three nodes.
pub(crate) struct Clustered(Cluster);

impl Bed for Clustered {
    fn start() -> Self {
        Self(Cluster::new())
    }

    fn address_with(&self, _: &str) -> RedisAddress {
        address(&format!("redis-cluster://{}", self.0.addresses().join(",")))
    }

    fn cli(&self, command: &[&str]) -> String {
        self.0.nodes[0].cli(&[&["-c"], command].concat())
    }

    fn wipe(&self) {
        self.0.nodes.iter().for_each(Redis::wipe);
    }

    fn kill9(&mut self) {
        self.0.nodes.iter_mut().for_each(Redis::kill9);
    }

    fn come_back(&mut self) {
        self.0.nodes.iter_mut().for_each(Redis::restart_empty);
    }
}
