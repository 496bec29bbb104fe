//! What must hold for any input: the entry functions of the fuzz targets, and of the test that replays their corpus.
//!
//! Each compares the relay's own code with a plain reference that has all bytes at once and no ambition.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use flotilla_relay::frame::{Opcode, Sender, Violation};
use flotilla_relay::head::{HeadError, Headers, RequestHead, ResponseHead, read_request_head};
use flotilla_relay::tracker::{Stop, Tracker};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

const LIMIT: usize = 2048;

/// Heads: read in slices and parsed at once come to the same, and what is accepted says what its bytes say.
/// The first byte is the length of the slices.
pub(crate) fn check_head(data: &[u8]) {
    let Some((&slice, bytes)) = data.split_first() else {
        return;
    };
    check_request(usize::from(slice).max(1), bytes);
    if let Ok(Some((head, len))) = ResponseHead::parse(bytes) {
        assert_eq!(head.headers, plain_headers(&bytes[..len]));
        let (again, _) = ResponseHead::parse(&head.to_bytes()).expect("valid").expect("complete");
        assert_eq!((head.status, head.reason()), (again.status, again.reason()));
        assert_eq!(head.headers, again.headers);
    }
}

fn check_request(slice: usize, bytes: &[u8]) {
    let at_once = RequestHead::parse(bytes);
    let in_slices = read_in_slices(bytes, slice);
    match (at_once, in_slices) {
        (Ok(Some((head, len))), read) if len <= LIMIT => {
            let (sliced, rest) = read.expect("a whole head is read");
            assert_eq!(sliced.raw(), head.raw());
            assert!(bytes[len..].starts_with(&rest), "what follows is kept");
            check_accepted(&head, &bytes[..len]);
        }
        (Ok(Some(_)), read) => {
            let error = read.expect_err("larger than the limit");
            assert!(matches!(error, HeadError::TooLarge { .. }), "{error}");
        }
        (Ok(None), read) => drop(read.expect_err("nothing complete came")),
        (Err(_), read) => drop(read.expect_err("malformed")),
    }
}

/// An accepted head, read by hand.
fn check_accepted(head: &RequestHead, raw: &[u8]) {
    let mut first = plain_lines(raw)[0].split(|&byte| byte == b' ');
    assert_eq!(first.next(), Some(head.method.as_bytes()));
    assert_eq!(first.next(), Some(head.target().as_bytes()));
    assert_eq!(head.headers, plain_headers(raw));
    let _ = head.check_websocket_upgrade();

    let mut edited = head.clone();
    edited.headers.set("x-edited", "yes\r\nx-smuggled: no");
    let bytes = edited.to_bytes();
    match RequestHead::parse(&bytes) {
        Ok(Some((again, len))) => {
            assert_eq!(len, bytes.len());
            assert_eq!(again.headers.get("X-Edited"), Some("yesx-smuggled: no"));
            assert_eq!(again.target(), head.target());
        }
        Ok(None) => panic!("an edited head is complete"),
        Err(error) => assert!(matches!(error, HeadError::TooManyHeaders), "{error}"),
    }
}

fn plain_lines(raw: &[u8]) -> Vec<&[u8]> {
    let lines = raw.split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect()
}

fn plain_headers(raw: &[u8]) -> Headers {
    let mut headers = Headers::default();
    for line in &plain_lines(raw)[1..] {
        let colon = line.iter().position(|&byte| byte == b':').expect("a header has a colon");
        let name = std::str::from_utf8(&line[..colon]).expect("a name is ASCII");
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let value = &line[colon + 1..];
        let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
        let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
        headers.append(name, &value[start..end]);
    }
    headers
}

fn read_in_slices(bytes: &[u8], slice: usize) -> Result<(RequestHead, bytes::Bytes), HeadError> {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let deadline = Instant::now() + Duration::from_secs(60);
            read_request_head(&mut Slices { bytes, slice }, LIMIT, deadline).await
        })
    })
}

/// A stream that gives a few bytes at a time.
struct Slices<'a> {
    bytes: &'a [u8],
    slice: usize,
}

impl AsyncRead for Slices<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let len = self.slice.min(self.bytes.len()).min(buf.remaining());
        let (now, later) = self.bytes.split_at(len);
        buf.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

/// Frames: followed in slices, they come to what a decoder finds that has all bytes at once. The first byte says
/// who sends and whether payloads are skipped; the second is the seed of the slices.
pub(crate) fn check_frames(data: &[u8]) {
    let [flags, seed, bytes @ ..] = data else {
        return;
    };
    let sender = if flags & 1 == 0 { Sender::Client } else { Sender::Server };
    compare(bytes, sender, flags & 2 != 0, u32::from(*seed));
}

/// What a stream of frames came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    /// Complete frames.
    pub(crate) frames: u64,
    /// Complete messages.
    pub(crate) messages: u64,
    /// The control frames, their payload unmasked, and the offset behind each.
    pub(crate) controls: Vec<(u8, Vec<u8>, usize)>,
    /// A violation, and where the offending frame begins.
    pub(crate) violation: Option<(Violation, usize)>,
    /// Whether the input ended between two frames.
    pub(crate) at_boundary: bool,
    /// Payload bytes of the last frame that did not come.
    pub(crate) left: u64,
}

/// Compares the tracker with the reference.
pub(crate) fn compare(bytes: &[u8], sender: Sender, skipping: bool, seed: u32) {
    let plain = decode_at_once(bytes, sender);
    let tracked = track_in_slices(bytes, sender, skipping, seed);
    assert_eq!(tracked, plain, "{sender:?}, skipping: {skipping}, seed: {seed}, {bytes:02x?}");
}

fn track_in_slices(bytes: &[u8], sender: Sender, skipping: bool, mut seed: u32) -> Followed {
    let mut tracker = Tracker::new(sender);
    let mut controls = Vec::new();
    let mut at = 0;
    let mut violation = None;
    while at < bytes.len() && violation.is_none() {
        if skipping && tracker.skippable() > 0 {
            let len = tracker.skippable().min((bytes.len() - at) as u64);
            tracker.skip(len);
            at += len as usize;
            continue;
        }
        let end = bytes.len().min(at + slice_len(&mut seed));
        while at < end {
            let (len, stop) = tracker.advance(&bytes[at..end]);
            at += len;
            match stop {
                Stop::Input => assert_eq!(at, end, "all input is followed"),
                Stop::Control(opcode) => {
                    assert!(tracker.at_boundary());
                    controls.push((opcode_bits(opcode), tracker.control().to_vec(), at));
                }
                Stop::Violation(found) => {
                    violation = Some((found, at - tracker.pending_header()));
                    assert_eq!(tracker.advance(&bytes[at..end]), (0, stop), "it stays so");
                    break;
                }
            }
        }
    }
    let seen = tracker.seen();
    Followed {
        frames: seen.frames,
        messages: seen.messages,
        controls,
        violation,
        at_boundary: tracker.at_boundary() && violation.is_none(),
        left: if tracker.pending_header() > 0 { 0 } else { tracker.certain() },
    }
}

/// 1 to 24 bytes in most cases, sometimes a lot.
fn slice_len(seed: &mut u32) -> usize {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let draw = (*seed >> 16) as usize;
    if draw.is_multiple_of(7) { 4096 } else { 1 + draw % 24 }
}

fn opcode_bits(opcode: Opcode) -> u8 {
    match opcode {
        Opcode::Close => 8,
        Opcode::Ping => 9,
        Opcode::Pong => 10,
        Opcode::Continuation | Opcode::Text | Opcode::Binary => panic!("no control frame"),
    }
}

/// The reference: RFC 6455, section 5.2, read with all bytes at hand.
pub(crate) fn decode_at_once(bytes: &[u8], sender: Sender) -> Followed {
    let mut found = Followed {
        frames: 0,
        messages: 0,
        controls: Vec::new(),
        violation: None,
        at_boundary: true,
        left: 0,
    };
    let mut in_message = false;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (header, payload) = match plain_header(rest, sender, in_message) {
            Ok(Some(lengths)) => lengths,
            Ok(None) => {
                found.at_boundary = false;
                return found;
            }
            Err(violation) => {
                found.violation = Some((violation, at));
                found.at_boundary = false;
                return found;
            }
        };
        let (opcode, fin) = (rest[0] & 15, rest[0] >= 128);
        if opcode < 8 {
            in_message = !fin;
        }
        let there = (rest.len() - header) as u64;
        if there < payload {
            found.at_boundary = false;
            found.left = payload - there;
            return found;
        }
        let end = header + payload as usize;
        at += end;
        found.frames += 1;
        found.messages += u64::from(opcode < 8 && fin);
        if opcode >= 8 {
            let mut content = rest[header..end].to_vec();
            if sender == Sender::Client {
                let mask = &rest[header - 4..header];
                content.iter_mut().enumerate().for_each(|(i, byte)| *byte ^= mask[i % 4]);
            }
            found.controls.push((opcode, content, at));
        }
    }
    found
}

fn plain_header(
    rest: &[u8],
    sender: Sender,
    in_message: bool,
) -> Result<Option<(usize, u64)>, Violation> {
    if rest.len() < 2 {
        return Ok(None);
    }
    let (opcode, fin) = (rest[0] & 15, rest[0] >= 128);
    let (masked, short) = (rest[1] >= 128, rest[1] & 127);
    if ![0, 1, 2, 8, 9, 10].contains(&opcode) {
        return Err(Violation::ReservedOpcode);
    }
    if rest[0] & 0b0011_0000 != 0 {
        return Err(Violation::ReservedBit);
    }
    if masked != (sender == Sender::Client) {
        return Err(if masked { Violation::Masked } else { Violation::Unmasked });
    }
    if opcode >= 8 && !fin {
        return Err(Violation::FragmentedControl);
    }
    if opcode >= 8 && short > 125 {
        return Err(Violation::LongControl);
    }
    if short == 127 && rest.len() > 2 && rest[2] >= 128 {
        return Err(Violation::Length);
    }
    let extended = [0, 2, 8][usize::from(short).saturating_sub(125)];
    let header = 2 + extended + if masked { 4 } else { 0 };
    if rest.len() < header {
        return Ok(None);
    }
    if opcode == 0 && !in_message {
        return Err(Violation::StrayContinuation);
    }
    if (opcode == 1 || opcode == 2) && in_message {
        return Err(Violation::Interrupted);
    }
    let long = rest[2..2 + extended].iter().fold(0, |n, &byte| n << 8 | u64::from(byte));
    Ok(Some((header, if extended == 0 { u64::from(short) } else { long })))
}
