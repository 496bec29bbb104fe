//! A relay that stands still: two sockets and a few numbers, which another process can go on with.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::counters::Counters;
use crate::flow::{Flow, FlowState};
use crate::frame::Sender;
use crate::socket::Socket;

/// The most that one of the four parts may hold, far beyond what any real one does.
const MOST_HELD: usize = 1024 * 1024;

/// A relay between two bytes: not begun yet, or stopped where nothing is under way.
#[derive(Debug)]
pub struct Parked {
    pub(crate) client: Socket,
    pub(crate) upstream: Socket,
    /// From the client to the upstream.
    pub(crate) up: Flow,
    /// From the upstream to the client.
    pub(crate) down: Flow,
    pub(crate) start: Instant,
    /// `None` before the first.
    pub(crate) next_ping: Option<Instant>,
}

/// Bytes that are not those of a relay's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the state of a relay")]
pub struct NotAState;

#[derive(Serialize, Deserialize)]
struct Numbers {
    up: FlowState,
    down: FlowState,
    since_start: Duration,
    next_ping: Option<Duration>,
}

// === impl Parked ===

impl Parked {
    /// A relay that has not begun.
    pub fn new(client: impl Into<Socket>, upstream: impl Into<Socket>) -> Self {
        let now = Instant::now();
        Self {
            client: client.into(),
            upstream: upstream.into(),
            up: Flow::new(Sender::Client, true, now),
            down: Flow::new(Sender::Server, true, now),
            start: now,
            next_ping: None,
        }
    }

    /// Both connections: the client's and the upstream's. They may be duplicated and given to
    /// another process as long as only one of the two relays goes on.
    pub fn connections(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        (self.client.as_fd(), self.upstream.as_fd())
    }

    /// Everything but the connections. This relay can still go on as it is.
    ///
    /// # Errors
    /// When the kernel does not give back what is in a pipe: the session is lost.
    pub fn state(&mut self, counters: &Counters) -> io::Result<Vec<u8>> {
        let now = Instant::now();
        let held = [self.up.held()?, self.down.held()?];
        let [up, down] = held.map(<[u8]>::to_vec);
        let numbers = Numbers {
            up: self.up.state(&counters.up, now),
            down: self.down.state(&counters.down, now),
            since_start: now.saturating_duration_since(self.start),
            next_ping: self.next_ping.map(|at| at.saturating_duration_since(now)),
        };
        let numbers = serde_json::to_vec(&numbers).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        let (client, upstream) = (self.client.early(), self.upstream.early());
        for part in [&numbers[..], &up, &down, client, upstream] {
            bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Ok(bytes)
    }

    /// The relay that had this state, and its counters.
    ///
    /// # Errors
    /// When it is none, or a connection is none.
    pub fn revived(
        mut state: &[u8],
        client: OwnedFd,
        upstream: OwnedFd,
    ) -> io::Result<(Self, Counters)> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, NotAState);
        let mut next = || take_part(&mut state).ok_or_else(wrong);
        let [numbers, up, down, early_client, early_upstream] =
            [next()?, next()?, next()?, next()?, next()?];
        if !state.is_empty() {
            return Err(wrong());
        }
        let numbers: Numbers = serde_json::from_slice(numbers).map_err(|_| wrong())?;
        let now = Instant::now();
        let flow = |sender, state, held| Flow::revived(sender, true, state, held, now);
        let parked = Self {
            client: Socket::from_fd(client)?.with_leftover(early_client.to_vec().into()),
            upstream: Socket::from_fd(upstream)?.with_leftover(early_upstream.to_vec().into()),
            up: flow(Sender::Client, &numbers.up, up).ok_or_else(wrong)?,
            down: flow(Sender::Server, &numbers.down, down).ok_or_else(wrong)?,
            start: now.checked_sub(numbers.since_start).unwrap_or(now),
            next_ping: numbers.next_ping.map(|after| now + after),
        };
        let counters = Counters::default();
        parked.up.recount(&numbers.up, &counters.up);
        parked.down.recount(&numbers.down, &counters.down);
        Ok((parked, counters))
    }
}

fn take_part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = bytes.split_first_chunk()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok().filter(|len| *len <= MOST_HELD)?;
    let (part, rest) = rest.split_at_checked(len)?;
    *bytes = rest;
    Some(part)
}
