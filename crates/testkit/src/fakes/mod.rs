//! Thousands of workers and clients in one process: what a gateway cannot tell from real ones on
//! the wire, without their browsers.
//!
//! A [`Crowd`] of workers checks tickets, answers, counts its slots and keeps its boards as real
//! workers do. It does not tell a registry: whoever has one reads the boards, as for real workers.

mod client;
mod crowd;
mod door;
mod frames;
mod worker;

pub use client::{Client, Opened, Refused};
pub use crowd::{Crowd, CrowdConfig, Tally};
pub use worker::FakeWorker;
