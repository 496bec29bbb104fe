//! What two gateways say to each other on one host: JSON, bytes, and open files.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use flotilla_core::WorkerId;
use flotilla_core::refusal::Served;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::Carried;

/// Two connections, with room for one that nobody should send.
const MOST_FILES: usize = 3;
/// Far beyond any message: a session's bytes under way are less than one megabyte.
const LONGEST: usize = 4 * 1024 * 1024;
const MAGIC: [u8; 4] = *b"FLHO";
/// Magic, and the lengths of what follows.
const HEADER: usize = 12;

/// The first message of each side is understood by every release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
pub(super) enum Message {
    /// The successor's first word.
    Hello { protocol: u32, release: String, pid: u32 },
    /// The predecessor goes on untouched.
    Refused { why: String },
    /// The predecessor's answer, with its listener.
    Welcome(Welcome),
    /// The successor accepts connections from now on.
    Ready,
    /// A session, with its connections and its state.
    Session(Carried),
    /// The successor has the session, or why not.
    Taken { problem: Option<String> },
    /// All that could be handed over at once is handed over.
    Swept { left: usize },
    /// The predecessor has nothing left.
    Done,
}

/// What a predecessor is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Welcome {
    pub(super) protocol: u32,
    pub(super) release: String,
    pub(super) pid: u32,
    pub(super) generation: i64,
    /// The browsers and versions that it has for its clients.
    pub(super) offers: Vec<Served>,
    /// The workers that it can reach.
    pub(super) workers: Vec<WorkerId>,
}

/// A message with what came along.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) message: Message,
    pub(super) bytes: Vec<u8>,
    pub(super) files: Vec<OwnedFd>,
}

pub(super) async fn send(stream: &mut UnixStream, message: &Message) -> io::Result<()> {
    send_with(stream, message, &[], &[]).await
}

/// The files go with the message's first byte.
pub(super) async fn send_with(
    stream: &mut UnixStream,
    message: &Message,
    bytes: &[u8],
    files: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let json = serde_json::to_vec(message).map_err(io::Error::other)?;
    let length = |part: &[u8]| u32::try_from(part.len()).map_err(io::Error::other);
    let all =
        [&MAGIC[..], &length(&json)?.to_be_bytes(), &length(bytes)?.to_be_bytes(), &json, bytes];
    let all = all.concat();
    let sent = stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
                return Err(io::Error::other("too many files for one message"));
            }
            let sent = sendmsg(&*stream, &[IoSlice::new(&all)], &mut control, SendFlags::NOSIGNAL)?;
            Ok(sent)
        })
        .await?;
    stream.write_all(&all[sent..]).await
}

/// The next message, whoever sent it; an error when none comes in time.
pub(super) async fn receive(stream: &mut UnixStream, within: Duration) -> io::Result<Received> {
    match timeout(within, receive_any(stream)).await {
        Ok(received) => received,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")),
    }
}

pub(super) async fn receive_any(stream: &mut UnixStream) -> io::Result<Received> {
    let mut files = Vec::new();
    let mut header = [0; HEADER];
    let mut at = 0;
    while at < HEADER {
        match read_with_files(stream, &mut header[at..], &mut files).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => at += len,
        }
    }
    let [a, b, c, d, json @ .., _, _, _, _] = header;
    let [.., w, x, y, z] = header;
    let (json, bytes) = (length(json), length([w, x, y, z]));
    if [a, b, c, d] != MAGIC || json + bytes > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no gateway's message"));
    }
    let mut body = vec![0; json + bytes];
    stream.read_exact(&mut body).await?;
    let bytes = body.split_off(json);
    let message = serde_json::from_slice(&body).map_err(io::Error::other)?;
    Ok(Received { message, bytes, files })
}

fn length(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX / 4)
}

async fn read_with_files(
    stream: &UnixStream,
    into: &mut [u8],
    files: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    stream
        .async_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut into = [IoSliceMut::new(into)];
            let got = recvmsg(stream, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    files.extend(received);
                }
            }
            Ok(got.bytes)
        })
        .await
}
