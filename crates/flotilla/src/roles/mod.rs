//! The roles of a grid of several processes.

mod gateway;
pub(crate) mod secret;
mod worker;

pub use gateway::GatewayRole;
pub use worker::WorkerRole;
