//! Clients: the handshake that Playwright sends, and a session that does as it is told.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::frames::{CLOSE, Frame, Frames, PING, PONG, read_head};
use crate::raw::handshake;

const TEXT: u8 = 0x81;

/// A client that was let in.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    frames: Frames,
}

/// What became of a handshake.
pub type Opened = Result<Client, Refused>;

/// A client that was not let in, and what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// In words.
    pub words: String,
}

// === impl Client ===

impl Client {
    /// Connects, and waits for the answer to its handshake.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn open(address: SocketAddr) -> io::Result<Opened> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = handshake(&address.to_string(), "/?browser=chromium", &[]);
        stream.write_all(request.as_bytes()).await?;
        let (head, mut rest) = read_head(&mut stream).await?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        match status.unwrap_or_default() {
            101 => Ok(Ok(Self { stream, frames: Frames::with(rest) })),
            status => {
                stream.read_to_end(&mut rest).await?;
                let words = String::from_utf8_lossy(&rest).trim().to_owned();
                Ok(Err(Refused { status, words }))
            }
        }
    }

    /// Sends a message and waits until it comes back.
    ///
    /// # Errors
    /// When something else comes.
    pub async fn echo(&mut self, text: &[u8]) -> io::Result<()> {
        let frame = Frame { first: TEXT, payload: text.to_vec() };
        self.stream.write_all(&frame.to_bytes(true)).await?;
        match self.next().await? {
            Some(back) if back.payload == text => Ok(()),
            other => Err(io::Error::other(format!("not what was sent: {other:?}"))),
        }
    }

    /// Stays, and answers pings, until the session is ended by somebody else.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn stay(&mut self) -> io::Result<()> {
        while let Some(frame) = self.next().await? {
            if frame.opcode() == CLOSE {
                break;
            }
        }
        Ok(())
    }

    /// Ends the session as Playwright does: a close frame, and its answer.
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn close(mut self) -> io::Result<()> {
        let close = Frame { first: 0x80 | CLOSE, payload: Vec::new() };
        self.stream.write_all(&close.to_bytes(true)).await?;
        while let Some(frame) = self.next().await? {
            if frame.opcode() == CLOSE {
                return Ok(());
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// The next frame that is no ping; pings are answered.
    async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let Some(frame) = self.frames.next(&mut self.stream).await? else { return Ok(None) };
            match frame.opcode() {
                PING => {
                    let pong = Frame { first: 0x80 | PONG, ..frame };
                    self.stream.write_all(&pong.to_bytes(true)).await?;
                }
                PONG => {}
                _ => return Ok(Some(frame)),
            }
        }
    }
}
