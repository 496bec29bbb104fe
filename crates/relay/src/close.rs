//! Why a session was closed: a code and words, as a close frame carries them.

use std::borrow::Cow;

/// The longest reason of a close frame, in bytes.
pub const MAX_REASON: usize = 123;

/// A close code (RFC 6455, section 7.4) and words for the person who reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// The code.
    pub code: u16,
    /// The words. What is beyond 123 bytes is not sent.
    pub text: Cow<'static, str>,
}

// === impl CloseReason ===

impl CloseReason {
    /// The endpoint goes away.
    pub const GOING_AWAY: u16 = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// Something failed on this side.
    pub const INTERNAL_ERROR: u16 = 1011;

    /// A reason.
    pub fn new(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into() }
    }

    /// As much of the words as a close frame holds, cut between characters.
    pub fn text_that_fits(&self) -> &str {
        let mut end = self.text.len().min(MAX_REASON);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[..end]
    }
}

/// What a peer's close frame said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerClose {
    /// The code; `None` when the frame was empty.
    pub code: Option<u16>,
    /// The words.
    pub text: String,
}

// === impl PeerClose ===

impl PeerClose {
    /// Reads the unmasked payload of a close frame.
    pub fn from_payload(payload: &[u8]) -> Self {
        match payload.split_first_chunk() {
            Some((code, text)) => Self {
                code: Some(u16::from_be_bytes(*code)),
                text: String::from_utf8_lossy(text).into_owned(),
            },
            None => Self::default(),
        }
    }
}
