//! Relays one session from its handshake to its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{sleep_until, timeout};

use crate::close::CloseReason;
use crate::counters::Counters;
use crate::outcome::{EndedBy, How, Outcome, Traffic};
use crate::parked::Parked;
use crate::session::{Cause, Session};
use crate::socket::Socket;

/// How patient a relay is.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// How often each side is pinged.
    pub ping_interval: Duration,
    /// A client from which nothing came for so long is dead.
    pub client_timeout: Duration,
    /// An upstream from which nothing came for so long is dead.
    pub upstream_timeout: Duration,
    /// How long one side may dawdle after the other has ended, or after both have said goodbye.
    pub linger: Duration,
    /// How long to wait for the end of the current frame before a close frame.
    pub boundary_timeout: Duration,
    /// How long to wait for the answer to a close frame.
    pub close_timeout: Duration,
    /// Whether large payloads pass through a pipe in the kernel instead of through this process.
    pub splice: bool,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(20),
            client_timeout: Duration::from_secs(60),
            upstream_timeout: Duration::from_secs(60),
            linger: Duration::from_secs(5),
            boundary_timeout: Duration::from_secs(2),
            close_timeout: Duration::from_secs(1),
            splice: true,
        }
    }
}

/// What became of a relay that can be asked to stand still.
#[derive(Debug)]
pub enum Relayed<P> {
    /// The session is over.
    Ended(Outcome),
    /// It stands still, as somebody asked with these words.
    Parked(Box<Parked>, P),
}

/// Passes bytes between two peers whose handshake is done, until the session is over.
///
/// `ended` resolves when the caller wants the session to end; the client is told that reason. `upstream_lost` is
/// asked for the reason when the upstream vanishes without a close frame. `counters` can be read meanwhile.
///
/// Dropping the future closes both connections at once, without a word to anybody.
pub async fn relay<E, L, R>(
    client: Socket,
    upstream: Socket,
    options: &RelayOptions,
    counters: &Counters,
    ended: E,
    upstream_lost: L,
) -> Outcome
where
    E: Future<Output = CloseReason>,
    L: FnOnce() -> R,
    R: Future<Output = CloseReason>,
{
    let parked = Box::new(Parked::new(client, upstream));
    let never = std::future::pending::<Infallible>();
    match relay_until(parked, options, counters, ended, upstream_lost, never).await {
        Relayed::Ended(outcome) => outcome,
        Relayed::Parked(_, never) => match never {},
    }
}

/// The same from where a relay stands, until the session is over or `park` resolves. A session that
/// is on its way to its end goes on to it: what `park` gave is dropped then, and so is `park` itself.
pub fn relay_until<'a, E, L, R, P>(
    parked: Box<Parked>,
    options: &'a RelayOptions,
    counters: &'a Counters,
    ended: E,
    upstream_lost: L,
    park: P,
) -> impl Future<Output = Relayed<P::Output>>
where
    E: Future<Output = CloseReason>,
    L: FnOnce() -> R,
    R: Future<Output = CloseReason>,
    P: Future,
{
    // Not an async fn: the future would hold the session twice.
    let mut session = Session::new(*parked, options, counters);
    async move {
        let cause = match pass(&mut session, ended, park).await {
            Ok(cause) => cause,
            Err(asked) => return Relayed::Parked(Box::new(session.park()), asked),
        };
        Relayed::Ended(end(&mut session, cause, upstream_lost).await)
    }
}

/// Says goodbye as far as there is somebody to say it to.
async fn end<L, R>(session: &mut Session<'_>, cause: Cause, upstream_lost: L) -> Outcome
where
    L: FnOnce() -> R,
    R: Future<Output = CloseReason>,
{
    let (ended_by, how) = session.verdict(&cause);
    let told_client = match cause {
        Cause::Finished => None,
        Cause::Asked(reason) => Some(reason),
        Cause::Violation(_, violation) => {
            let text = format!("WebSocket protocol error: {violation}");
            Some(CloseReason::new(CloseReason::PROTOCOL_ERROR, text))
        }
        Cause::Silent(EndedBy::Client) => {
            Some(CloseReason::new(CloseReason::GOING_AWAY, "nothing came from the client"))
        }
        Cause::UpstreamLost | Cause::Silent(_) => Some(upstream_lost().await),
    };
    if let Some(reason) = &told_client {
        say_goodbye(session, reason, &how).await;
    }
    let counters = session.counters();
    Outcome {
        ended_by,
        how,
        told_client,
        up: Traffic::from(&counters.up),
        down: Traffic::from(&counters.down),
        first_byte: session.first_byte(),
    }
}

/// Passes bytes both ways until there is a cause to end, or it shall stand still.
async fn pass<E, P>(session: &mut Session<'_>, ended: E, park: P) -> Result<Cause, P::Output>
where
    E: Future<Output = CloseReason>,
    P: Future,
{
    let mut ended = pin!(ended);
    let mut park = pin!(Some(park));
    let mut timer = pin!(sleep_until(session.next_look()));
    poll_fn(|cx| {
        if let Poll::Ready(reason) = ended.as_mut().poll(cx) {
            return Poll::Ready(Ok(Cause::Asked(reason)));
        }
        if let Some(Poll::Ready(asked)) = park.as_mut().as_pin_mut().map(|park| park.poll(cx)) {
            park.set(None);
            if session.can_park() {
                return Poll::Ready(Err(asked));
            }
        }
        session.poll_pass(cx, timer.as_mut()).map(Ok)
    })
    .await
}

/// Tells both sides, each between two frames, and waits a little for their answers.
async fn say_goodbye(session: &mut Session<'_>, reason: &CloseReason, how: &How) {
    session.seal(reason, how);
    let options = session.options();
    // Who does not let us finish in time is just disconnected.
    let _ = timeout(options.boundary_timeout, poll_fn(|cx| session.poll_sealed(cx))).await;
    let _ = timeout(options.close_timeout, poll_fn(|cx| session.poll_answered(cx))).await;
}
