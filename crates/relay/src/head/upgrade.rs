//! Whether a request is a WebSocket handshake, and if not, what is missing.

use super::RequestHead;

/// What keeps a request from being a WebSocket handshake (RFC 6455, section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// It asks for no upgrade at all: a plain HTTP request.
    #[error("this is no WebSocket handshake: there is no Upgrade header")]
    NotAsked,
    /// Another method than GET.
    #[error("a WebSocket handshake is a GET request")]
    Method,
    /// HTTP/1.0.
    #[error("a WebSocket handshake needs HTTP/1.1")]
    HttpVersion,
    /// An upgrade to something else.
    #[error("the Upgrade header does not name websocket")]
    Protocol,
    /// `Connection` does not name the upgrade.
    #[error("the Connection header does not name upgrade")]
    Connection,
    /// Another version of WebSocket than 13.
    #[error("Sec-WebSocket-Version is not 13")]
    Version,
    /// No key, or not 16 bytes in base64.
    #[error("Sec-WebSocket-Key is not 16 bytes in base64")]
    Key,
    /// A body, which would be taken for frames by one side and not by the other.
    #[error("a WebSocket handshake has no body")]
    Body,
}

// === impl UpgradeError ===

impl UpgradeError {
    /// The status to refuse the request with.
    pub fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::HttpVersion => 505,
            Self::NotAsked | Self::Version => 426,
            Self::Protocol | Self::Connection | Self::Key | Self::Body => 400,
        }
    }
}

impl RequestHead {
    /// Checks that this is a WebSocket handshake, strictly. The error says what is missing.
    pub fn check_websocket_upgrade(&self) -> Result<(), UpgradeError> {
        if !self.headers.contains("Upgrade") {
            return Err(UpgradeError::NotAsked);
        }
        let rules = [
            (self.method == "GET", UpgradeError::Method),
            (self.version == 1, UpgradeError::HttpVersion),
            (self.headers.has_token("Upgrade", "websocket"), UpgradeError::Protocol),
            (self.headers.has_token("Connection", "upgrade"), UpgradeError::Connection),
            (self.has_version_13(), UpgradeError::Version),
            (self.has_key(), UpgradeError::Key),
            (!self.has_body(), UpgradeError::Body),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, missing)) => Err(missing),
            None => Ok(()),
        }
    }

    /// Whether this is a WebSocket handshake, strictly.
    pub fn is_websocket_upgrade(&self) -> bool {
        self.check_websocket_upgrade().is_ok()
    }

    fn has_version_13(&self) -> bool {
        let mut versions = self.headers.all("Sec-WebSocket-Version");
        versions.next() == Some(b"13") && versions.next().is_none()
    }

    fn has_key(&self) -> bool {
        let mut keys = self.headers.all("Sec-WebSocket-Key");
        keys.next().is_some_and(is_key) && keys.next().is_none()
    }

    fn has_body(&self) -> bool {
        let length = self.headers.all("Content-Length").any(|value| value != b"0");
        length || self.headers.contains("Transfer-Encoding")
    }
}

/// 16 bytes in base64: 22 digits, the last of which carries two bits only, and the padding.
fn is_key(value: &[u8]) -> bool {
    let Some((digits, b"==")) = value.split_at_checked(22) else {
        return false;
    };
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.iter().all(digit) && matches!(digits[21], b'A' | b'Q' | b'g' | b'w')
}
