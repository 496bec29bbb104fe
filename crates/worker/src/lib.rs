//! Owns slots and browsers: admission, browser pool, the driver's supervisor.

pub mod door;
pub mod driver;
pub mod provision;

#[cfg(test)]
mod fake;
mod memory;
mod orders;
mod report;
mod session;
mod supervisor;

pub use orders::Leave;
pub use session::{Lease, OpenError, Opened, Reserved, Worker};
pub use supervisor::{AdmitError, Observer, WorkerConfig};
