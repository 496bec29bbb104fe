//! Many workers behind one listener: each has an address of its own on the loopback, and the
//! connection tells which one was dialled.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::keyring::{Keyring, SharedKeyring};
use flotilla_core::refusal::Served;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::door;
use super::worker::FakeWorker;

/// The address of the first worker; the others follow.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);

/// How many workers, and what they are like.
#[derive(Clone, Debug)]
pub struct CrowdConfig {
    /// How many.
    pub workers: usize,
    /// How many slots each has.
    pub slots: usize,
    /// What each serves.
    pub serves: Vec<Served>,
    /// The fleet's secret.
    pub secret: String,
}

/// Workers behind one listener. They are gone with their value.
#[derive(Debug)]
pub struct Crowd {
    workers: Arc<Vec<Arc<FakeWorker>>>,
    keyring: SharedKeyring,
    port: u16,
    serving: JoinHandle<()>,
}

/// What a crowd has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions that are held now.
    pub held: usize,
    /// The most that one worker held at one time.
    pub most_held: usize,
    /// Sessions that were admitted.
    pub admitted: u64,
    /// Sessions that were refused, because every slot was taken or for a drain.
    pub refused: u64,
    /// Tickets that were not taken.
    pub bad_tickets: u64,
}

// === impl Crowd ===

impl Crowd {
    /// Starts them, on a runtime.
    ///
    /// # Errors
    /// When there is no port.
    ///
    /// # Panics
    /// When the secret is none.
    pub async fn start(config: &CrowdConfig) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let port = listener.local_addr()?.port();
        let keyring = Keyring::parse(&config.secret).expect("the fleet's secret is one");
        let keyring = SharedKeyring::new(keyring);
        let one = |at| Arc::new(FakeWorker::new(at, address(at, port), config, &keyring));
        let workers: Arc<Vec<_>> = Arc::new((0..config.workers).map(one).collect());
        let serving = tokio::spawn(serve(listener, workers.clone()));
        Ok(Self { workers, keyring, port, serving })
    }

    /// Every worker.
    pub fn workers(&self) -> &[Arc<FakeWorker>] {
        &self.workers
    }

    /// What they sign with.
    pub fn keyring(&self) -> &SharedKeyring {
        &self.keyring
    }

    /// Where a plain WebSocket server answers, for proxies beside: no ticket, the same echo.
    pub fn origin(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// What they have been through, all together.
    pub fn tally(&self) -> Tally {
        self.workers.iter().map(|worker| worker.tally()).fold(Tally::default(), |all, one| Tally {
            held: all.held + one.held,
            most_held: all.most_held.max(one.most_held),
            admitted: all.admitted + one.admitted,
            refused: all.refused + one.refused,
            bad_tickets: all.bad_tickets + one.bad_tickets,
        })
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, workers: Arc<Vec<Arc<FakeWorker>>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of open files: some connection will end.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let dialled = stream.local_addr().ok().and_then(|address| index(address.ip()));
        let worker = dialled.and_then(|at| workers.get(at)).cloned();
        tokio::spawn(door::connection(stream, worker));
    }
}

fn address(at: usize, port: u16) -> SocketAddr {
    let at = u32::try_from(at).expect("so many have no addresses");
    SocketAddr::from((Ipv4Addr::from(u32::from(FIRST) + at), port))
}

/// Which worker has this address, if it is one of those that workers have.
fn index(ip: IpAddr) -> Option<usize> {
    match ip {
        IpAddr::V4(ip) => usize::try_from(u32::from(ip).checked_sub(u32::from(FIRST))?).ok(),
        IpAddr::V6(_) => None,
    }
}
