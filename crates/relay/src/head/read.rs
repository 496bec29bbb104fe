//! Reading a head from a stream that may be slow, endless or hostile.

use std::future::Future;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use super::response::BodyEnd;
use super::{MAX_HEADERS, RequestHead, ResponseHead};

/// Most heads are smaller than this.
const FIRST_READ: usize = 2048;

/// Why there is no head.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// More bytes than allowed.
    #[error("the head is larger than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// More header lines than allowed.
    #[error("the head has more than {MAX_HEADERS} headers")]
    TooManyHeaders,
    /// It did not come in time, or in drips.
    #[error("the head did not come in time")]
    TooSlow,
    /// It is not HTTP/1.
    #[error("the head is malformed: {0}")]
    Malformed(&'static str),
    /// The peer closed its side within the head. Nothing at all came when `received` is 0.
    #[error("the peer closed after {received} bytes of the head")]
    ClosedEarly {
        /// Bytes that came.
        received: usize,
    },
    /// The connection broke.
    #[error("the connection broke while the head was read")]
    Io(#[source] io::Error),
}

// === impl HeadError ===

impl HeadError {
    /// The status to refuse a request with.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge { .. } | Self::TooManyHeaders => 431,
            Self::TooSlow => 408,
            Self::Malformed(_) | Self::ClosedEarly { .. } | Self::Io(_) => 400,
        }
    }

    pub(super) fn from_parser(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::TooManyHeaders,
            httparse::Error::HeaderName => Self::Malformed("bad header name"),
            httparse::Error::HeaderValue => Self::Malformed("bad header value"),
            httparse::Error::NewLine => Self::Malformed("bad line end"),
            httparse::Error::Status => Self::Malformed("bad status"),
            httparse::Error::Token => Self::Malformed("bad first line"),
            httparse::Error::Version => Self::Malformed("not HTTP/1"),
        }
    }
}

/// Reads a request's head of at most `limit` bytes, and what was read behind it.
pub async fn read_request_head<S>(
    stream: &mut S,
    limit: usize,
    deadline: Instant,
) -> Result<(RequestHead, Bytes), HeadError>
where
    S: AsyncRead + Unpin,
{
    read_head(stream, limit, deadline, RequestHead::parse).await
}

/// Reads a response's head of at most `limit` bytes, and what was read behind it:
/// the first frames after a 101, else the start of the body.
pub async fn read_response_head<S>(
    stream: &mut S,
    limit: usize,
    deadline: Instant,
) -> Result<(ResponseHead, Bytes), HeadError>
where
    S: AsyncRead + Unpin,
{
    read_head(stream, limit, deadline, ResponseHead::parse).await
}

/// Reads the body of a response, `start` included, up to its end or to `limit` bytes, whichever comes first.
/// What came until the deadline is a body too: words that are cut are better than none.
pub async fn read_response_body<S>(
    stream: &mut S,
    head: &ResponseHead,
    start: Bytes,
    limit: usize,
    deadline: Instant,
) -> Result<Bytes, HeadError>
where
    S: AsyncRead + Unpin,
{
    let end = head.body_end()?;
    let mut body = BytesMut::from(start.as_ref());
    while !body_is_complete(end, &body, limit) {
        match in_time(deadline, stream.read_buf(&mut body)).await {
            Ok(0) | Err(HeadError::TooSlow) => break,
            Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
    if end == BodyEnd::Chunked {
        body = join_chunks(&body)?;
    }
    body.truncate(match end {
        BodyEnd::Length(len) => limit.min(usize::try_from(len).unwrap_or(limit)),
        BodyEnd::Chunked | BodyEnd::Eof => limit,
    });
    Ok(body.freeze())
}

async fn in_time<T>(
    deadline: Instant,
    read: impl Future<Output = io::Result<T>>,
) -> Result<T, HeadError> {
    match timeout_at(deadline, read).await {
        Ok(done) => done.map_err(HeadError::Io),
        Err(_) => Err(HeadError::TooSlow),
    }
}

async fn read_head<S, H>(
    stream: &mut S,
    limit: usize,
    deadline: Instant,
    parse: impl Fn(&[u8]) -> Result<Option<(H, usize)>, HeadError>,
) -> Result<(H, Bytes), HeadError>
where
    S: AsyncRead + Unpin,
{
    let mut bytes = BytesMut::with_capacity(FIRST_READ.min(limit));
    let mut scan = Scan::default();
    loop {
        if scan.is_due(&bytes)
            && let Some((head, len)) = parse(&bytes)?
        {
            return Ok((head, Bytes::copy_from_slice(&bytes[len..])));
        }
        if scan.complete {
            return Err(HeadError::Malformed("it ends before it is complete"));
        }
        if bytes.len() >= limit {
            return Err(HeadError::TooLarge { limit });
        }
        let room = (limit - bytes.len()) as u64;
        let read = in_time(deadline, (&mut *stream).take(room).read_buf(&mut bytes)).await?;
        if read == 0 {
            return Err(HeadError::ClosedEarly { received: bytes.len() });
        }
    }
}

/// Says when to parse: at the end of the head, and each time that the bytes have doubled, so that
/// nonsense is refused at once and dripping costs no more than its bytes.
#[derive(Debug, Default)]
struct Scan {
    seen: usize,
    /// Empty lines before the head, which are not its end (RFC 9112, section 2.2).
    empty: usize,
    next: usize,
    complete: bool,
}

// === impl Scan ===

impl Scan {
    fn is_due(&mut self, bytes: &[u8]) -> bool {
        if self.empty == self.seen {
            let line_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
            self.empty += bytes[self.seen..].iter().take_while(line_end).count();
        }
        let fresh = self.seen.saturating_sub(3).max(self.empty);
        self.complete = ends_head(&bytes[fresh..]);
        self.seen = bytes.len();
        let due = self.complete || bytes.len() > self.next;
        if due {
            self.next = bytes.len() * 2;
        }
        due && !bytes.is_empty()
    }
}

fn ends_head(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|w| w == b"\n\r\n") || bytes.windows(2).any(|w| w == b"\n\n")
}

fn body_is_complete(end: BodyEnd, body: &[u8], limit: usize) -> bool {
    let complete = match end {
        BodyEnd::Length(len) => body.len() as u64 >= len,
        BodyEnd::Chunked => body.ends_with(b"0\r\n\r\n"),
        BodyEnd::Eof => false,
    };
    complete || body.len() >= limit
}

fn join_chunks(mut bytes: &[u8]) -> Result<BytesMut, HeadError> {
    let mut body = BytesMut::new();
    loop {
        let size = httparse::parse_chunk_size(bytes);
        let size = size.map_err(|_| HeadError::Malformed("bad chunk size"))?;
        let httparse::Status::Complete((start, len)) = size else {
            return Ok(body);
        };
        let rest = &bytes[start..];
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(rest.len());
        body.extend_from_slice(&rest[..len]);
        bytes = rest[len..].strip_prefix(b"\r\n").unwrap_or_default();
        if len == 0 {
            return Ok(body);
        }
    }
}
