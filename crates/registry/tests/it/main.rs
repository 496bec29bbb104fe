//! The registry in a real Redis: one server, one with TLS and a password, one that Sentinels
//! watch, a cluster.

#![expect(clippy::unwrap_used, reason = "all of it is tests, the helpers too")]

mod contract;
mod support;
