//! A plain WebSocket echo server, as little as it takes: what stands behind the proxies in a benchmark.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

/// Answers a handshake. It computes no accept key: the clients of the benchmarks do not look at it.
pub const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Serves both listeners until the task is dropped.
pub async fn serve(tcp: TcpListener, unix: UnixListener) -> io::Result<()> {
    loop {
        tokio::select! {
            accepted = tcp.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                tokio::spawn(echo(stream));
            }
            accepted = unix.accept() => {
                tokio::spawn(echo(accepted?.0));
            }
        }
    }
}

/// Echoes frames. They come masked and go unmasked; with a mask of zeros that is a matter of the header only.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut input = Vec::with_capacity(1024);
    while !input.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
    drop(input);
    stream.write_all(SWITCHING).await?;
    let mut frames = Unmask::default();
    // A silent connection holds a small buffer only: there may be thousands of them.
    let (mut small, mut large) = ([0; 256], Vec::new());
    let mut out = Vec::new();
    loop {
        let buffer = if large.is_empty() { &mut small[..] } else { &mut large[..] };
        let len = stream.read(buffer).await?;
        if len == 0 {
            return Ok(());
        }
        out.clear();
        frames.unmask(&buffer[..len], &mut out);
        stream.write_all(&out).await?;
        if large.is_empty() && len == small.len() {
            large = vec![0; 256 * 1024];
        }
    }
}

/// Turns a client's frames, masked with zeros, into a server's.
#[derive(Debug, Default)]
struct Unmask {
    header: Vec<u8>,
    payload: u64,
}

impl Unmask {
    fn unmask(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            if self.payload > 0 {
                let len = usize::try_from(self.payload).unwrap_or(usize::MAX).min(input.len());
                out.extend_from_slice(&input[..len]);
                self.payload -= len as u64;
                input = &input[len..];
                continue;
            }
            self.header.push(input[0]);
            input = &input[1..];
            self.end_header(out);
        }
    }

    fn end_header(&mut self, out: &mut Vec<u8>) {
        let Some(&second) = self.header.get(1) else {
            return;
        };
        let extended = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.header.len() < 2 + extended + 4 {
            return;
        }
        let length = &self.header[2..2 + extended];
        self.payload = match extended {
            0 => u64::from(second & 0x7F),
            _ => length.iter().fold(0, |n, &byte| n << 8 | u64::from(byte)),
        };
        out.extend_from_slice(&[self.header[0], second & 0x7F]);
        out.extend_from_slice(length);
        self.header.clear();
    }
}
