//! The registry in Redis: how the workers and gateways of several machines find each other.
//!
//! Workers write what they are like, with a TTL, and publish it; gateways hear it, and look it up
//! when they may have missed something. Nothing in Redis is believed that is not signed with the
//! fleet's secret, and nothing there is the only copy of anything.

mod address;
mod announcer;
mod commands;
mod connect;
mod fault;
mod jitter;
mod keys;
mod link;
mod living;
mod local;
mod message;
mod outage;
mod reaper;
mod rejected;
mod snapshot;
mod subscriber;

pub use address::{InvalidAddress, RedisAddress};
pub use announcer::{Announcement, Announcer};
pub use commands::{UnknownCommand, WorkerCommand, command};
pub use fault::Fault;
pub use local::local_address_towards;
pub use outage::Observer;
pub use snapshot::read_fleet;
pub use subscriber::{Subscriber, Subscription};
