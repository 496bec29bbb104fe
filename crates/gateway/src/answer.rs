//! Plain HTTP answers on a connection whose handshake was not accepted.

use flotilla_core::Refusal;
use flotilla_core::id::SessionId;
use flotilla_core::wire;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// How much an unread request may still send before the connection is closed on it.
const DISCARD: usize = 64 * 1024;

/// Answers a refusal and closes: in text, or as JSON where the client asked for it.
pub(crate) async fn refuse(
    client: &mut TcpStream,
    refusal: &Refusal,
    json: bool,
    session: Option<&SessionId>,
) {
    let (kind, body) = match json {
        true => ("application/json", refusal.json()),
        false => ("text/plain; charset=utf-8", refusal.text()),
    };
    let mut head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n",
        refusal.status,
        reason_phrase(refusal.status),
        body.len()
    );
    if let Some(seconds) = refusal.retry_after {
        head += &format!("Retry-After: {seconds}\r\n");
    }
    if refusal.status == 426 {
        // RFC 6455, section 4.4.
        head += "Sec-WebSocket-Version: 13\r\n";
    }
    if let Some(session) = session {
        let (name, value) = wire::debug_log(session);
        head += &format!("{name}: {value}\r\n");
    }
    send_and_close(client, format!("{head}\r\n{body}").as_bytes()).await;
}

/// Sends the client to its worker.
pub(crate) async fn redirect(client: &mut TcpStream, location: &str, session: &SessionId) {
    const BODY: &str = "this session is at the address in Location, for one connection\n";
    let (name, value) = wire::debug_log(session);
    let head = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nCache-Control: no-store\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
         {name}: {value}\r\n",
        BODY.len()
    );
    send_and_close(client, format!("{head}\r\n{BODY}").as_bytes()).await;
}

/// Writes, then waits for the client to close. A client that still sends would otherwise get a
/// reset, and might never read what we said.
pub(crate) async fn send_and_close(client: &mut TcpStream, bytes: &[u8]) {
    if client.write_all(bytes).await.is_err() || client.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        let mut left = DISCARD;
        let mut scratch = [0; 1024];
        while left > 0 {
            match tokio::io::AsyncReadExt::read(client, &mut scratch).await {
                Ok(0) | Err(_) => return,
                Ok(n) => left = left.saturating_sub(n),
            }
        }
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), drain).await;
}

pub(crate) fn reason_phrase(status: u16) -> &'static str {
    hyper::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Refused")
}
