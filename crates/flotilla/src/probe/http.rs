//! As much HTTP/1.1 as asking a grid takes: one request a connection, the whole answer read.
//!
//! A general client would hide the two things that are wanted here: the body of an answer to a
//! handshake, and the connection itself once the answer was 101.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::endpoint::Endpoint;

const HEAD_LIMIT: usize = 64 * 1024;
const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The words beside it.
    pub reason: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, which is written in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the status is 2xx.
    pub const fn is_success(&self) -> bool {
        self.status / 100 == 2
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.headers
            .iter()
            .filter(|(n, _)| n == name)
            .flat_map(|(_, value)| value.split(','))
            .any(|t| t.trim().eq_ignore_ascii_case(token))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The host's name leads nowhere.
    #[error("the name {host} cannot be resolved: {why}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's words.
        why: io::Error,
    },
    /// Nobody takes the connection.
    #[error("nobody answers at {authority}: {why}")]
    Connect {
        /// Where.
        authority: String,
        /// The system's words.
        why: io::Error,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("{authority} gives no proper answer: {why}")]
    Broken {
        /// Where.
        authority: String,
        /// What is wrong with it.
        why: io::Error,
    },
}

impl HttpError {
    /// Whether there is a machine, and nobody listens on it: the process is not there.
    pub fn is_nobody(&self) -> bool {
        matches!(self, Self::Connect { why, .. } if why.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// Asks for `target` and reads the whole answer.
pub async fn get(
    endpoint: &Endpoint,
    target: &str,
    headers: &[(String, String)],
) -> Result<Answer, HttpError> {
    let head = request("GET", &endpoint.authority(), target, "close", headers);
    exchange(endpoint, head.into_bytes()).await
}

/// Sends `body` to `target` and reads the whole answer.
pub async fn post(
    endpoint: &Endpoint,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Answer, HttpError> {
    let length = ("Content-Length".to_owned(), body.len().to_string());
    let headers = [headers, &[length]].concat();
    let head = request("POST", &endpoint.authority(), target, "close", &headers);
    exchange(endpoint, [head.as_bytes(), body].concat()).await
}

async fn exchange(endpoint: &Endpoint, request: Vec<u8>) -> Result<Answer, HttpError> {
    let mut stream = dial(endpoint).await?;
    let exchange = async {
        stream.write_all(&request).await?;
        let (mut answer, rest) = read_answer_head(&mut stream).await?;
        answer.body = read_body(&mut stream, &answer, rest).await?;
        Ok(answer)
    };
    exchange.await.map_err(|why| broken(endpoint, why))
}

/// Sends a request that asks to upgrade. With a 101 the connection comes back, and the bytes
/// behind the head; with any other answer its body has been read.
pub(super) async fn upgrade(
    endpoint: &Endpoint,
    headers: &[(String, String)],
) -> Result<(Answer, TcpStream, Vec<u8>), HttpError> {
    let mut stream = dial(endpoint).await?;
    let authority = endpoint.authority();
    let head = request("GET", &authority, &endpoint.target(), "Upgrade", headers);
    let exchange = async {
        stream.write_all(head.as_bytes()).await?;
        let (mut answer, mut rest) = read_answer_head(&mut stream).await?;
        if answer.status != 101 {
            answer.body = read_body(&mut stream, &answer, std::mem::take(&mut rest)).await?;
        }
        Ok((answer, rest))
    };
    let (answer, rest) = exchange.await.map_err(|why| broken(endpoint, why))?;
    Ok((answer, stream, rest))
}

fn broken(endpoint: &Endpoint, why: io::Error) -> HttpError {
    HttpError::Broken { authority: endpoint.authority(), why }
}

async fn dial(endpoint: &Endpoint) -> Result<TcpStream, HttpError> {
    let host = endpoint.host();
    let unresolved = |why| HttpError::Resolve { host: host.to_owned(), why };
    let addresses = tokio::net::lookup_host((host, endpoint.port())).await;
    let addresses: Vec<_> = addresses.map_err(unresolved)?.collect();
    let refused = |why| HttpError::Connect { authority: endpoint.authority(), why };
    let stream = TcpStream::connect(&addresses[..]).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    Ok(stream)
}

fn request(
    method: &str,
    host: &str,
    target: &str,
    connection: &str,
    headers: &[(String, String)],
) -> String {
    let mut head =
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// The head of the answer itself: any number of others may come before it (RFC 9110, section 15.2),
/// such as a worker's word that it has taken the session.
async fn read_answer_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Answer, Vec<u8>)> {
    let mut buffer = Vec::with_capacity(2048);
    loop {
        let (answer, rest) = read_head(stream, buffer).await?;
        if answer.status == 101 || answer.status >= 200 {
            return Ok((answer, rest));
        }
        buffer = rest;
    }
}

async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    mut buffer: Vec<u8>,
) -> io::Result<(Answer, Vec<u8>)> {
    loop {
        if let Some((answer, length)) = parse_head(&buffer)? {
            return Ok((answer, buffer.split_off(length)));
        }
        if buffer.len() > HEAD_LIMIT {
            return Err(invalid("the answer's head does not end"));
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(invalid("the connection ended before an answer"));
        }
    }
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(buffer);
    let httparse::Status::Complete(length) = parsed.map_err(|_| invalid("that is not HTTP"))?
    else {
        return Ok(None);
    };
    let header = |h: &httparse::Header<'_>| {
        let value = String::from_utf8_lossy(h.value).trim().to_owned();
        (h.name.to_ascii_lowercase(), value)
    };
    let answer = Answer {
        status: response.code.unwrap_or_default(),
        reason: response.reason.unwrap_or_default().to_owned(),
        headers: response.headers.iter().map(header).collect(),
        body: Vec::new(),
    };
    Ok(Some((answer, length)))
}

async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    answer: &Answer,
    rest: Vec<u8>,
) -> io::Result<Vec<u8>> {
    if answer.has_token("transfer-encoding", "chunked") {
        return read_chunks(stream, rest).await;
    }
    let length = answer.header("content-length").map(str::parse::<usize>);
    match length {
        Some(Ok(length)) if length <= BODY_LIMIT => read_exactly(stream, rest, length).await,
        Some(_) => Err(invalid("the answer's length is out of bounds")),
        None if answer.status == 204 || answer.status == 304 => Ok(Vec::new()),
        None => read_to_end(stream, rest).await,
    }
}

async fn read_exactly(
    stream: &mut (impl AsyncRead + Unpin),
    mut body: Vec<u8>,
    length: usize,
) -> io::Result<Vec<u8>> {
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Err(invalid("the answer is shorter than it said"));
        }
    }
    body.truncate(length);
    Ok(body)
}

async fn read_to_end(
    stream: &mut (impl AsyncRead + Unpin),
    mut body: Vec<u8>,
) -> io::Result<Vec<u8>> {
    while stream.read_buf(&mut body).await? != 0 {
        if body.len() > BODY_LIMIT {
            return Err(invalid("the answer does not end"));
        }
    }
    Ok(body)
}

async fn read_chunks(
    stream: &mut (impl AsyncRead + Unpin),
    mut raw: Vec<u8>,
) -> io::Result<Vec<u8>> {
    let bad = || invalid("the answer's chunks are broken");
    let mut body = Vec::new();
    loop {
        while let httparse::Status::Complete((start, size)) =
            httparse::parse_chunk_size(&raw).map_err(|_| bad())?
        {
            if size == 0 {
                return Ok(body);
            }
            let size = usize::try_from(size).ok().filter(|s| *s <= BODY_LIMIT - body.len());
            let size = size.ok_or_else(bad)?;
            raw = read_at_least(stream, raw, start + size + 2).await?;
            body.extend_from_slice(&raw[start..start + size]);
            raw.drain(..start + size + 2);
        }
        let wanted = raw.len() + 1;
        raw = read_at_least(stream, raw, wanted).await?;
    }
}

async fn read_at_least(
    stream: &mut (impl AsyncRead + Unpin),
    mut raw: Vec<u8>,
    length: usize,
) -> io::Result<Vec<u8>> {
    while raw.len() < length {
        if stream.read_buf(&mut raw).await? == 0 {
            return Err(invalid("the answer breaks off"));
        }
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `wire` a few bytes at a time, as a network may bring it.
    async fn read(wire: &'static [u8]) -> io::Result<Answer> {
        let (mut far, mut near) = tokio::io::duplex(3);
        let writer = tokio::spawn(async move { far.write_all(wire).await });
        let (mut answer, rest) = read_answer_head(&mut near).await?;
        answer.body = read_body(&mut near, &answer, rest).await?;
        drop(near);
        let _ = writer.await;
        Ok(answer)
    }

    #[tokio::test]
    async fn bodies_end_where_the_answer_says() {
        for wire in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\nhello",
            b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello",
        ] {
            let answer = read(wire).await.unwrap();
            assert!(answer.is_success());
            assert_eq!(answer.text(), "hello");
        }
    }

    #[tokio::test]
    async fn what_is_no_whole_answer_is_an_error() {
        for wire in [
            &b""[..],
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\nhello",
        ] {
            assert!(read(wire).await.is_err(), "{:?}", String::from_utf8_lossy(wire));
        }
    }

    #[tokio::test]
    async fn header_names_do_not_depend_on_case() {
        let answer = read(b"HTTP/1.1 503 Busy\r\nRETRY-After: 5\r\nContent-Length: 0\r\n\r\n");
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.reason.as_str()), (503, "Busy"));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
}
