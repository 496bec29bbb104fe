//! Follows the frames of one direction, whatever slices its bytes come in.
//!
//! No socket, no clock, no allocation: headers are read, payloads are counted and skipped.

mod carried;

use crate::close::PeerClose;
use crate::frame::{FrameHeader, MAX_CONTROL, MAX_HEADER, Opcode, Sender, Violation, apply_mask};

pub(crate) use carried::TrackerState;

/// What was seen in a direction so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Frames that are complete, control frames included.
    pub frames: u64,
    /// Messages whose last frame is complete.
    pub messages: u64,
    /// Control frames that are complete.
    pub controls: u64,
}

/// Why [`Tracker::advance`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The input is used up.
    Input,
    /// A control frame is complete: see [`Tracker::control`].
    Control(Opcode),
    /// The peer broke the protocol. What is before the offending frame is fine and was consumed.
    Violation(Violation),
}

/// Follows the frames that one side sends.
#[derive(Clone, Debug)]
pub struct Tracker {
    /// Payload bytes of the current frame that have not come yet.
    left: u64,
    seen: Seen,
    sender: Sender,
    opcode: Opcode,
    fin: bool,
    /// A message has begun whose last frame has not.
    in_message: bool,
    closed: bool,
    violated: Option<Violation>,
    /// The part of a header that has come, when it came in parts.
    partial: [u8; MAX_HEADER],
    partial_len: u8,
    mask: [u8; 4],
    header_len: u8,
    control: [u8; MAX_CONTROL],
    control_len: u8,
}

// === impl Tracker ===

impl Tracker {
    /// A tracker at the start of the stream that `sender` sends.
    pub fn new(sender: Sender) -> Self {
        Self {
            left: 0,
            seen: Seen::default(),
            sender,
            opcode: Opcode::Continuation,
            fin: false,
            in_message: false,
            closed: false,
            violated: None,
            partial: [0; MAX_HEADER],
            partial_len: 0,
            mask: [0; 4],
            header_len: 0,
            control: [0; MAX_CONTROL],
            control_len: 0,
        }
    }

    /// Follows `input` up to its end or to the next thing to know. Says how many bytes were followed.
    /// After a violation nothing is followed any more.
    pub fn advance(&mut self, input: &[u8]) -> (usize, Stop) {
        if let Some(violation) = self.violated {
            return (0, Stop::Violation(violation));
        }
        let mut at = 0;
        while at < input.len() {
            at += if self.left > 0 {
                self.take_payload(&input[at..])
            } else {
                match self.take_header(&input[at..]) {
                    Ok(taken) => taken,
                    Err(violation) => {
                        self.violated = Some(violation);
                        return (at, Stop::Violation(violation));
                    }
                }
            };
            if self.left == 0 && self.partial_len == 0 {
                self.finish_frame();
                if self.opcode.is_control() {
                    return (at, Stop::Control(self.opcode));
                }
            }
        }
        (at, Stop::Input)
    }

    /// Whether everything so far was whole frames: the place where a frame may be put in.
    pub fn at_boundary(&self) -> bool {
        self.left == 0 && self.partial_len == 0
    }

    /// How many of the next bytes surely belong to the current frame. 0 at a boundary.
    pub fn certain(&self) -> u64 {
        match (self.left, self.partial_len) {
            (0, 0) => 0,
            (0, _) => 1,
            (left, _) => left,
        }
    }

    /// Bytes of a header that have come without its rest.
    pub fn pending_header(&self) -> usize {
        usize::from(self.partial_len)
    }

    /// How many of the next bytes are payload that need not be looked at.
    pub fn skippable(&self) -> u64 {
        if self.opcode.is_control() { 0 } else { self.left }
    }

    /// Tells that `bytes` of payload, at most [`skippable`](Self::skippable), have passed unseen.
    pub fn skip(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.skippable(), "only payload can be skipped");
        if bytes == 0 {
            return;
        }
        self.left = self.left.saturating_sub(bytes);
        if self.left == 0 {
            self.finish_frame();
        }
    }

    /// The unmasked payload of the last control frame.
    pub fn control(&self) -> &[u8] {
        &self.control[..usize::from(self.control_len)]
    }

    /// Bytes that the last frame had on the wire, its header included, if it was a control frame.
    pub fn control_frame_len(&self) -> usize {
        usize::from(self.header_len) + usize::from(self.control_len)
    }

    /// Whether a close frame has come.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// What the last control frame says as a close frame.
    pub fn peer_close(&self) -> PeerClose {
        PeerClose::from_payload(self.control())
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    #[inline]
    fn take_payload(&mut self, input: &[u8]) -> usize {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        if self.opcode.is_control() {
            // A control frame's length was checked with its header, so there is room.
            let start = usize::from(self.control_len);
            self.control[start..start + len].copy_from_slice(&input[..len]);
            self.control_len += len as u8;
        }
        self.left -= len as u64;
        len
    }

    /// Takes a header, or what there is of it. Says how many bytes of `input` it took.
    #[inline]
    fn take_header(&mut self, input: &[u8]) -> Result<usize, Violation> {
        if self.partial_len == 0
            && let Some(header) = FrameHeader::parse(input, self.sender)?
        {
            self.begin_frame(&header)?;
            return Ok(header.len);
        }
        self.take_partial_header(input)
    }

    #[cold]
    fn take_partial_header(&mut self, input: &[u8]) -> Result<usize, Violation> {
        let had = usize::from(self.partial_len);
        let more = input.len().min(MAX_HEADER - had);
        self.partial[had..had + more].copy_from_slice(&input[..more]);
        let header = FrameHeader::parse(&self.partial[..had + more], self.sender)?;
        let Some(header) = header else {
            self.partial_len += more as u8;
            return Ok(more);
        };
        self.begin_frame(&header)?;
        self.partial_len = 0;
        Ok(header.len - had)
    }

    #[inline]
    fn begin_frame(&mut self, header: &FrameHeader) -> Result<(), Violation> {
        match (header.opcode, self.in_message) {
            (Opcode::Continuation, false) => return Err(Violation::StrayContinuation),
            (Opcode::Text | Opcode::Binary, true) => return Err(Violation::Interrupted),
            (opcode, _) if opcode.is_control() => self.control_len = 0,
            _ => self.in_message = !header.fin,
        }
        self.opcode = header.opcode;
        self.fin = header.fin;
        self.mask = header.mask;
        self.header_len = header.len as u8;
        self.left = header.payload;
        Ok(())
    }

    #[inline]
    fn finish_frame(&mut self) {
        self.seen.frames += 1;
        if !self.opcode.is_control() {
            self.seen.messages += u64::from(self.fin);
            return;
        }
        self.seen.controls += 1;
        self.closed |= self.opcode == Opcode::Close;
        apply_mask(&mut self.control[..usize::from(self.control_len)], self.mask);
    }
}
