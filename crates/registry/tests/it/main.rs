//! The registry in a real Redis of every kind: one server, one with TLS and a password, one that
//! Sentinels watch, a cluster. A kind that cannot be had fails its tests.

#![expect(clippy::unwrap_used, reason = "all of it is tests, the helpers too")]

mod beds;
mod contract;
mod faults;
mod lies;
mod logs;
mod reaping;
mod secrets;
mod support;
