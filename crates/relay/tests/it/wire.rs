//! Frames by hand: the peers of the tests know nothing of the relay's code.

use tokio::io::{AsyncRead, AsyncReadExt};

pub(crate) const MASK: [u8; 4] = [0x1f, 0x80, 0x02, 0xa7];

/// A frame with the first byte as given, masked when a client sends it.
pub(crate) fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let mut out = vec![first];
    let bit = if masked { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => out.push(bit | len as u8),
        len @ 126..=0xFFFF => {
            out.push(bit | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(bit | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if masked {
        out.extend_from_slice(&MASK);
        out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        out.extend_from_slice(payload);
    }
    out
}

pub(crate) fn text(payload: &[u8], masked: bool) -> Vec<u8> {
    frame(0x81, payload, masked)
}

pub(crate) fn close(code: u16, reason: &str, masked: bool) -> Vec<u8> {
    let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    frame(0x88, &payload, masked)
}

/// A frame as it came, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) masked: bool,
    pub(crate) payload: Vec<u8>,
    pub(crate) raw: Vec<u8>,
}

impl Frame {
    pub(crate) fn is_ping(&self) -> bool {
        self.first == 0x89
    }

    /// Code and words of a close frame.
    pub(crate) fn closing(&self) -> (u16, &str) {
        assert_eq!(self.first, 0x88, "a close frame: {self:?}");
        let code = u16::from_be_bytes([self.payload[0], self.payload[1]]);
        (code, std::str::from_utf8(&self.payload[2..]).expect("words are UTF-8"))
    }
}

/// The next frame; `None` at a clean end of the stream. Panics when the stream ends inside a frame.
pub(crate) async fn next_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut raw = Vec::new();
    if stream.take(1).read_to_end(&mut raw).await.ok()? == 0 {
        return None;
    }
    more(stream, &mut raw, 1).await;
    let masked = raw[1] >= 0x80;
    let extended = match raw[1] & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    more(stream, &mut raw, extended).await;
    let len = match extended {
        0 => u64::from(raw[1] & 0x7F),
        _ => raw[2..].iter().fold(0, |len, &byte| len << 8 | u64::from(byte)),
    };
    more(stream, &mut raw, if masked { 4 } else { 0 }).await;
    let header = raw.len();
    more(stream, &mut raw, len as usize).await;
    let mut payload = raw[header..].to_vec();
    if masked {
        let mask: [u8; 4] = raw[header - 4..header].try_into().expect("four bytes");
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    }
    Some(Frame { first: raw[0], masked, payload, raw })
}

/// The next frame that is no ping.
pub(crate) async fn next_but_pings(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    loop {
        match next_frame(stream).await {
            Some(frame) if frame.is_ping() => {}
            other => return other,
        }
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), raw: &mut Vec<u8>, len: usize) {
    let read = stream.take(len as u64).read_to_end(raw).await.expect("the stream goes on");
    assert_eq!(read, len, "the stream ended inside a frame: {raw:02x?}");
}
