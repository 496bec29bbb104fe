//! Clients that come one after another while a test does something to the fleet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flotilla_testkit::fleet::Gateway;
use flotilla_testkit::raw::Socket;
use flotilla_testkit::wait::wait_until;

use crate::SOON;

/// Between one client and the next.
const PAUSE: Duration = Duration::from_millis(20);

/// A thread that opens a session, closes it, and begins again.
pub(super) struct Probe {
    stop: Arc<AtomicBool>,
    opened: Arc<AtomicUsize>,
    thread: JoinHandle<Probed>,
}

/// What became of the clients.
#[derive(Debug, Default)]
pub(super) struct Probed {
    pub(super) opened: usize,
    /// The answers to those that were not let in.
    pub(super) failed: Vec<String>,
    /// The longest that one of them waited for its answer.
    pub(super) slowest: Duration,
}

// === impl Probe ===

impl Probe {
    pub(super) fn start(gateway: &Gateway) -> Self {
        let (stop, opened) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let (stopped, count) = (stop.clone(), opened.clone());
        let address = gateway.address().to_owned();
        let thread = std::thread::spawn(move || {
            let mut probed = Probed::default();
            while !stopped.load(Ordering::Relaxed) {
                probed.connect(&address);
                count.store(probed.opened, Ordering::Relaxed);
                // Not faster than the machine has room for: others test on it too.
                std::thread::sleep(PAUSE);
            }
            probed
        });
        Self { stop, opened, thread }
    }

    /// Waits until so many more have been let in.
    pub(super) fn wait_more(&self, count: usize) {
        let wanted = self.opened.load(Ordering::Relaxed) + count;
        wait_until("clients to be let in", SOON, || self.opened.load(Ordering::Relaxed) >= wanted);
    }

    /// Ends it: every client was let in.
    pub(super) fn finish(self) -> Probed {
        self.stop.store(true, Ordering::Relaxed);
        let probed = self.thread.join().expect("the gateway answers everybody");
        assert_eq!(probed.failed, Vec::<String>::new(), "{} were let in", probed.opened);
        assert!(probed.opened > 0, "nobody came");
        probed
    }
}

// === impl Probed ===

impl Probed {
    fn connect(&mut self, address: &str) {
        let began = Instant::now();
        let answer = Socket::open(address, "/", &[]);
        self.slowest = self.slowest.max(began.elapsed());
        match answer {
            Ok(session) => {
                self.opened += 1;
                session.close();
            }
            Err(refusal) => self.failed.push(format!("{} {}", refusal.status, refusal.body)),
        }
    }
}
