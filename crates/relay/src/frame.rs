//! Frame headers and control frames on the wire (RFC 6455, section 5).

use crate::close::CloseReason;

/// The longest header: two bytes, a 64-bit length, a mask.
pub const MAX_HEADER: usize = 14;
/// The longest payload of a control frame.
pub const MAX_CONTROL: usize = 125;

/// Who sends a stream of frames: a client masks them, a server does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The side that sent the handshake's request.
    Client,
    /// The side that answered it.
    Server,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further part of a message.
    Continuation,
    /// A message of text, or its first part.
    Text,
    /// A message of bytes, or its first part.
    Binary,
    /// The end, with a reason.
    Close,
    /// A question whether the peer is there.
    Ping,
    /// The answer to it.
    Pong,
}

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An opcode that has no meaning.
    #[error("reserved opcode")]
    ReservedOpcode,
    /// A reserved bit that no known extension uses. The first one is compression's.
    #[error("reserved bit")]
    ReservedBit,
    /// A control frame with more than 125 bytes.
    #[error("control frame longer than 125 bytes")]
    LongControl,
    /// A control frame in parts.
    #[error("fragmented control frame")]
    FragmentedControl,
    /// A 64-bit length with its top bit set.
    #[error("frame length out of range")]
    Length,
    /// A client's frame without a mask.
    #[error("client frame without a mask")]
    Unmasked,
    /// A server's frame with a mask.
    #[error("server frame with a mask")]
    Masked,
    /// A continuation of nothing.
    #[error("continuation without a message")]
    StrayContinuation,
    /// A new message within another.
    #[error("new message inside a message")]
    Interrupted,
}

/// A frame's header, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame is.
    pub opcode: Opcode,
    /// Whether it is the last of its message.
    pub fin: bool,
    /// The mask; zeros when there is none.
    pub mask: [u8; 4],
    /// Bytes of the header.
    pub len: usize,
    /// Bytes of the payload.
    pub payload: u64,
}

// === impl Opcode ===

impl Opcode {
    /// Whether the frame is a close, a ping or a pong.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    pub(crate) const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }
}

// === impl FrameHeader ===

impl FrameHeader {
    /// Reads a header from the front of `bytes`; `None` when more bytes are needed.
    /// A violation is found as soon as its bytes are there.
    #[inline]
    pub fn parse(bytes: &[u8], sender: Sender) -> Result<Option<Self>, Violation> {
        let &[first, second, ..] = bytes else {
            return Ok(None);
        };
        let opcode = Opcode::from_bits(first & 0x0F).ok_or(Violation::ReservedOpcode)?;
        check_first_bytes(first, second, opcode, sender)?;
        let (payload, after_length) = match second & 0x7F {
            126 => match *bytes {
                [_, _, a, b, ..] => (u64::from(u16::from_be_bytes([a, b])), 4),
                _ => return Ok(None),
            },
            127 => match *bytes {
                [_, _, a, ..] if a & 0x80 != 0 => return Err(Violation::Length),
                [_, _, a, b, c, d, e, f, g, h, ..] => {
                    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10)
                }
                _ => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        let mut header =
            Self { opcode, fin: first & 0x80 != 0, mask: [0; 4], len: after_length, payload };
        if sender == Sender::Client {
            let Some(mask) = bytes[after_length..].first_chunk() else {
                return Ok(None);
            };
            header.mask = *mask;
            header.len += 4;
        }
        Ok(Some(header))
    }
}

#[inline]
fn check_first_bytes(
    first: u8,
    second: u8,
    opcode: Opcode,
    sender: Sender,
) -> Result<(), Violation> {
    if first & 0x30 != 0 {
        return Err(Violation::ReservedBit);
    }
    match (second & 0x80 != 0, sender) {
        (false, Sender::Client) => return Err(Violation::Unmasked),
        (true, Sender::Server) => return Err(Violation::Masked),
        _ => {}
    }
    if opcode.is_control() {
        if first & 0x80 == 0 {
            return Err(Violation::FragmentedControl);
        }
        if second & 0x7F > 125 {
            return Err(Violation::LongControl);
        }
    }
    Ok(())
}

/// A whole control frame on the wire, made without allocation.
#[derive(Clone, Debug)]
pub struct ControlFrame {
    bytes: [u8; 2 + 4 + MAX_CONTROL],
    len: u8,
}

// === impl ControlFrame ===

impl ControlFrame {
    /// A ping. `mask` is what a client must give: four bytes that nobody can foresee.
    pub fn ping(payload: &[u8], mask: Option<[u8; 4]>) -> Self {
        Self::new(Opcode::Ping, payload, mask)
    }

    /// A close frame with its code and as much of its reason as fits.
    pub fn close(reason: &CloseReason, mask: Option<[u8; 4]>) -> Self {
        let mut payload = [0; MAX_CONTROL];
        let text = reason.text_that_fits().as_bytes();
        payload[..2].copy_from_slice(&reason.code.to_be_bytes());
        payload[2..2 + text.len()].copy_from_slice(text);
        Self::new(Opcode::Close, &payload[..2 + text.len()], mask)
    }

    /// A frame of ours that has travelled; `None` for what is none.
    pub(crate) fn from_bytes(frame: &[u8]) -> Option<Self> {
        let mut bytes = [0; 2 + 4 + MAX_CONTROL];
        bytes.get_mut(..frame.len())?.copy_from_slice(frame);
        (frame.len() >= 2).then_some(Self { bytes, len: frame.len() as u8 })
    }

    /// The frame.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// At most 125 bytes of `payload` are taken.
    fn new(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Self {
        let payload = &payload[..payload.len().min(MAX_CONTROL)];
        let start = if mask.is_some() { 6 } else { 2 };
        let mut bytes = [0; 2 + 4 + MAX_CONTROL];
        bytes[0] = 0x80 | opcode.bits();
        bytes[1] = payload.len() as u8 | if mask.is_some() { 0x80 } else { 0 };
        bytes[start..start + payload.len()].copy_from_slice(payload);
        if let Some(mask) = mask {
            bytes[2..6].copy_from_slice(&mask);
            apply_mask(&mut bytes[6..6 + payload.len()], mask);
        }
        Self { bytes, len: (start + payload.len()) as u8 }
    }
}

/// Masks or unmasks a payload from its first byte on.
pub(crate) fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}
