//! Ports that stay a test's own: for servers that are killed and come back on the same one.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

/// Below the ports that the kernel gives to connections, or one of these could take it meanwhile.
const FIRST: u32 = 10_000;
const COUNT: u32 = 10_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A name that no other test of this machine has while the value lives. The kernel forgets it
/// with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Claim(#[expect(dead_code, reason = "held, never used")] UnixListener);

impl Claim {
    /// Takes the name, unless somebody has it.
    pub(crate) fn take(name: &str) -> Option<Self> {
        let address = SocketAddr::from_abstract_name(format!("flotilla-testkit/{name}")).ok()?;
        UnixListener::bind_addr(&address).ok().map(Self)
    }
}

/// The first of the candidates that `take` gets, in an order in which parallel tests seldom meet.
pub(crate) fn first_free<T>(count: u32, take: impl Fn(u32) -> Option<T>) -> Option<T> {
    let start = std::process::id().wrapping_mul(37);
    (0..count).find_map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        take(start.wrapping_add(step) % count)
    })
}

/// A TCP port on which nobody listens, and which no other test is given.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: Claim,
}

// === impl Port ===

impl Port {
    /// Takes one. The port 10,000 above it is free as well: a Redis Cluster's nodes talk there.
    ///
    /// # Panics
    /// When there is none.
    #[expect(clippy::new_without_default, reason = "taking a port has an effect")]
    pub fn new() -> Self {
        first_free(COUNT, |n| Self::take(u16::try_from(FIRST + n).ok()?)).expect("a port is free")
    }

    fn take(number: u16) -> Option<Self> {
        let claim = Claim::take(&format!("port-{number}"))?;
        (is_free(number) && is_free(number + 10_000)).then_some(Self { number, _claim: claim })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// Whether nobody listens there. Binds and does not listen: a child that is being started holds a
/// copy of the socket for a moment, and one that listened would keep the port from its server.
fn is_free(port: u16) -> bool {
    let bind = || {
        let flags = SocketFlags::CLOEXEC;
        let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        net::sockopt::set_socket_reuseaddr(&socket, true)?;
        net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
    };
    bind().is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::wait::wait_for;

    #[test]
    fn a_name_is_claimed_once_and_again_when_it_was_dropped() {
        let name = format!("a-test-of-{}", std::process::id());
        let claim = Claim::take(&name).unwrap();
        assert!(Claim::take(&name).is_none(), "it is taken");
        drop(claim);
        let ceiling = std::time::Duration::from_secs(5);
        wait_for("children of other tests to let it go", ceiling, || Claim::take(&name));
    }

    #[test]
    fn ports_are_free_and_no_two_are_the_same() {
        let (one, other) = (Port::new(), Port::new());
        assert_ne!(one.number(), other.number());
        assert!(is_free(one.number()) && is_free(other.number()));
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, one.number())).unwrap();
        assert!(!is_free(one.number()), "somebody listens");
    }
}
