//! Hosts with networks of their own: network namespaces on one switch, whose cables a test can
//! pull, and which it can have lose packets in one direction.
//!
//! The switch has a namespace too. In the machine's own there is one interface only, and no rule
//! of its firewall sees what hosts send each other.

mod lan;
#[cfg(test)]
mod tests;
mod tools;

use std::fmt;
use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::place::Place;
use lan::{Lan, Loss, Port};
use tools::Namespace;

/// Why there are no hosts here: a test says so aloud and is not exercised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotExercised(String);

impl fmt::Display for NotExercised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not exercised: {}", self.0)
    }
}

impl std::error::Error for NotExercised {}

impl NotExercised {
    /// Says so with the test's name, past the runner, which shows no words of a test that passes.
    pub fn say(&self) {
        use std::io::Write as _;
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let _ = writeln!(std::io::stderr(), "{test}: {self}");
    }
}

/// A network of hosts. Everything of it is gone when it and its hosts are dropped; what a killed
/// test left goes when the next makes one.
#[derive(Debug)]
pub struct Hosts(Arc<Lan>);

// === impl Hosts ===

impl Hosts {
    /// Makes a network with the test itself on it.
    ///
    /// # Errors
    /// When there can be none here: without root, without `ip` or `nft`, or without a kernel that
    /// lets it.
    pub fn new() -> Result<Self, NotExercised> {
        if !rustix::process::geteuid().is_root() {
            return Err(NotExercised("hosts are network namespaces, which only root makes".into()));
        }
        lan::remove_left_behind();
        Ok(Self(Arc::new(Lan::new()?)))
    }

    /// The same for a test that ends when there is none: says so aloud.
    pub fn new_or_say() -> Option<Self> {
        Self::new().inspect_err(NotExercised::say).ok()
    }

    /// The test's own address on this network.
    pub fn address(&self) -> Ipv4Addr {
        self.0.address(1)
    }

    /// Adds a host. Its name is for messages.
    ///
    /// # Panics
    /// When there are too many, or the kernel does not let it.
    pub fn add(&self, name: &str) -> Host {
        Host(Arc::new(Machine::join(&self.0, name)))
    }
}

/// A host: an address, a loopback, and a cable to the switch. Its clones are the same host; it is
/// there until the last one is dropped.
#[derive(Clone, Debug)]
pub struct Host(Arc<Machine>);

#[derive(Debug)]
struct Machine {
    name: String,
    address: Ipv4Addr,
    namespace: Namespace,
    port: Port,
    lan: Arc<Lan>,
}

// === impl Machine ===

impl Machine {
    fn join(lan: &Arc<Lan>, name: &str) -> Self {
        let port = lan.next_port();
        let namespace = lan.namespace(name).expect("a second namespace is no other than the first");
        let address = lan.address(port.number());
        lan.plug(&namespace, &port, address).expect("an interface can be made");
        Self { name: name.to_owned(), address, namespace, port, lan: Arc::clone(lan) }
    }
}

// === impl Host ===

impl Host {
    /// What it was called.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its address: other hosts and the test reach it there.
    pub fn address(&self) -> Ipv4Addr {
        self.0.address
    }

    /// A command line that runs a program on it ([`Place::command`]).
    pub fn command(&self, program: &str) -> Command {
        Place::from(self).command(program)
    }

    /// Runs a piece of the test on it: the sockets that it opens are this host's, and stay so.
    ///
    /// # Panics
    /// When it does.
    pub fn run<T: Send>(&self, code: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.0.namespace.path()).expect("the namespace is there");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&file),
                    Some(LinkNameSpaceType::Network),
                )
                .expect("root may enter it");
                code()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Pulls its cable: nothing goes out, nothing comes in, and nobody is told.
    ///
    /// # Panics
    /// When the kernel does not let it.
    pub fn cut(&self) {
        self.0.lan.set_link(&self.0.port, false);
    }

    /// Heals everything: the cable is in, nothing is lost, nothing delayed.
    ///
    /// # Panics
    /// When the kernel does not let it.
    pub fn mend(&self) {
        self.0.lan.mend(&self.0.port);
        self.0.namespace.remove_delay();
        self.0.lan.set_link(&self.0.port, true);
    }

    /// Loses all that others send it, from now on. What it sends arrives.
    ///
    /// # Panics
    /// When the kernel does not let it.
    pub fn lose_incoming(&self) {
        self.lose(100, 0);
    }

    /// Loses all that it sends, from now on. What others send arrives.
    ///
    /// # Panics
    /// When the kernel does not let it.
    pub fn lose_outgoing(&self) {
        self.lose(0, 100);
    }

    /// Loses all that these two send each other, from now on. Everybody else hears both.
    ///
    /// # Panics
    /// When the kernel does not let it.
    pub fn part(&self, other: &Self) {
        self.0.lan.part(&self.0.port, &other.0.port);
    }

    /// Loses so many of a hundred IP packets that come in and go out, by chance.
    ///
    /// # Panics
    /// When the kernel does not let it.
    pub fn lose(&self, incoming: u8, outgoing: u8) {
        self.0.lan.set_loss(&self.0.port, Loss { incoming, outgoing });
    }

    /// How many packets to and from this host were lost since its losses were last set.
    ///
    /// # Panics
    /// When the kernel does not tell.
    pub fn lost(&self) -> u64 {
        self.0.lan.lost(&self.0.port)
    }

    /// Delays all that it sends.
    ///
    /// # Errors
    /// When this kernel has no netem, which is what delays.
    pub fn delay(&self, delay: Duration) -> Result<(), NotExercised> {
        self.0.namespace.delay(delay)
    }

    /// The option of nsenter that leads there.
    pub(crate) fn net_option(&self) -> String {
        format!("--net={}", self.0.namespace.path().display())
    }
}
