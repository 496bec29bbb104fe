//! A peer's connection, TCP or UNIX.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use rustix::net::AddressFamily;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::splice::Pipe;

/// A connection after its handshake, with the bytes that were read behind the handshake already.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    early: Bytes,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

// === impl Socket ===

impl Socket {
    /// The same connection, with what was read behind its handshake.
    #[must_use]
    pub fn with_leftover(mut self, early: Bytes) -> Self {
        self.early = early;
        self
    }

    /// A connection that was opened elsewhere.
    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        match rustix::net::sockopt::socket_domain(&fd)? {
            AddressFamily::UNIX => Ok(UnixStream::from_std(fd.into())?.into()),
            _ => Ok(TcpStream::from_std(fd.into())?.into()),
        }
    }

    /// What was read behind the handshake and not taken yet.
    pub(crate) fn early(&self) -> &Bytes {
        &self.early
    }

    /// Reads into `buf`; 0 at the end of the stream.
    #[inline]
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if !self.early.is_empty() {
            return Poll::Ready(Ok(self.take_early(buf)));
        }
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(self).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Moves up to `len` bytes into a pipe; 0 at the end of the stream.
    pub(crate) fn poll_fill_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            let moved = match &self.stream {
                Stream::Tcp(stream) => {
                    ready!(stream.poll_read_ready(cx))?;
                    stream.try_io(Interest::READABLE, || pipe.fill(stream, len))
                }
                Stream::Unix(stream) => {
                    ready!(stream.poll_read_ready(cx))?;
                    stream.try_io(Interest::READABLE, || pipe.fill(stream, len))
                }
            };
            if !would_block(&moved) {
                return Poll::Ready(moved);
            }
        }
    }

    /// Moves what a pipe holds, or a part of it, into the socket.
    pub(crate) fn poll_drain_pipe(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        loop {
            let moved = match &self.stream {
                Stream::Tcp(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || pipe.drain(stream))
                }
                Stream::Unix(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || pipe.drain(stream))
                }
            };
            if !would_block(&moved) {
                return Poll::Ready(moved);
            }
        }
    }

    /// Whether everything that was read with the handshake has been taken.
    pub(crate) fn is_past_handshake(&self) -> bool {
        self.early.is_empty()
    }

    #[cold]
    fn take_early(&mut self, buf: &mut [u8]) -> usize {
        let len = self.early.len().min(buf.len());
        self.early.copy_to_slice(&mut buf[..len]);
        if self.early.is_empty() {
            // An empty rest would still hold the whole allocation.
            self.early = Bytes::new();
        }
        len
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl From<TcpStream> for Socket {
    /// Small messages are not kept waiting: this sets `TCP_NODELAY`.
    fn from(stream: TcpStream) -> Self {
        // It fails on a connection that is broken already, which the first read will tell.
        let _ = stream.set_nodelay(true);
        Self { stream: Stream::Tcp(stream), early: Bytes::new() }
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self { stream: Stream::Unix(stream), early: Bytes::new() }
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.early.is_empty() {
            let len = this.take_early(buf.initialize_unfilled());
            buf.advance(len);
            return Poll::Ready(Ok(()));
        }
        match &mut this.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

fn would_block(moved: &io::Result<usize>) -> bool {
    matches!(moved, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
