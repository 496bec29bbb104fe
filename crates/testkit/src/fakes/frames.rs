//! WebSocket frames, as much as an end needs that echoes, answers pings and closes.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// A frame that came, unmasked.
#[derive(Debug)]
pub(super) struct Frame {
    /// Final flag and opcode, as they came.
    pub(super) first: u8,
    pub(super) payload: Vec<u8>,
}

/// Reads frames. While nothing comes it holds next to nothing: there are thousands of them.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<u8>);

// === impl Frame ===

impl Frame {
    pub(super) fn opcode(&self) -> u8 {
        self.first & 0x0F
    }

    /// The same as the other end would send it.
    pub(super) fn to_bytes(&self, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match self.payload.len() {
            n @ 0..=125 => bytes.push(mask | n as u8),
            n @ 126..=0xFFFF => {
                bytes.push(mask | 126);
                bytes.extend((n as u16).to_be_bytes());
            }
            n => {
                bytes.push(mask | 127);
                bytes.extend((n as u64).to_be_bytes());
            }
        }
        if masked {
            // A key of zeros leaves the payload as it is.
            bytes.extend([0; 4]);
        }
        bytes.extend(&self.payload);
        bytes
    }
}

// === impl Frames ===

impl Frames {
    /// With what was read already.
    pub(super) fn with(read: Vec<u8>) -> Self {
        Self(read)
    }

    /// The next frame; `None` at the end of the stream.
    pub(super) async fn next(&mut self, stream: &mut TcpStream) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            // Waits without a buffer.
            stream.readable().await?;
            let mut bytes = [0; 2048];
            match stream.try_read(&mut bytes) {
                Ok(0) => return Ok(None),
                Ok(n) => self.0.extend_from_slice(&bytes[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let bytes = &self.0;
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (from, length) = match second & 0x7F {
            126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
            n => (2, u64::from(n)),
        };
        let (key, from) = match second & 0x80 {
            0 => ([0; 4], from),
            _ => (bytes.get(from..from + 4)?.try_into().ok()?, from + 4),
        };
        let end = from + usize::try_from(length).ok()?;
        let masked = bytes.get(from..end)?.iter().zip(key.iter().cycle());
        let payload = masked.map(|(byte, key)| byte ^ key).collect();
        self.0.drain(..end);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        Some(Frame { first, payload })
    }
}

/// Reads the head of a request or an answer, and what came after it.
pub(super) async fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut read = Vec::with_capacity(2048);
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&read).into_owned(), rest));
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
