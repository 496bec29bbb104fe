//! Handshake heads: read within limits, edited, written back as they came.

mod headers;
mod read;
mod response;
#[cfg(test)]
mod tests;
mod upgrade;

use bytes::Bytes;

pub use headers::{Header, Headers};
pub use read::{HeadError, read_request_head, read_response_body, read_response_head};
pub use response::ResponseHead;
pub use upgrade::UpgradeError;

/// As many header lines as a head may have.
pub const MAX_HEADERS: usize = 100;

/// The head of a request: its first line and its headers, in their order.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method, as it came.
    pub method: String,
    /// Minor version of HTTP/1: 0 or 1.
    pub version: u8,
    /// The headers.
    pub headers: Headers,
    target: String,
    raw: Bytes,
}

// === impl RequestHead ===

impl RequestHead {
    /// Reads one head from the front of `bytes`. Says how long it was, or `None` when more is needed.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut slots);
        let len = match request.parse(bytes).map_err(HeadError::from_parser)? {
            httparse::Status::Complete(len) => len,
            httparse::Status::Partial => return Ok(None),
        };
        // A complete head has all three; the empty value cannot be seen.
        let head = Self {
            method: request.method.unwrap_or_default().to_owned(),
            version: request.version.unwrap_or_default(),
            headers: Headers::from_parser(request.headers),
            target: request.path.unwrap_or_default().to_owned(),
            raw: Bytes::copy_from_slice(&bytes[..len]),
        };
        Ok(Some((head, len)))
    }

    /// What is asked for: path and query in most cases.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Replaces the target. Bytes that would break the line are left out.
    pub fn set_target(&mut self, target: &str) {
        self.target = target.chars().filter(|c| c.is_ascii_graphic()).collect();
    }

    /// The path: the target up to its first `?`.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query without its `?`; empty when there is none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The bytes as they came, whatever was edited since.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The head on the wire, edits included.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.raw.len() + 256);
        out.extend_from_slice(self.method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.target.as_bytes());
        out.extend_from_slice(if self.version == 0 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
        self.headers.write_to(&mut out);
        out
    }
}
