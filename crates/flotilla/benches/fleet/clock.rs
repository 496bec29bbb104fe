//! One clock for all processes of this machine.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Translates a process's instants into seconds that other processes understand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    here: Instant,
    seconds: f64,
}

// === impl Clock ===

impl Clock {
    pub(crate) fn new() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        Self { here: Instant::now(), seconds: now.tv_sec as f64 + now.tv_nsec as f64 / 1e9 }
    }

    /// Seconds since the system's start.
    pub(crate) fn at(&self, instant: Instant) -> f64 {
        self.seconds + instant.duration_since(self.here).as_secs_f64()
    }

    pub(crate) fn now(&self) -> f64 {
        self.at(Instant::now())
    }
}
