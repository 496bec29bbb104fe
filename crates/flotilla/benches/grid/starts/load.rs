//! The clients: each lane opens a session, closes it as Playwright does, and opens the next.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::roles::tell;

/// What Playwright's client sends.
const HANDSHAKE: &str = "GET /?browser=chromium HTTP/1.1\r\n\
    Host: localhost\r\n\
    User-Agent: Playwright/1.65.1 (x64; debian 12) node/20.20\r\n\
    x-playwright-proxy: \r\n\
    x-playwright-browser: chromium\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
/// A close frame without a payload, masked.
const CLOSE: [u8; 6] = [0x88, 0x80, 0, 0, 0, 0];
const CLOSED: [u8; 2] = [0x88, 0x00];

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Sessions that were opened and closed.
    pub(super) started: u64,
    /// How long it went on.
    pub(super) seconds: f64,
    /// The first thing that went wrong.
    pub(super) failure: Option<String>,
}

pub(super) async fn run(
    target: SocketAddr,
    lanes: usize,
    duration: Duration,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let until = began + duration;
    let lanes: Vec<_> = (0..lanes).map(|_| tokio::spawn(lane(target, until))).collect();
    let mut tally = Tally::default();
    for lane in lanes {
        match lane.await? {
            Ok(started) => tally.started += started,
            Err(error) => tally.failure = Some(error.to_string()),
        }
    }
    tally.seconds = began.elapsed().as_secs_f64();
    tell(serde_json::to_string(&tally)?)?;
    Ok(())
}

async fn lane(target: SocketAddr, until: Instant) -> io::Result<u64> {
    let mut started = 0;
    while Instant::now() < until {
        session(target).await?;
        started += 1;
    }
    Ok(started)
}

async fn session(target: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    stream.write_all(HANDSHAKE.as_bytes()).await?;
    let mut answer = Vec::with_capacity(1024);
    while !answer.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        return Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()));
    }
    stream.write_all(&CLOSE).await?;
    answer.clear();
    stream.read_to_end(&mut answer).await?;
    if answer != CLOSED {
        return Err(io::Error::other(format!("the close was answered with {answer:?}")));
    }
    Ok(())
}
