//! The WebSocket relay: handshake heads, frame headers, close codes. Knows no policy.
//!
//! A caller reads the client's head ([`head::read_request_head`]), decides, dials, forwards the handshake as it
//! came, passes the answer on and gives both connections to [`relay()`]. From there on bytes pass as they are:
//! nothing is unmasked, re-framed or inflated. Frame headers are followed, so that the relay can count, ping both
//! sides and end a session with a reason, always between two frames.

mod buffer;
pub mod close;
pub mod counters;
pub mod ended;
mod flow;
pub mod frame;
pub mod head;
pub mod outcome;
pub mod parked;
pub mod relay;
mod session;
pub mod socket;
mod splice;
pub mod tracker;

pub use close::{CloseReason, PeerClose};
pub use counters::{Counters, FlowCounters};
pub use ended::Ended;
pub use frame::{Sender, Violation};
pub use head::{
    HeadError, Headers, RequestHead, ResponseHead, UpgradeError, read_request_head,
    read_response_body, read_response_head,
};
pub use outcome::{EndedBy, How, Outcome, Traffic};
pub use parked::{NotAState, Parked};
pub use relay::{RelayOptions, Relayed, relay, relay_until};
pub use socket::Socket;
pub use tracker::Tracker;
