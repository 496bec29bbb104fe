//! One direction of a session: reads from one socket, follows the frames, writes to the other.

mod carried;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::buffer::{BUFFER, Backlog, Buffer};
use crate::close::PeerClose;
use crate::counters::FlowCounters;
use crate::frame::{ControlFrame, Opcode, Sender, Violation};
use crate::socket::Socket;
use crate::splice::{Pipe, WORTH_IT};
use crate::tracker::{Stop, Tracker};

pub(crate) use carried::FlowState;

/// Batches that a direction may pass before others get their turn.
const TURN: usize = 16;

/// How a socket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    /// The stream is over: read to its end, or shut down by us.
    Eof,
    Failed(io::ErrorKind),
}

/// What a direction does with what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    /// Passes up to the end of the current frame; the frame to insert is the last one.
    Seal,
    /// Reads on, to see the peer's close, and passes nothing.
    Discard,
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) tracker: Tracker,
    backlog: Backlog,
    /// The backlog is a frame of our own, which is not counted.
    backlog_is_ours: bool,
    pub(crate) splices: bool,
    /// Payload under way inside the kernel.
    pipe: Option<Box<Pipe>>,
    /// The sink was too slow for the backlog.
    is_blocked: bool,
    mode: Mode,
    /// The end of the source's stream is passed on by itself; else only after its close frame.
    pub(crate) passes_end: bool,
    insert: Option<Box<ControlFrame>>,
    /// The payload of the ping that went to the source: its pong stays here.
    pub(crate) awaited_pong: Option<[u8; 8]>,
    pub(crate) source: End,
    pub(crate) sink: End,
    pub(crate) violation: Option<Violation>,
    pub(crate) peer_close: Option<Box<PeerClose>>,
    bytes_read: u64,
    bytes_written: u64,
    pongs_kept: u64,
    pub(crate) first_read: Option<Instant>,
    /// When the source last sent something.
    pub(crate) heard: Instant,
    /// When the sink, having been too slow, last took something.
    pub(crate) drained: Instant,
    stalled_since: Option<Instant>,
}

// === impl Flow ===

impl Flow {
    pub(crate) fn new(sender: Sender, splices: bool, now: Instant) -> Self {
        Self {
            tracker: Tracker::new(sender),
            backlog: Backlog::default(),
            backlog_is_ours: false,
            splices,
            pipe: None,
            is_blocked: false,
            mode: Mode::Pass,
            passes_end: sender == Sender::Client,
            insert: None,
            awaited_pong: None,
            source: End::Open,
            sink: End::Open,
            violation: None,
            peer_close: None,
            bytes_read: 0,
            bytes_written: 0,
            pongs_kept: 0,
            first_read: None,
            heard: now,
            drained: now,
            stalled_since: None,
        }
    }

    /// Puts a frame in at the next boundary. An earlier one that is still waiting is replaced.
    /// Nothing follows a close frame or the end of the stream.
    pub(crate) fn insert(&mut self, frame: ControlFrame) {
        let is_open = self.sink == End::Open && !self.tracker.is_closed();
        if self.mode == Mode::Pass && is_open {
            self.insert = Some(Box::new(frame));
        }
    }

    /// Ends the direction: the current frame is finished, `last` follows, nothing else.
    pub(crate) fn seal(&mut self, last: ControlFrame) {
        self.insert(last);
        if self.mode == Mode::Pass {
            self.mode = if self.insert.is_some() { Mode::Seal } else { Mode::Discard };
        }
    }

    /// Passes nothing any more.
    pub(crate) fn discard(&mut self) {
        self.mode = Mode::Discard;
        self.insert = None;
        self.pipe = None;
        self.backlog.clear();
    }

    /// Gives up on a frame that does not come to its end.
    pub(crate) fn discard_unless_sealed(&mut self) {
        if self.mode != Mode::Discard {
            self.discard();
        }
    }

    /// Whether all that shall be written is written, or can never be.
    pub(crate) fn is_settled(&self) -> bool {
        self.sink != End::Open || (self.mode == Mode::Discard && !self.is_held_up())
    }

    /// Whether the source is over and its end was passed on.
    pub(crate) fn is_finished(&self) -> bool {
        self.source != End::Open && self.sink != End::Open
    }

    /// Whether bytes wait for the sink, so that the source is not read.
    pub(crate) fn is_held_up(&self) -> bool {
        !self.backlog.is_empty() || self.pipe.is_some()
    }

    /// Whether the source has said its last: a close frame, or the end of its stream.
    pub(crate) fn is_source_done(&self) -> bool {
        self.source != End::Open || self.tracker.is_closed()
    }

    /// All bytes that moved, to see whether any did.
    pub(crate) fn progress(&self) -> u64 {
        self.bytes_read + self.bytes_written
    }

    /// Passes what can be passed now. Afterwards this task is woken when there is more to do.
    pub(crate) fn pump(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Socket,
        to: &mut Socket,
        counters: &FlowCounters,
    ) {
        let waits = (0..TURN).any(|_| self.poll_step(cx, from, to, counters).is_pending());
        if !waits {
            cx.waker().wake_by_ref();
        }
        self.note_stall(counters);
    }

    /// Counts the time in which the sink was slower than the source, once it is over.
    #[inline]
    fn note_stall(&mut self, counters: &FlowCounters) {
        match (self.is_held_up(), self.stalled_since) {
            (true, None) => self.stalled_since = Some(Instant::now()),
            (false, Some(since)) => {
                counters.add_stall(since.elapsed());
                self.stalled_since = None;
            }
            _ => {}
        }
    }

    /// Writes what waits, puts in what is to be put in, and passes one batch.
    /// Pending when a socket is awaited, or nothing is left to do.
    #[inline]
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Socket,
        to: &mut Socket,
        counters: &FlowCounters,
    ) -> Poll<()> {
        if !self.backlog.is_empty() {
            ready!(self.poll_drain(cx, to, counters));
        }
        if self.pipe.is_some() {
            ready!(self.poll_drain_pipe(cx, to, counters));
        }
        if self.insert.is_some() && self.tracker.at_boundary() {
            return self.poll_insert(cx, to, counters);
        }
        if self.mode == Mode::Seal && self.cannot_reach_boundary() {
            self.discard();
        }
        if self.violation.is_some() && self.mode != Mode::Discard {
            return Poll::Pending;
        }
        if self.source != End::Open {
            return self.poll_finish(cx, to);
        }
        self.poll_pass(cx, from, to, counters)
    }

    fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Socket,
        counters: &FlowCounters,
    ) -> Poll<()> {
        while !self.backlog.is_empty() {
            let Poll::Ready(written) = Pin::new(&mut *to).poll_write(cx, self.backlog.bytes())
            else {
                self.is_blocked = true;
                return Poll::Pending;
            };
            match written {
                Ok(len) => {
                    self.backlog.written(len);
                    if self.is_blocked {
                        self.drained = Instant::now();
                    }
                    if !self.backlog_is_ours {
                        self.count_written(len, counters);
                    }
                }
                Err(error) => self.fail_sink(&error),
            }
        }
        self.backlog_is_ours = false;
        self.is_blocked = false;
        Poll::Ready(())
    }

    fn poll_insert(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Socket,
        counters: &FlowCounters,
    ) -> Poll<()> {
        if let Some(frame) = self.insert.take() {
            self.backlog.keep_copy(frame.as_bytes());
            self.backlog_is_ours = true;
        }
        if self.mode == Mode::Seal {
            self.mode = Mode::Discard;
        }
        self.poll_drain(cx, to, counters)
    }

    /// Passes the source's end on.
    fn poll_finish(&mut self, cx: &mut Context<'_>, to: &mut Socket) -> Poll<()> {
        let due = self.passes_end || self.tracker.is_closed();
        if due && self.sink == End::Open && self.mode == Mode::Pass {
            self.sink = match ready!(Pin::new(to).poll_shutdown(cx)) {
                Ok(()) => End::Eof,
                Err(error) => End::Failed(error.kind()),
            };
        }
        Poll::Pending
    }

    #[inline]
    fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Socket,
        to: &mut Socket,
        counters: &FlowCounters,
    ) -> Poll<()> {
        if self.splices
            && self.tracker.skippable() >= WORTH_IT
            && self.mode != Mode::Discard
            && from.is_past_handshake()
            && let Some(pipe) = Pipe::borrow()
        {
            return self.poll_splice(cx, from, to, pipe, counters);
        }
        let mut buffer = Buffer::borrow();
        let room = self.room();
        match ready!(from.poll_fill(cx, &mut buffer.bytes_mut()[..room])) {
            Ok(0) => self.source = End::Eof,
            Ok(len) => {
                let len = self.follow(&mut buffer.bytes_mut()[..len], counters);
                if self.mode != Mode::Discard {
                    return self.poll_write(cx, to, buffer, len, counters);
                }
            }
            Err(error) => self.source = End::Failed(error.kind()),
        }
        Poll::Ready(())
    }

    /// Passes payload without a look at it.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Socket,
        to: &mut Socket,
        mut pipe: Pipe,
        counters: &FlowCounters,
    ) -> Poll<()> {
        let len = usize::try_from(self.tracker.skippable()).unwrap_or(usize::MAX);
        match ready!(from.poll_fill_pipe(cx, &mut pipe, len)) {
            Ok(0) => self.source = End::Eof,
            Ok(len) => {
                self.tracker.skip(len as u64);
                self.heard = Instant::now();
                self.bytes_read += len as u64;
                let seen = self.tracker.seen();
                counters.set_read(self.bytes_read, seen.frames - self.pongs_kept, seen.messages);
                self.pipe = Some(Box::new(pipe));
                return self.poll_drain_pipe(cx, to, counters);
            }
            Err(error) => self.source = End::Failed(error.kind()),
        }
        Poll::Ready(())
    }

    fn poll_drain_pipe(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Socket,
        counters: &FlowCounters,
    ) -> Poll<()> {
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| pipe.held > 0) {
            let Poll::Ready(moved) = to.poll_drain_pipe(cx, pipe) else {
                self.is_blocked = true;
                return Poll::Pending;
            };
            match moved {
                Ok(len) => {
                    if self.is_blocked {
                        self.drained = Instant::now();
                    }
                    self.count_written(len, counters);
                }
                Err(error) => self.fail_sink(&error),
            }
        }
        self.pipe = None;
        self.is_blocked = false;
        Poll::Ready(())
    }

    fn cannot_reach_boundary(&self) -> bool {
        self.violation.is_some() || self.source != End::Open
    }

    /// How much to read: not beyond the current frame when another is to be put in behind it.
    fn room(&self) -> usize {
        if self.insert.is_none() {
            return BUFFER;
        }
        usize::try_from(self.tracker.certain()).unwrap_or(BUFFER).clamp(1, BUFFER)
    }

    /// Follows the frames of a batch. Says how much of it is to be passed on.
    #[inline]
    fn follow(&mut self, batch: &mut [u8], counters: &FlowCounters) -> usize {
        self.heard = Instant::now();
        self.first_read.get_or_insert(self.heard);
        self.bytes_read += batch.len() as u64;
        let (mut at, mut stop) = self.tracker.advance(batch);
        let mut len = batch.len();
        while let Stop::Control(opcode) = stop {
            let cut = self.on_control(opcode, at);
            batch.copy_within(at..len, at - cut);
            at -= cut;
            len -= cut;
            let (more, next) = self.tracker.advance(&batch[at..len]);
            at += more;
            stop = next;
        }
        if let Stop::Violation(violation) = stop {
            self.violation.get_or_insert(violation);
            len = at;
        }
        let seen = self.tracker.seen();
        counters.set_read(self.bytes_read, seen.frames - self.pongs_kept, seen.messages);
        len
    }

    /// Notes a close; says how many bytes before `at` are the pong to our ping and go no further.
    /// A pong that came in parts is passed: pongs that nobody asked for are legal.
    #[cold]
    fn on_control(&mut self, opcode: Opcode, at: usize) -> usize {
        if opcode == Opcode::Close && self.peer_close.is_none() {
            self.peer_close = Some(Box::new(self.tracker.peer_close()));
        }
        let whole = self.tracker.control_frame_len();
        let ours = self.awaited_pong.as_ref().map(<[u8; 8]>::as_slice);
        if opcode == Opcode::Pong && ours == Some(self.tracker.control()) && whole <= at {
            self.awaited_pong = None;
            self.bytes_read -= whole as u64;
            self.pongs_kept += 1;
            return whole;
        }
        0
    }

    #[inline]
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Socket,
        buffer: Buffer,
        end: usize,
        counters: &FlowCounters,
    ) -> Poll<()> {
        let mut at = 0;
        while at < end {
            match Pin::new(&mut *to).poll_write(cx, &buffer.bytes()[at..end]) {
                Poll::Ready(Ok(len)) => {
                    at += len;
                    self.count_written(len, counters);
                }
                Poll::Ready(Err(error)) => {
                    self.fail_sink(&error);
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    self.is_blocked = true;
                    self.backlog.keep(buffer, at, end);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }

    fn count_written(&mut self, len: usize, counters: &FlowCounters) {
        self.bytes_written += len as u64;
        counters.set_written(self.bytes_written);
    }

    fn fail_sink(&mut self, error: &io::Error) {
        self.sink = End::Failed(error.kind());
        self.discard();
    }
}
