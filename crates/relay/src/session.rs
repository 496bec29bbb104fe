//! The state of one session: two sockets, two directions, a few instants.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::close::CloseReason;
use crate::counters::Counters;
use crate::flow::{End, Flow};
use crate::frame::{ControlFrame, Violation};
use crate::outcome::{EndedBy, How};
use crate::parked::Parked;
use crate::relay::RelayOptions;
use crate::socket::Socket;

/// Why the passing of bytes stopped.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The peers ended it between themselves.
    Finished,
    /// The caller asked for it.
    Asked(CloseReason),
    /// The upstream vanished without a close frame.
    UpstreamLost,
    /// Nothing came from that side for too long.
    Silent(EndedBy),
    /// That side broke the protocol.
    Violation(EndedBy, Violation),
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    client: Socket,
    upstream: Socket,
    /// From the client to the upstream.
    up: Flow,
    /// From the upstream to the client.
    down: Flow,
    options: &'a RelayOptions,
    counters: &'a Counters,
    start: Instant,
    /// The first thing that began the end.
    first_end: Option<(EndedBy, How)>,
    next_ping: Instant,
    /// When dawdling is over, once the end has begun, and what had passed when that was set.
    linger: Option<(Instant, u64)>,
}

// === impl Session ===

impl<'a> Session<'a> {
    pub(crate) fn new(parked: Parked, options: &'a RelayOptions, counters: &'a Counters) -> Self {
        let Parked { client, upstream, mut up, mut down, start, next_ping } = parked;
        up.splices = options.splice;
        down.splices = options.splice;
        Self {
            client,
            upstream,
            up,
            down,
            options,
            counters,
            start,
            first_end: None,
            next_ping: next_ping.unwrap_or_else(|| Instant::now() + options.ping_interval),
            linger: None,
        }
    }

    /// Whether it is in the middle of its life. The end of a session is not for others to finish.
    pub(crate) fn can_park(&self) -> bool {
        self.up.can_move() && self.down.can_move()
    }

    /// Stands still. What was read and not written is kept.
    pub(crate) fn park(self) -> Parked {
        Parked {
            client: self.client,
            upstream: self.upstream,
            up: self.up,
            down: self.down,
            start: self.start,
            next_ping: Some(self.next_ping),
        }
    }

    pub(crate) fn options(&self) -> &'a RelayOptions {
        self.options
    }

    pub(crate) fn counters(&self) -> &'a Counters {
        self.counters
    }

    /// When the upstream's first byte came, counted from the start.
    pub(crate) fn first_byte(&self) -> Option<Duration> {
        self.down.first_read.map(|first| first.saturating_duration_since(self.start))
    }

    /// Passes bytes until there is a cause to end. `timer` wakes at [`next_look`](Self::next_look).
    pub(crate) fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<Cause> {
        loop {
            self.pump(cx);
            if let Some(cause) = self.look_at_ends(timer.as_mut()) {
                return Poll::Ready(cause);
            }
            ready!(timer.as_mut().poll(cx));
            if let Some(cause) = self.look_at_clock() {
                return Poll::Ready(cause);
            }
            timer.as_mut().reset(self.next_look());
        }
    }

    /// When the clock has to be looked at again.
    pub(crate) fn next_look(&self) -> Instant {
        let looks = [
            Some(self.next_ping),
            Some(self.heard_client() + self.options.client_timeout),
            Some(self.heard_upstream() + self.options.upstream_timeout),
            self.linger.map(|(until, _)| until),
        ];
        // The list is never empty.
        looks.into_iter().flatten().min().unwrap_or(self.next_ping)
    }

    /// Which side ended the session, and how.
    pub(crate) fn verdict(&self, cause: &Cause) -> (EndedBy, How) {
        let caused = match cause {
            Cause::Asked(reason) => Some((EndedBy::Relay, How::Asked(reason.clone()))),
            Cause::Silent(by) => Some((*by, How::Timeout)),
            Cause::Violation(by, violation) => Some((*by, How::Violation(*violation))),
            Cause::Finished | Cause::UpstreamLost => None,
        };
        // Who had begun to close keeps the credit, whatever came of it later.
        self.first_end.clone().or(caused).unwrap_or((EndedBy::Upstream, How::Eof))
    }

    /// Ends both directions with a close frame, as far as there is somebody to tell.
    pub(crate) fn seal(&mut self, reason: &CloseReason, how: &How) {
        self.down.seal(ControlFrame::close(reason, None));
        if self.down.source != End::Open {
            // The upstream is gone: nothing can be passed to it.
            return self.up.discard();
        }
        let upstream = match how {
            How::Violation(_) => reason.clone(),
            _ => CloseReason::new(CloseReason::GOING_AWAY, reason.text.clone()),
        };
        self.up.seal(ControlFrame::close(&upstream, Some(mask())));
    }

    /// Ready when both close frames are out, or cannot be.
    pub(crate) fn poll_sealed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pump(cx);
        if self.up.is_settled() && self.down.is_settled() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when both sides have answered, or are gone.
    pub(crate) fn poll_answered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.up.discard_unless_sealed();
        self.down.discard_unless_sealed();
        self.pump(cx);
        let answered = self.up.is_source_done() && self.down.is_source_done();
        if answered { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The client first, so that its close is seen before what it caused.
    #[inline]
    fn pump(&mut self, cx: &mut Context<'_>) {
        self.up.pump(cx, &mut self.client, &mut self.upstream, &self.counters.up);
        // Else the upstream has vanished, and the client is owed a reason.
        self.down.passes_end = self.up.is_source_done();
        self.down.pump(cx, &mut self.upstream, &mut self.client, &self.counters.down);
    }

    /// Looks for a direction that is over or wrong.
    #[inline]
    fn look_at_ends(&mut self, timer: Pin<&mut Sleep>) -> Option<Cause> {
        let quiet = |flow: &Flow| {
            !flow.is_source_done() && flow.violation.is_none() && flow.sink == End::Open
        };
        if quiet(&self.up) && quiet(&self.down) {
            return None;
        }
        self.look_at_ends_closely(timer)
    }

    #[cold]
    fn look_at_ends_closely(&mut self, timer: Pin<&mut Sleep>) -> Option<Cause> {
        self.note_first_end();
        if let Some(violation) = self.up.violation {
            return Some(Cause::Violation(EndedBy::Client, violation));
        }
        if let Some(violation) = self.down.violation {
            return Some(Cause::Violation(EndedBy::Upstream, violation));
        }
        if matches!(self.up.source, End::Failed(_)) {
            return Some(Cause::Finished);
        }
        // Whose client has gone or said goodbye already needs no reason from anybody.
        let vanished = self.down.source != End::Open && !self.down.tracker.is_closed();
        if vanished && !self.up.is_source_done() && !self.down.is_held_up() {
            return Some(Cause::UpstreamLost);
        }
        if self.up.is_finished() && self.down.is_finished() {
            return Some(Cause::Finished);
        }
        self.start_linger(timer)
    }

    fn note_first_end(&mut self) {
        let ends = [(EndedBy::Client, &self.up), (EndedBy::Upstream, &self.down)];
        let first = || {
            ends.into_iter().find_map(|(by, flow)| match (&flow.peer_close, flow.source) {
                (Some(close), _) => Some((by, How::Close(close.as_ref().clone()))),
                (None, End::Eof) => Some((by, How::Eof)),
                (None, End::Failed(kind)) => Some((by, How::Error(kind))),
                (None, End::Open) => None,
            })
        };
        self.first_end = self.first_end.take().or_else(first);
    }

    /// From here on nobody may dawdle: a stream is over, or both sides have said goodbye.
    fn start_linger(&mut self, timer: Pin<&mut Sleep>) -> Option<Cause> {
        let over = |flow: &Flow| flow.source != End::Open || flow.sink != End::Open;
        let goodbye = self.up.tracker.is_closed() && self.down.tracker.is_closed();
        if self.linger.is_none() && (goodbye || over(&self.up) || over(&self.down)) {
            self.linger = Some((Instant::now() + self.options.linger, self.progress()));
            timer.reset(self.next_look());
        }
        None
    }

    /// Pings when it is time; finds who is silent or dawdling.
    #[cold]
    fn look_at_clock(&mut self) -> Option<Cause> {
        let now = Instant::now();
        if let Some((until, progress)) = self.linger
            && now >= until
        {
            let closed = self.up.tracker.is_closed() && self.down.tracker.is_closed();
            if closed || progress == self.progress() {
                return Some(Cause::Finished);
            }
            self.linger = Some((now + self.options.linger, self.progress()));
        }
        self.forgive_held_up(now);
        if now >= self.heard_client() + self.options.client_timeout {
            return Some(Cause::Silent(EndedBy::Client));
        }
        if now >= self.heard_upstream() + self.options.upstream_timeout {
            return Some(Cause::Silent(EndedBy::Upstream));
        }
        if now >= self.next_ping {
            self.next_ping = now + self.options.ping_interval;
            self.ping();
        }
        None
    }

    fn ping(&mut self) {
        let tag: [u8; 8] = random();
        self.down.insert(ControlFrame::ping(&tag, None));
        self.up.awaited_pong = Some(tag);
        self.up.insert(ControlFrame::ping(&tag, Some(mask())));
        self.down.awaited_pong = Some(tag);
    }

    /// A side that is not read, because the other one is slow, cannot be blamed for its silence.
    fn forgive_held_up(&mut self, now: Instant) {
        for flow in [&mut self.up, &mut self.down] {
            if flow.is_held_up() {
                flow.heard = now;
            }
        }
    }

    /// When the client last gave a sign: it sent something, or took something that had waited for it.
    fn heard_client(&self) -> Instant {
        self.up.heard.max(self.down.drained)
    }

    fn heard_upstream(&self) -> Instant {
        self.down.heard.max(self.up.drained)
    }

    fn progress(&self) -> u64 {
        self.up.progress() + self.down.progress()
    }
}

/// Four bytes that nobody can foresee (RFC 6455, section 5.3).
fn mask() -> [u8; 4] {
    random()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without the system's randomness a guessable mask is still a valid one: the upstream is trusted.
    let _ = getrandom::fill(&mut bytes);
    bytes
}
