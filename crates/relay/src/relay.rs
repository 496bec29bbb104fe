//! Relays one session from its handshake to its end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::close::CloseReason;
use crate::counters::Counters;
use crate::outcome::{EndedBy, How, Outcome, Traffic};
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
    let start = Instant::now();
    let mut session = Session::new(client, upstream, options, counters, start);
    let cause = pass(&mut session, ended).await;
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
        say_goodbye(&mut session, reason, &how).await;
    }
    Outcome {
        ended_by,
        how,
        told_client,
        up: Traffic::from(&counters.up),
        down: Traffic::from(&counters.down),
        first_byte: session.first_byte().map(|first| first - start),
    }
}

/// Passes bytes both ways until there is a cause to end.
async fn pass<E>(session: &mut Session<'_>, ended: E) -> Cause
where
    E: Future<Output = CloseReason>,
{
    let mut ended = pin!(ended);
    let mut timer = pin!(sleep_until(session.next_look()));
    poll_fn(|cx| session.poll_pass(cx, ended.as_mut(), timer.as_mut())).await
}

/// Tells both sides, each between two frames, and waits a little for their answers.
async fn say_goodbye(session: &mut Session<'_>, reason: &CloseReason, how: &How) {
    session.seal(reason, how);
    let options = session.options();
    // Who does not let us finish in time is just disconnected.
    let _ = timeout(options.boundary_timeout, poll_fn(|cx| session.poll_sealed(cx))).await;
    let _ = timeout(options.close_timeout, poll_fn(|cx| session.poll_answered(cx))).await;
}
