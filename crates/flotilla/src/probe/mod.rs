//! A client of the Playwright protocol, small enough to be in the binary.
//!
//! `flotilla health` sends it through the grid's front door, and benchmarks use it as a load that
//! costs little itself. It speaks as the JavaScript clients of 1.55 to 1.65 do: one JSON message
//! a text frame, objects by guid, no extension offered.

mod check;
mod endpoint;
mod error;
mod grid;
mod http;
mod message;
mod session;
mod value;

pub use check::{Failure, PhaseTiming, ProbeReport, check, millis};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::{Phase, ProbeError};
pub use grid::{AskError, page, status};
pub use http::{Answer, HttpError, get, post};
pub use session::{Context, Page, Session, Target};
