//! A real fleet: gateways and workers as processes of their own, which find each other by Redis.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::permit::{self, Permit};
use crate::role::{Role, RoleBuilder};

/// A running gateway.
pub type Gateway = Role;

/// A running worker.
pub type Worker = Role;

/// What the processes of a fleet have in common. It starts none by itself; each is a value of its
/// own, and ends with that.
#[derive(Debug)]
pub struct Fleet {
    binary: PathBuf,
    secret: String,
    env: Vec<(String, String)>,
    permit: Arc<Permit>,
}

// === impl Fleet ===

impl Fleet {
    /// A fleet of that binary: `env!("CARGO_BIN_EXE_flotilla")`. Waits while other tests have as
    /// many grids and fleets as the machine bears.
    pub fn new(binary: &str) -> Self {
        Self::of(binary, permit::FLEET)
    }

    /// One that mostly waits: it does not count among those that may run at once.
    pub fn idle(binary: &str) -> Self {
        Self::of(binary, 0)
    }

    fn of(binary: &str, counts: u32) -> Self {
        let permit = Arc::new(Permit::take(counts));
        Self { binary: binary.into(), secret: secret(), env: Vec::new(), permit }
    }

    /// They meet in the Redis of that URL, which may come up later.
    pub fn redis(self, url: &str) -> Self {
        self.env("REDIS_URL", url)
    }

    /// Sets an environment variable of all that are made from now on.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// The fleet's secret: it must be in no log.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// A gateway that is to be set up.
    pub fn gateway(&self) -> RoleBuilder {
        // No balancer stands before most of them, so nobody has to notice that one leaves.
        self.role("gateway").env("FLOTILLA_SHUTDOWN_GRACE", "0")
    }

    /// A worker that is to be set up.
    pub fn worker(&self) -> RoleBuilder {
        self.role("worker")
    }

    fn role(&self, role: &'static str) -> RoleBuilder {
        let builder = RoleBuilder::new(&self.binary, role).permit(&self.permit);
        let builder = builder.env("FLOTILLA_FLEET_SECRET", &self.secret);
        self.env.iter().fold(builder, |builder, (name, value)| builder.env(name, value))
    }
}

fn secret() -> String {
    let mut bytes = [0; 32];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.expect("the kernel has random numbers");
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
