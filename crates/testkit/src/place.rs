//! Where a program of the test bed runs: beside the test, or on a host of its own.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::Command;

use crate::hosts::Host;

/// Where a program runs.
#[derive(Clone, Debug, Default)]
pub enum Place {
    /// Beside the test, on 127.0.0.1.
    #[default]
    Loopback,
    /// On a host with a network of its own.
    Host(Host),
}

impl From<&Host> for Place {
    fn from(host: &Host) -> Self {
        Self::Host(host.clone())
    }
}

// === impl Place ===

impl Place {
    /// The address at which what runs there is reached, from other hosts and from the test.
    pub fn address(&self) -> Ipv4Addr {
        match self {
            Self::Loopback => Ipv4Addr::LOCALHOST,
            Self::Host(host) => host.address(),
        }
    }

    /// A command line that runs the program there. The process is the program itself in the end,
    /// so that its id is what a test kills; and the kernel kills it with the *thread* that
    /// started it, so that a test runner which is killed leaves none.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Self::Host(host) = self {
            command.arg("nsenter").arg(host.net_option());
        }
        command.arg("--").arg(program);
        command
    }
}
