//! Owns slots and browsers: admission, browser pool, the driver's supervisor.

pub mod door;
pub mod driver;
pub mod provision;

mod memory;
mod orders;
mod report;
mod session;
mod supervisor;

pub use orders::Leave;
pub use session::{Lease, OpenError, Opened, Worker};
pub use supervisor::{AdmitError, Observer, WorkerConfig};
