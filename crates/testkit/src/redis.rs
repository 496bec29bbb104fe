//! A real Redis on a port of its own, that a test can kill, freeze, empty and start again.

mod certificate;
mod cluster;
mod sentinel;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;

use crate::folder::Folder;
use crate::place::Place;
use crate::ports::Port;
use crate::process::Process;
use crate::wait::wait_until;

pub use cluster::Cluster;
pub use sentinel::Sentinels;

const READY: Duration = Duration::from_secs(20);

/// How a Redis is started. Its port is taken already, so that its URL can be handed to whom it
/// will be missing first.
#[derive(Debug)]
pub struct RedisBuilder {
    place: Place,
    port: Port,
    folder: Folder,
    password: Option<String>,
    tls: bool,
    sentinel: bool,
    config: Vec<String>,
}

impl RedisBuilder {
    /// It runs there instead of on the loopback.
    pub fn at(mut self, place: impl Into<Place>) -> Self {
        self.place = place.into();
        self
    }

    /// Clients must know this password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Clients must speak TLS. The certificate is signed by a CA of its own: [`Redis::ca`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// What was written survives its death.
    pub fn appendonly(self) -> Self {
        self.config("appendonly yes").config("appendfsync always")
    }

    /// Adds a line to its configuration, such as `maxmemory 1mb`.
    pub fn config(mut self, line: &str) -> Self {
        self.config.push(line.to_owned());
        self
    }

    /// It watches others instead of holding data.
    fn sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    /// Where it will listen.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// What `REDIS_URL` should be, with the password.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let login =
            self.password.as_ref().map_or(String::new(), |password| format!(":{password}@"));
        format!("{scheme}://{login}{}:{}", self.place.address(), self.port())
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(self) -> Redis {
        if self.tls {
            certificate::make(self.folder.path(), self.place.address());
        }
        self.write_config();
        let process = self.run();
        let mut redis = Redis { setup: self, process };
        redis.wait_ready();
        redis
    }

    fn write_config(&self) {
        let mut lines = vec![
            format!("bind {}", self.place.address()),
            format!("dir {}", self.folder.path().display()),
            "logfile redis.log".to_owned(),
            // Whoever reaches the address may come in: it is a test's own.
            "protected-mode no".to_owned(),
            "save \"\"".to_owned(),
        ];
        lines.extend(self.port_lines());
        lines.extend(self.password.iter().map(|password| format!("requirepass {password}")));
        lines.extend(self.config.iter().cloned());
        let text = lines.join("\n") + "\n";
        std::fs::write(self.config_file(), text).expect("the folder can be written to");
    }

    fn port_lines(&self) -> Vec<String> {
        if !self.tls {
            return vec![format!("port {}", self.port())];
        }
        let file = |name: &str| self.folder.join(name).display().to_string();
        vec![
            "port 0".to_owned(),
            format!("tls-port {}", self.port()),
            format!("tls-cert-file {}", file(certificate::CERTIFICATE)),
            format!("tls-key-file {}", file(certificate::KEY)),
            format!("tls-ca-cert-file {}", file(certificate::CA)),
            "tls-auth-clients no".to_owned(),
        ]
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("redis.conf")
    }

    fn run(&self) -> Process {
        let mut command = self.place.command("redis-server");
        command.arg(self.config_file()).current_dir(self.folder.path());
        if self.sentinel {
            command.arg("--sentinel");
        }
        Process::start(command)
    }

    /// `redis-cli` in the same place: it reaches the server although the network does not.
    fn cli(&self) -> Command {
        let mut command = self.place.command("redis-cli");
        command.args(["-h", &self.place.address().to_string(), "-p", &self.port().to_string()]);
        if self.tls {
            command.arg("--tls").arg("--cacert").arg(self.folder.join(certificate::CA));
        }
        if let Some(password) = &self.password {
            command.env("REDISCLI_AUTH", password);
        }
        command
    }
}

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
        RedisBuilder {
            place: Place::Loopback,
            port: Port::new(),
            folder: Folder::new(),
            password: None,
            tls: false,
            sentinel: false,
            config: Vec::new(),
        }
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
