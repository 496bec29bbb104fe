//! What operators ask of a gateway beneath `/v1`: who may, what for, and the answer.

mod deeds;
mod route;
mod vouch;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use flotilla_core::Refusal;
use flotilla_core::call::{Call, CallError};
use flotilla_core::metrics::{OperatorResult, Operators};
use flotilla_core::operator::LONGEST_BODY;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Incoming;
use serde_json::Value;

pub(crate) use route::{Action, Leaving};
pub(crate) use vouch::Vouch;

/// How long a request's body may take.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// What carries operators' wishes out.
pub(crate) trait Operate: Send + Sync + 'static {
    /// Decides whose requests are answered.
    fn vouch(&self) -> &Vouch;
    /// Counts them.
    fn counters(&self) -> &Operators;
    /// Does what was asked for: the body of the answer.
    fn operate(&self, action: Action) -> impl Future<Output = Result<Value, Refusal>> + Send;
}

/// Answers one request.
pub(crate) async fn answer<O: Operate>(
    request: Request<Incoming>,
    peer: IpAddr,
    grid: &O,
) -> Result<Value, Refusal> {
    let (head, body) = request.into_parts();
    let body = read(body).await?;
    let (method, path) = (head.method.as_str(), head.uri.path());
    let call = Call { method, path, body: &body };
    if let Err(error) = grid.vouch().check(&call, &head.headers, peer) {
        grid.counters().refused.inc(error);
        tracing::warn!(from = %peer, code = error.as_str(), method, path, "an operator's request was refused");
        return Err(not_believed(error));
    }
    let action = Action::read(method, path, &body)?;
    let label = action.label();
    if action.changes() {
        tracing::info!(from = %peer, method, path, "an operator's request");
    }
    let answer = grid.operate(action).await;
    let result = match &answer {
        Ok(_) => OperatorResult::Done,
        Err(refusal) if refusal.status < 500 => OperatorResult::Refused,
        Err(_) => OperatorResult::Failed,
    };
    grid.counters().calls.inc((label, result));
    answer
}

fn not_believed(error: CallError) -> Refusal {
    Refusal::other(error.status(), error.as_str(), error.to_string())
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let collected = Limited::new(body, LONGEST_BODY).collect();
    match tokio::time::timeout(BODY_WITHIN, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let words = format!("the body has more than {LONGEST_BODY} bytes");
            Err(Refusal::other(413, "body_too_large", words))
        }
        Ok(Err(error)) => Err(Refusal::bad_request(format!("the body breaks off: {error}"))),
        Err(_) => Err(Refusal::other(408, "body_too_slow", "the body did not come in time")),
    }
}
