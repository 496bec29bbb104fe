//! Test bed: real servers, clients, faults and benchmarks' reports. For tests and benchmarks only.

pub mod bed;
pub mod folder;
pub mod grid;
pub mod http;
pub mod pages;
mod permit;
pub mod procs;
pub mod program;
pub mod raw;
pub mod sampler;
pub mod throttle;
pub mod wait;
