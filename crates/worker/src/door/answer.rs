//! Plain HTTP answers.

use flotilla_core::wire;
use flotilla_relay::ResponseHead;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How much an unread request may still send before the connection is closed on it.
const DISCARD: usize = 64 * 1024;

/// Words for people.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers in words, with a code for programs, and closes.
pub(super) async fn text(peer: &mut TcpStream, status: u16, code: &str, words: &str) {
    let mut head = ResponseHead::new(status, reason(status));
    head.headers.set(wire::REFUSAL_HEADER, code);
    finish(peer, head, PLAIN, words).await;
}

/// Answers with this head and body, and closes.
pub(super) async fn finish(peer: &mut TcpStream, mut head: ResponseHead, kind: &str, body: &str) {
    head.headers.set("Content-Type", kind);
    head.headers.set("Content-Length", body.len().to_string());
    head.headers.set("Connection", "close");
    let bytes = [head.to_bytes().as_slice(), body.as_bytes()].concat();
    if peer.write_all(&bytes).await.is_err() || peer.shutdown().await.is_err() {
        return;
    }
    // A peer that still sends would get a reset, and might never read what we said.
    let drain = async {
        let mut left = DISCARD;
        let mut scratch = [0; 1024];
        while left > 0 {
            match peer.read(&mut scratch).await {
                Ok(0) | Err(_) => return,
                Ok(n) => left = left.saturating_sub(n),
            }
        }
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), drain).await;
}

pub(super) fn reason(status: u16) -> &'static str {
    match status {
        102 => "Processing",
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Refused",
    }
}
