//! The roles of a grid of several processes.

mod gateway;
mod secret;
mod worker;

pub use gateway::GatewayRole;
pub use worker::WorkerRole;
