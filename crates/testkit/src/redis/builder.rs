//! How a Redis is set up, its configuration and its command lines.

use std::path::PathBuf;
use std::process::Command;

use super::{Redis, certificate};
use crate::folder::Folder;
use crate::place::Place;
use crate::ports::Port;
use crate::process::Process;

/// How a Redis is started. Its port is taken already, so that its URL can be handed to whom it
/// will be missing first.
#[derive(Debug)]
pub struct RedisBuilder {
    pub(super) place: Place,
    port: Port,
    pub(super) folder: Folder,
    pub(super) password: Option<String>,
    tls: bool,
    sentinel: bool,
    config: Vec<String>,
}

// === impl RedisBuilder ===

impl RedisBuilder {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Loopback,
            port: Port::new(),
            folder: Folder::new(),
            password: None,
            tls: false,
            sentinel: false,
            config: Vec::new(),
        }
    }

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
    pub(super) fn sentinel(mut self) -> Self {
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

    pub(super) fn run(&self) -> Process {
        let mut command = self.place.command("redis-server");
        command.arg(self.config_file()).current_dir(self.folder.path());
        if self.sentinel {
            command.arg("--sentinel");
        }
        Process::start(command)
    }

    /// `redis-cli` in the same place: it reaches the server although the network does not.
    pub(super) fn cli(&self) -> Command {
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
