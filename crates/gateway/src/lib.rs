//! A client's way in: accept, queue, choose, dial, relay.

mod active;
mod answer;
mod gateway;
pub mod handover;
mod http;
mod line;
mod operator;
pub mod proc;
mod relayed;
mod remote;
mod rewind;
mod session;
mod settle;
mod way_out;
mod workers;

pub use gateway::{Gateway, GatewayConfig};
pub use line::Permit;
pub use remote::{Found, Lease, Remote, RemoteConfig};
pub use session::EVERYBODY;
pub use workers::{Ask, NotOpened, Opened, OrderFailed, Redirect, Taken, Workers};
