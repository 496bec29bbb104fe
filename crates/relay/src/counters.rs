//! What can be read of a session while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Live counters of a session, for anyone to read. Updated once per batch of bytes.
#[derive(Debug, Default)]
pub struct Counters {
    /// From the client to the upstream.
    pub up: FlowCounters,
    /// From the upstream to the client.
    pub down: FlowCounters,
}

/// Live counters of one direction. The relay's own pings and closes are not in them.
#[derive(Debug, Default)]
pub struct FlowCounters {
    read: AtomicU64,
    written: AtomicU64,
    frames: AtomicU64,
    messages: AtomicU64,
    stalled_nanos: AtomicU64,
}

// === impl FlowCounters ===

impl FlowCounters {
    /// Bytes that came from the source.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes that the sink has taken.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Complete frames, control frames included.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Complete messages.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// How long the sink has been too slow for the source; a stall counts once it is over.
    pub fn stalled(&self) -> Duration {
        Duration::from_nanos(self.stalled_nanos.load(Ordering::Relaxed))
    }

    // One task writes, so plain stores are enough.

    pub(crate) fn set_read(&self, bytes: u64, frames: u64, messages: u64) {
        self.read.store(bytes, Ordering::Relaxed);
        self.frames.store(frames, Ordering::Relaxed);
        self.messages.store(messages, Ordering::Relaxed);
    }

    pub(crate) fn add_stall(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.stalled_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn set_written(&self, bytes: u64) {
        self.written.store(bytes, Ordering::Relaxed);
    }
}
