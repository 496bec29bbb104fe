//! Test bed: real servers, clients, faults and benchmarks' reports. For tests and benchmarks only.

pub mod balancer;
pub mod bed;
pub mod echo;
pub mod fakes;
pub mod fleet;
pub mod folder;
pub mod grid;
pub mod hosts;
pub mod http;
pub mod meter;
pub mod pages;
mod permit;
pub mod place;
pub mod ports;
pub mod process;
pub mod procs;
pub mod program;
pub mod proxies;
pub mod raw;
pub mod redis;
pub mod report;
pub mod role;
pub mod sampler;
pub mod supervisor;
pub mod throttle;
pub mod wait;
