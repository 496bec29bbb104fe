//! A real Redis on a port of its own, that a test can kill, freeze, empty and start again.

mod builder;
mod certificate;
mod cluster;
mod sentinel;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Process;
use crate::wait::wait_until;

pub use builder::RedisBuilder;
pub use cluster::Cluster;
pub use sentinel::Sentinels;

const READY: Duration = Duration::from_secs(20);

/// A running Redis. Gone with its value, and with the thread that started it.
#[derive(Debug)]
pub struct Redis {
    setup: RedisBuilder,
    process: Process,
}

// === impl Redis ===

impl Redis {
    /// One that is to be set up.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::new()
    }

    /// One without password and TLS, beside the test.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// What `REDIS_URL` should be, with the password.
    pub fn url(&self) -> String {
        self.setup.url()
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.setup.place.address(), self.port())
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.setup.port()
    }

    /// The certificate of the CA that signed its own, as PEM.
    pub fn ca(&self) -> PathBuf {
        self.setup.folder.join(certificate::CA)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.setup.folder.path()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has logged, over all its lives.
    pub fn log(&self) -> String {
        let file = std::fs::read_to_string(self.setup.folder.join("redis.log"));
        file.unwrap_or_default() + &self.process.log()
    }

    /// `kill -9`.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again on the same port, after `kill -9` if it still runs. It has its data only
    /// if that was wanted ([`RedisBuilder::appendonly`]).
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.kill9();
        self.process = self.setup.run();
        self.wait_ready();
    }

    /// Starts it again on the same port as a machine with a new disk would: without any data.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart_empty(&mut self) {
        self.kill9();
        let data = self.setup.folder.join("appendonlydir");
        let _ = std::fs::remove_dir_all(data);
        // Before Redis 7 it was a file.
        let _ = std::fs::remove_file(self.setup.folder.join("appendonly.aof"));
        self.restart();
    }

    /// Forgets everything (FLUSHALL), and keeps its connections.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn wipe(&self) {
        assert_eq!(self.cli(&["FLUSHALL"]), "OK", "it forgets when it is told to");
    }

    /// Stops the process (SIGSTOP): the kernel still accepts connections, and nobody answers.
    ///
    /// # Panics
    /// When it has ended.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    /// When it has ended.
    pub fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    /// What `redis-cli` prints for a command, as it does into a pipe: an error is a line that
    /// begins with its kind, such as `WRONGTYPE`.
    ///
    /// # Panics
    /// When the server cannot be asked.
    pub fn cli(&self, command: &[&str]) -> String {
        let output = self.try_cli(command);
        assert!(
            output.status.success(),
            "redis-cli {command:?} failed: {}\nthe server's log:\n{}",
            words(&output),
            self.log()
        );
        words(&output)
    }

    fn try_cli(&self, command: &[&str]) -> Output {
        self.setup.cli().args(command).output().expect("redis-cli can be run")
    }

    fn wait_ready(&mut self) {
        wait_until("Redis to answer", READY, || {
            if let Some(status) = self.process.ended() {
                panic!("Redis ended with {status} before it was ready:\n{}", self.log());
            }
            words(&self.try_cli(&["PING"])) == "PONG"
        });
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the test runner shows it on failure")]
            {
                eprintln!("--- the log of Redis {} ---\n{}", self.address(), self.log());
            }
        }
    }
}

fn words(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).trim_end().to_owned()
}
