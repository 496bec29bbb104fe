//! The end of a session: what it was, counted and logged once.

use std::time::Duration;

use flotilla_core::SessionId;
use flotilla_core::ending::{EndCause, Ending};
use flotilla_core::metrics::{CloseCode, ClosedBy, Metrics};
use flotilla_core::refusal::Served;
use flotilla_relay::{EndedBy, How, Outcome};

/// Counts the session's end.
pub(crate) fn settle(
    metrics: &Metrics,
    id: &SessionId,
    served: Served,
    lasted: Duration,
    outcome: &Outcome,
    decided: Option<EndCause>,
) {
    let cause = decided.unwrap_or_else(|| cause(outcome));
    metrics.sessions.ended.inc((served.0, cause));
    metrics.sessions.duration.observe(served.0, lasted);
    metrics.relay.closes.inc(closed_by(outcome));
    tracing::info!(
        session = %id,
        cause = cause.as_str(),
        seconds = lasted.as_secs_f64(),
        bytes_to_browser = outcome.up.bytes,
        bytes_to_client = outcome.down.bytes,
        messages_to_browser = outcome.up.messages,
        messages_to_client = outcome.down.messages,
        "session ended"
    );
}

/// The cause of an end that the grid did not decide on.
fn cause(outcome: &Outcome) -> EndCause {
    match (outcome.ended_by, &outcome.how) {
        (_, How::Violation(_)) => EndCause::ProtocolError,
        (EndedBy::Client, How::Close(_)) => EndCause::ClientClose,
        (EndedBy::Client, _) => EndCause::ClientLost,
        // A browser's server closes only when its browser has gone.
        (EndedBy::Upstream, How::Timeout) => EndCause::WorkerLost,
        (EndedBy::Upstream, How::Close(close)) => {
            let told = Ending::cause_of(close.code.unwrap_or_default(), &close.text);
            told.unwrap_or(EndCause::WorkerCrash)
        }
        (EndedBy::Upstream, _) => EndCause::WorkerCrash,
        (EndedBy::Relay, _) => EndCause::Operator,
    }
}

fn closed_by(outcome: &Outcome) -> (ClosedBy, CloseCode) {
    let by = match outcome.ended_by {
        EndedBy::Client => ClosedBy::Client,
        EndedBy::Upstream => ClosedBy::Worker,
        EndedBy::Relay => ClosedBy::Gateway,
    };
    (by, outcome.close_code().into())
}
