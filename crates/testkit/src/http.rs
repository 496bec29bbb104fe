//! As much of an HTTP client as looking at a grid needs: one request, one connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Response {
    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reads the head of an answer, and what follows it as the body's beginning.
    ///
    /// # Errors
    /// When the bytes are no HTTP answer.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| bad(&text))?;
        let mut lines = head.lines();
        let status = lines
            .next()
            .filter(|line| line.starts_with("HTTP/1."))
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .ok_or_else(|| bad(&text))?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Self { status, headers, body: body.to_owned() })
    }
}

fn bad(text: &str) -> io::Error {
    let shown: String = text.chars().take(200).collect();
    io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {shown:?}"))
}

/// `GET path` from `address`, with headers.
///
/// # Errors
/// When nobody answers, or what comes back is no HTTP.
pub fn get(address: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    send(address, "GET", path, headers, "")
}

/// A request with a body to `address`, with headers; one that is called `Host` replaces ours.
///
/// # Errors
/// When nobody answers, or what comes back is no HTTP.
pub fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request += &format!("Host: {address}\r\n");
    }
    if method != "GET" || !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("\r\n{body}");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Response::parse(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status_headers_and_body() {
        let answer =
            Response::parse(b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\n\r\nall busy\n").unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(answer.body, "all busy\n");
        assert!(Response::parse(b"SSH-2.0\r\n\r\n").is_err());
    }
}
