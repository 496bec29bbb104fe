//! A direction's state between two processes.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{End, Flow, Mode};
use crate::counters::FlowCounters;
use crate::frame::{ControlFrame, Sender};
use crate::tracker::{Tracker, TrackerState};

/// What a direction must know to go on, but for the bytes that wait. Instants travel as the time
/// that has passed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FlowState {
    tracker: TrackerState,
    held_is_ours: bool,
    is_blocked: bool,
    insert: Option<Vec<u8>>,
    awaited_pong: Option<[u8; 8]>,
    bytes_read: u64,
    bytes_written: u64,
    pongs_kept: u64,
    first_read: Option<Duration>,
    heard: Duration,
    drained: Duration,
    stalled_since: Option<Duration>,
    stalled: Duration,
}

impl Flow {
    /// Whether it is in the middle of its life: both ends open, nobody wrong, no goodbye said.
    pub(crate) fn can_move(&self) -> bool {
        self.mode == Mode::Pass
            && self.source == End::Open
            && self.sink == End::Open
            && self.violation.is_none()
            && !self.tracker.is_closed()
    }

    /// What was read and could not be written yet, taken out of the kernel's pipe if it is there.
    pub(crate) fn held(&mut self) -> io::Result<&[u8]> {
        if let Some(pipe) = self.pipe.take() {
            self.backlog.keep_copy(&pipe.empty()?);
        }
        Ok(self.backlog.bytes())
    }

    pub(crate) fn state(&self, counters: &FlowCounters, now: Instant) -> FlowState {
        let ago = |instant: Instant| now.saturating_duration_since(instant);
        FlowState {
            tracker: self.tracker.state(),
            held_is_ours: self.backlog_is_ours,
            is_blocked: self.is_blocked,
            insert: self.insert.as_ref().map(|frame| frame.as_bytes().to_vec()),
            awaited_pong: self.awaited_pong,
            bytes_read: self.bytes_read,
            bytes_written: self.bytes_written,
            pongs_kept: self.pongs_kept,
            first_read: self.first_read.map(ago),
            heard: ago(self.heard),
            drained: ago(self.drained),
            stalled_since: self.stalled_since.map(ago),
            stalled: counters.stalled(),
        }
    }

    /// `None` for what no direction can have come to.
    pub(crate) fn revived(
        sender: Sender,
        splices: bool,
        state: &FlowState,
        held: &[u8],
        now: Instant,
    ) -> Option<Self> {
        let at = |ago: Duration| now.checked_sub(ago).unwrap_or(now);
        let mut flow = Self::new(sender, splices, now);
        flow.tracker = Tracker::revived(sender, &state.tracker)?;
        if !held.is_empty() {
            flow.backlog.keep_copy(held);
            flow.backlog_is_ours = state.held_is_ours;
            flow.is_blocked = state.is_blocked;
        }
        if let Some(bytes) = &state.insert {
            flow.insert = Some(Box::new(ControlFrame::from_bytes(bytes)?));
        }
        flow.awaited_pong = state.awaited_pong;
        flow.bytes_read = state.bytes_read;
        flow.bytes_written = state.bytes_written;
        flow.pongs_kept = state.pongs_kept;
        flow.first_read = state.first_read.map(at);
        flow.heard = at(state.heard);
        flow.drained = at(state.drained);
        flow.stalled_since = state.stalled_since.map(at);
        Some(flow)
    }

    /// Sets the counters to what has passed so far.
    pub(crate) fn recount(&self, state: &FlowState, counters: &FlowCounters) {
        let seen = self.tracker.seen();
        let frames = seen.frames.saturating_sub(self.pongs_kept);
        counters.set_read(self.bytes_read, frames, seen.messages);
        counters.set_written(self.bytes_written);
        counters.add_stall(state.stalled);
    }
}
