//! The head of a response.

use bytes::Bytes;

use super::{HeadError, Headers, MAX_HEADERS};

/// The head of a response: its first line and its headers, in their order.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// Minor version of HTTP/1: 0 or 1.
    pub version: u8,
    /// The headers.
    pub headers: Headers,
    reason: String,
    raw: Bytes,
}

/// How a response says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyEnd {
    Length(u64),
    Chunked,
    Eof,
}

// === impl ResponseHead ===

impl ResponseHead {
    /// A head of our own, without headers.
    pub fn new(status: u16, reason: &str) -> Self {
        let reason = reason.chars().filter(|c| !c.is_control()).collect();
        Self { status, version: 1, headers: Headers::default(), reason, raw: Bytes::new() }
    }

    /// Reads one head from the front of `bytes`. Says how long it was, or `None` when more is needed.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut slots);
        let len = match response.parse(bytes).map_err(HeadError::from_parser)? {
            httparse::Status::Complete(len) => len,
            httparse::Status::Partial => return Ok(None),
        };
        // A complete head has all three; the empty value cannot be seen.
        let head = Self {
            status: response.code.unwrap_or_default(),
            version: response.version.unwrap_or_default(),
            headers: Headers::from_parser(response.headers),
            reason: response.reason.unwrap_or_default().to_owned(),
            raw: Bytes::copy_from_slice(&bytes[..len]),
        };
        Ok(Some((head, len)))
    }

    /// The words after the status code.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The bytes as they came, whatever was edited since. Empty for a head of our own.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Whether the peer switches to WebSocket with this answer.
    pub fn is_switching(&self) -> bool {
        self.status == 101 && self.headers.has_token("Upgrade", "websocket")
    }

    /// The head on the wire, edits included.
    pub fn to_bytes(&self) -> Vec<u8> {
        let first = format!("HTTP/1.{} {:03} {}\r\n", self.version, self.status, self.reason);
        let mut out = first.into_bytes();
        self.headers.write_to(&mut out);
        out
    }

    pub(super) fn body_end(&self) -> Result<BodyEnd, HeadError> {
        if self.status < 200 || matches!(self.status, 204 | 304) {
            return Ok(BodyEnd::Length(0));
        }
        if self.headers.has_token("Transfer-Encoding", "chunked") {
            return Ok(BodyEnd::Chunked);
        }
        match self.headers.get_bytes("Content-Length") {
            None => Ok(BodyEnd::Eof),
            Some(value) => parse_length(value)
                .map(BodyEnd::Length)
                .ok_or(HeadError::Malformed("bad Content-Length")),
        }
    }
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}
