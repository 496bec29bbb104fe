//! Clients that behave in ways that no Playwright does: they drip, lie, fall silent and vanish.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::http::Response;

const PATIENCE: Duration = Duration::from_secs(30);
/// The User-Agent of a Playwright that the tests have installed.
pub const USER_AGENT: &str = "Playwright/1.65.1 (x64; debian 12) node/20.20";

/// The handshake of a Playwright client, with more headers (each of which replaces one of the
/// same name; an empty value leaves it out).
pub fn handshake(address: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("Host", address),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("User-Agent", USER_AGENT),
        ("x-playwright-browser", "chromium"),
        ("x-playwright-proxy", ""),
    ];
    for &(name, value) in headers {
        all.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        all.push((name, value));
    }
    let mut text = format!("GET {target} HTTP/1.1\r\n");
    for (name, value) in all {
        if !value.is_empty() || name.eq_ignore_ascii_case("x-playwright-proxy") {
            text += &format!("{name}: {value}\r\n");
        }
    }
    text + "\r\n"
}

/// A connection whose handshake has been sent.
#[derive(Debug)]
pub struct Waiting {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Waiting {
    /// Connects and sends a handshake, and waits for nothing.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn send(address: &str, target: &str, headers: &[(&str, &str)]) -> Self {
        Self::send_bytes(address, handshake(address, target, headers).as_bytes())
    }

    /// Connects and sends just these bytes.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn send_bytes(address: &str, bytes: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).expect("the grid listens");
        // A grid that has seen enough may close before it has read everything.
        let _ = stream.write_all(bytes);
        Self { stream, read: Vec::new() }
    }

    /// Sends more.
    ///
    /// # Errors
    /// When the grid has closed the connection.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Whether an answer has come: never blocks.
    pub fn answered(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("it is a live socket");
        let mut bytes = [0; 1];
        let peeked = self.stream.peek(&mut bytes);
        self.stream.set_nonblocking(false).expect("it is a live socket");
        matches!(peeked, Ok(1..))
    }

    /// Waits for a plain answer, with its body, and keeps the connection.
    ///
    /// # Panics
    /// When no answer comes, or its length is not told.
    pub fn read_answer(&mut self) -> Response {
        let head = self.head();
        let mut answer = Response::parse(&head).expect("an HTTP answer");
        let length = answer.header("content-length").and_then(|n| n.parse().ok());
        let length: usize = length.expect("the answer tells its length");
        let mut body = vec![0; length.saturating_sub(self.read.len())];
        self.stream.read_exact(&mut body).expect("the whole body");
        let rest = self.read.split_off(length.min(self.read.len()));
        self.read.append(&mut body);
        answer.body = String::from_utf8_lossy(&self.read).into_owned();
        self.read = rest;
        answer
    }

    /// Whether the grid has closed the connection; waits for it.
    pub fn is_closed(&mut self) -> bool {
        let _ = self.stream.set_read_timeout(Some(PATIENCE));
        matches!(self.stream.read(&mut [0]), Ok(0))
    }

    /// Waits for the answer: a session when it is a 101.
    ///
    /// # Errors
    /// The answer when it is something else.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn answer(mut self) -> Result<Socket, Response> {
        let head = self.head();
        let answer = Response::parse(&head).expect("an HTTP answer");
        if answer.status == 101 {
            return Ok(Socket { stream: self.stream, read: self.read, head: answer });
        }
        let mut whole = head;
        whole.append(&mut self.read);
        let _ = self.stream.read_to_end(&mut whole);
        Err(Response::parse(&whole).expect("an HTTP answer"))
    }

    fn head(&mut self) -> Vec<u8> {
        self.stream.set_read_timeout(Some(PATIENCE)).expect("it is a live socket");
        let mut bytes = [0; 4096];
        loop {
            if let Some(end) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.read.split_off(end + 4);
                return std::mem::replace(&mut self.read, rest);
            }
            let n = self.stream.read(&mut bytes).expect("an answer in time");
            assert!(n > 0, "closed without an answer");
            self.read.extend_from_slice(&bytes[..n]);
        }
    }

    /// Goes away without a word.
    pub fn vanish(self, how: Vanish) {
        vanish(self.stream, how);
    }
}

/// How a client goes without a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vanish {
    /// With FIN, as when its process ends.
    Fin,
    /// With RST, as when it crashes with unread data.
    Reset,
}

fn vanish(stream: TcpStream, how: Vanish) {
    if how == Vanish::Reset {
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))
            .expect("it is a live socket");
    }
    drop(stream);
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its opcode.
    pub opcode: u8,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A session on the WebSocket level.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    read: Vec<u8>,
    head: Response,
}

impl Socket {
    /// Opens a session and waits for the 101.
    ///
    /// # Errors
    /// The answer when it is something else.
    pub fn open(address: &str, target: &str, headers: &[(&str, &str)]) -> Result<Self, Response> {
        Waiting::send(address, target, headers).answer()
    }

    /// The head of the 101.
    pub fn head(&self) -> &Response {
        &self.head
    }

    /// Sends a frame as a client does, masked.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, first_byte: u8, payload: &[u8]) -> io::Result<()> {
        let mut bytes = vec![first_byte];
        match payload.len() {
            n @ 0..=125 => bytes.push(0x80 | n as u8),
            n @ 126..=0xFFFF => {
                bytes.push(0x80 | 126);
                bytes.extend((n as u16).to_be_bytes());
            }
            n => {
                bytes.push(0x80 | 127);
                bytes.extend((n as u64).to_be_bytes());
            }
        }
        // A key of zeros leaves the payload as it is.
        bytes.extend([0; 4]);
        bytes.extend(payload);
        self.stream.write_all(&bytes)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for the next frame that is neither ping nor pong. `None` at the end of the stream.
    ///
    /// # Panics
    /// When nothing comes within `ceiling`.
    pub fn next(&mut self, ceiling: Duration) -> Option<Frame> {
        self.next_but(&[9, 10], ceiling)
    }

    /// Waits for a pong, over everything else that comes; `false` at the end of the stream.
    ///
    /// # Panics
    /// When nothing comes within `ceiling`.
    pub fn hears_pong(&mut self, ceiling: Duration) -> bool {
        self.next_but(&[0, 1, 2, 8, 9], ceiling).is_some()
    }

    fn next_but(&mut self, passed_over: &[u8], ceiling: Duration) -> Option<Frame> {
        let deadline = Instant::now() + ceiling;
        loop {
            match take_frame(&mut self.read) {
                Some(frame) if passed_over.contains(&frame.opcode) => {}
                Some(frame) => return Some(frame),
                None => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    assert!(!left.is_zero(), "no frame came within {ceiling:?}");
                    self.stream.set_read_timeout(Some(left)).expect("it is a live socket");
                    let mut bytes = [0; 16 * 1024];
                    match self.stream.read(&mut bytes) {
                        Ok(0) => return None,
                        Ok(n) => self.read.extend_from_slice(&bytes[..n]),
                        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return None,
                        Err(e) => panic!("no frame came within {ceiling:?}: {e}"),
                    }
                }
            }
        }
    }

    /// Waits for a close frame: its code and reason. Frames before it are passed over.
    ///
    /// # Panics
    /// When the connection ends without one, or none comes within `ceiling`.
    pub fn wait_close(&mut self, ceiling: Duration) -> (u16, String) {
        loop {
            let frame = self.next(ceiling).expect("a close frame before the end");
            if frame.opcode == 8 {
                return close_reason(&frame.payload);
            }
        }
    }

    /// Ends the session as a client does: a close frame, then waits for the other's.
    pub fn close(mut self) {
        let _ = self.send(0x88, &[]);
        while let Some(frame) = self.next(PATIENCE) {
            if frame.opcode == 8 {
                break;
            }
        }
    }

    /// Goes away without a word.
    pub fn vanish(self, how: Vanish) {
        vanish(self.stream, how);
    }
}

fn close_reason(payload: &[u8]) -> (u16, String) {
    match payload {
        [high, low, reason @ ..] => {
            (u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason).into_owned())
        }
        _ => (1005, String::new()),
    }
}

/// Takes a whole frame of a server (unmasked) off the front.
fn take_frame(bytes: &mut Vec<u8>) -> Option<Frame> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (from, length) = match second & 0x7F {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        n => (2, u64::from(n)),
    };
    let end = from + usize::try_from(length).ok()?;
    let payload = bytes.get(from..end)?.to_vec();
    bytes.drain(..end);
    Some(Frame { opcode: first & 0x0F, payload })
}
