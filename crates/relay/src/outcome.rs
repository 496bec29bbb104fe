//! What became of a session.

use std::io;
use std::time::Duration;

use crate::close::{CloseReason, PeerClose};
use crate::counters::FlowCounters;
use crate::frame::Violation;

/// Which side a session ended by: the first that closed, broke or was told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The client.
    Client,
    /// The upstream.
    Upstream,
    /// The relay's caller.
    Relay,
}

/// How that side ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// With a close frame.
    Close(PeerClose),
    /// It closed its connection without a close frame.
    Eof,
    /// Its connection broke.
    Error(io::ErrorKind),
    /// It broke the protocol.
    Violation(Violation),
    /// Nothing came from it for too long.
    Timeout,
    /// The caller asked for it, for this reason.
    Asked(CloseReason),
}

/// What passed in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that came.
    pub bytes: u64,
    /// Complete frames.
    pub frames: u64,
    /// Complete messages.
    pub messages: u64,
}

/// The end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which side it ended by.
    pub ended_by: EndedBy,
    /// How.
    pub how: How,
    /// What the client was told by the relay, when the close frame was the relay's.
    pub told_client: Option<CloseReason>,
    /// From the client to the upstream.
    pub up: Traffic,
    /// From the upstream to the client.
    pub down: Traffic,
    /// When the upstream's first byte came, counted from the start.
    pub first_byte: Option<Duration>,
}

// === impl Outcome ===

impl Outcome {
    /// The code of the close frame that was seen first, the relay's own included.
    pub fn close_code(&self) -> Option<u16> {
        match &self.how {
            How::Close(close) => close.code,
            How::Asked(reason) => Some(reason.code),
            _ => self.told_client.as_ref().map(|reason| reason.code),
        }
    }
}

// === impl Traffic ===

impl From<&FlowCounters> for Traffic {
    fn from(counters: &FlowCounters) -> Self {
        Self { bytes: counters.read(), frames: counters.frames(), messages: counters.messages() }
    }
}
