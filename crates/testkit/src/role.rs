//! A real process of the binary in one of its roles, started in a folder of its own, watched and
//! ended.

mod ending;
mod looking;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed;
use crate::folder::Folder;
use crate::permit::Permit;
use crate::place::Place;
use crate::process::Process;

pub use ending::ORPHANS_GONE;
pub use looking::status_of;

const READY: Duration = Duration::from_secs(60);
const SETTLED: Duration = Duration::from_secs(10);

/// How to start it.
#[derive(Debug)]
pub struct RoleBuilder {
    binary: PathBuf,
    role: &'static str,
    place: Place,
    folder: Folder,
    env: Vec<(String, String)>,
    args: Vec<String>,
    counted: bool,
    permit: Option<Arc<Permit>>,
}

// === impl RoleBuilder ===

impl RoleBuilder {
    /// A process of that binary: `flotilla ROLE`.
    pub(crate) fn new(binary: impl Into<PathBuf>, role: &'static str) -> Self {
        Self {
            binary: binary.into(),
            role,
            place: Place::Loopback,
            folder: Folder::new(),
            env: Vec::new(),
            args: Vec::new(),
            counted: true,
            permit: None,
        }
    }

    /// Sets an environment variable of it.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds an argument to `flotilla ROLE`.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// It runs there instead of on the loopback, and listens on that host's address.
    pub fn at(mut self, place: impl Into<Place>) -> Self {
        self.place = place.into();
        self
    }

    /// It will do next to nothing, so it does not count among those that may run at once.
    pub fn idle(mut self) -> Self {
        self.counted = false;
        self
    }

    /// It runs by a permit that others have too.
    pub(crate) fn permit(mut self, permit: &Arc<Permit>) -> Self {
        self.permit = Some(Arc::clone(permit));
        self
    }

    /// Starts it, and waits until it says that it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(self) -> Role {
        let mut role = self.spawn();
        let began = Instant::now();
        role.wait_ready();
        role.ready_after = began.elapsed();
        role
    }

    /// Starts it, and waits for nothing.
    ///
    /// # Panics
    /// When the binary cannot be run.
    pub fn spawn(mut self) -> Role {
        let own = || self.counted.then(|| Arc::new(Permit::take(1)));
        let permit = self.permit.take().or_else(own);
        Role {
            process: Process::start(self.command()),
            role: self.role,
            folder: self.folder,
            said: String::new(),
            ready: Value::Null,
            ready_after: Duration::ZERO,
            _permit: permit,
        }
    }

    /// Runs it and waits for its end: for what must refuse to start.
    ///
    /// # Panics
    /// When the binary cannot be run.
    pub fn output(self) -> std::process::Output {
        let mut command = self.command();
        command.stdin(std::process::Stdio::null());
        command.output().expect("the binary can be run")
    }

    fn command(&self) -> Command {
        let mut command = self.place.command(&self.binary);
        command
            .args([self.role, "--json"])
            .args(&self.args)
            .current_dir(self.folder.path())
            .env("FLOTILLA_DATA", bed::data())
            .env("FLOTILLA_RUN_DIR", self.folder.join("run"))
            .env("PORT", "0")
            .env("LOG_FORMAT", "text");
        if self.role == "worker" {
            command.env("PRIVATE_HOSTNAME", self.place.address().to_string());
        }
        if let Place::Host(host) = &self.place {
            command
                .env("FLOTILLA_HOST", host.address().to_string())
                .env("FLOTILLA_ALLOW_ANYONE", "true");
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A running process of a role. Ended when dropped, and what it left is looked for.
#[derive(Debug)]
pub struct Role {
    process: Process,
    role: &'static str,
    folder: Folder,
    said: String,
    ready: Value,
    ready_after: Duration,
    _permit: Option<Arc<Permit>>,
}

// === impl Role ===

impl Role {
    fn wait_ready(&mut self) {
        let began = Instant::now();
        while !self.listen(Duration::from_millis(100)) {
            assert!(
                began.elapsed() < READY,
                "flotilla {} is not ready after {READY:?}:\n{}",
                self.role,
                self.log()
            );
        }
    }

    /// Whether it has said that it is ready.
    ///
    /// # Panics
    /// When it has ended before.
    pub fn is_ready(&mut self) -> bool {
        !self.ready.is_null() || self.listen(Duration::ZERO)
    }

    /// Waits for a line; `true` when that made it ready.
    fn listen(&mut self, ceiling: Duration) -> bool {
        match self.process.next_line(ceiling) {
            Ok(line) => {
                self.said += &line;
                if let Some(event) = ready_event(&self.said) {
                    self.ready = event;
                }
                !self.ready.is_null()
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                panic!("flotilla {} ended before it was ready:\n{}", self.role, self.log())
            }
        }
    }

    /// Where it is reached, as it says: `ws://127.0.0.1:PORT` for clients, `HOST:PORT` for a worker.
    pub fn endpoint(&self) -> &str {
        self.told("endpoint")
    }

    /// The worker's id.
    ///
    /// # Panics
    /// When it is no worker.
    pub fn id(&self) -> &str {
        self.told("id")
    }

    fn told(&self, field: &str) -> &str {
        let told = self.ready[field].as_str();
        told.unwrap_or_else(|| panic!("ready tells no {field}: {}", self.ready))
    }

    /// The endpoint with something after it, such as `/?browser=firefox`.
    pub fn ws(&self, rest: &str) -> String {
        format!("{}{rest}", self.endpoint())
    }

    /// The same as an `http://` endpoint.
    pub fn http(&self, rest: &str) -> String {
        format!("http://{}{rest}", self.address())
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        self.endpoint().trim_start_matches("ws://")
    }

    /// The process id of `flotilla`.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// How long it took from the start of the process to the line that says ready.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn ready_event(text: &str) -> Option<Value> {
    let event: Value = serde_json::from_str(text).ok()?;
    (event["event"] == "ready").then_some(event)
}
