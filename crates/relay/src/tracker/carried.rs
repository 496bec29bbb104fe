//! A tracker's state between two processes.

use serde::{Deserialize, Serialize};

use super::{Seen, Tracker};
use crate::frame::{MAX_CONTROL, MAX_HEADER, Opcode, Sender};

/// What a tracker must know to go on. Nothing of a side that has broken the protocol or has said
/// goodbye: such a session ends where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrackerState {
    left: u64,
    frames: u64,
    messages: u64,
    controls: u64,
    opcode: u8,
    fin: bool,
    in_message: bool,
    partial: Vec<u8>,
    mask: [u8; 4],
    header_len: u8,
    control: Vec<u8>,
}

impl Tracker {
    pub(crate) fn state(&self) -> TrackerState {
        TrackerState {
            left: self.left,
            frames: self.seen.frames,
            messages: self.seen.messages,
            controls: self.seen.controls,
            opcode: self.opcode.bits(),
            fin: self.fin,
            in_message: self.in_message,
            partial: self.partial[..usize::from(self.partial_len)].to_vec(),
            mask: self.mask,
            header_len: self.header_len,
            control: self.control().to_vec(),
        }
    }

    /// `None` for what no tracker can have come to.
    pub(crate) fn revived(sender: Sender, state: &TrackerState) -> Option<Self> {
        let (partial, control) = (&state.partial, &state.control);
        if partial.len() >= MAX_HEADER || control.len() > MAX_CONTROL {
            return None;
        }
        let opcode = Opcode::from_bits(state.opcode)?;
        if opcode.is_control() && control.len() as u64 + state.left > MAX_CONTROL as u64 {
            return None;
        }
        let mut tracker = Self::new(sender);
        tracker.left = state.left;
        tracker.seen =
            Seen { frames: state.frames, messages: state.messages, controls: state.controls };
        tracker.opcode = opcode;
        tracker.fin = state.fin;
        tracker.in_message = state.in_message;
        tracker.partial[..partial.len()].copy_from_slice(partial);
        tracker.partial_len = partial.len() as u8;
        tracker.mask = state.mask;
        tracker.header_len = state.header_len;
        tracker.control[..control.len()].copy_from_slice(control);
        tracker.control_len = control.len() as u8;
        Some(tracker)
    }
}
