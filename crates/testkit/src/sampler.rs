//! Looks at a grid again and again while a test does something to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flotilla_core::status::Status;

use crate::grid::{Grid, status_of};

/// A thread that collects what the grid says about itself.
#[derive(Debug)]
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Status>>,
}

impl Sampler {
    /// Samples `hertz` times a second until [`Sampler::finish`].
    pub fn start(grid: &Grid, hertz: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, stopped) = (grid.address().to_owned(), Arc::clone(&stop));
        let period = Duration::from_secs(1) / hertz;
        let thread = std::thread::spawn(move || {
            let mut samples = Vec::new();
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                samples.push(status_of(&address).expect("the grid tells its status"));
                next += period;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            samples
        });
        Self { stop, thread }
    }

    /// Everything that was seen.
    ///
    /// # Panics
    /// When the grid could not be asked at some time.
    pub fn finish(self) -> Vec<Status> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the grid answered every time")
    }
}
