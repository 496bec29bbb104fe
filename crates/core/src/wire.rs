//! What gateways, workers and operators say to each other over HTTP: paths and headers.

use crate::id::SessionId;

/// Where a worker takes sessions: the ticket follows.
pub const SESSION_PATH: &str = "/session/";
/// Where a worker keeps a slot for a client that will come by itself: the ticket follows. It
/// answers 201, and `Location` is the path to which the client is to come.
pub const RESERVE_PATH: &str = "/reserve/";
/// Where a worker proves that it is the one that was meant: a nonce follows.
pub const HELLO_PATH: &str = "/hello/";
/// Where a worker takes an operator's orders: the signed order follows.
pub const ORDER_PATH: &str = "/order/";

/// On a worker's answers to gateways: its advert as of the answer, signed.
pub const ADVERT_HEADER: &str = "x-flotilla-advert";
/// On a worker's refusal: its code, for the gateway.
pub const REFUSAL_HEADER: &str = "x-flotilla-refusal";
/// On a worker's answers: how long admission and the browser took, in microseconds.
pub const GRANTED_HEADER: &str = "x-flotilla-granted";
/// On a worker's answer to an order: the answer's signature.
pub const OUTCOME_HEADER: &str = "x-flotilla-outcome";

/// The header that Playwright prints in a client's call log, and what it says.
pub fn debug_log(session: &SessionId) -> (&'static str, String) {
    ("x-playwright-debug-log", format!("flotilla session {session}"))
}
