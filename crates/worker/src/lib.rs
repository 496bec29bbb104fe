//! Owns slots and browsers: admission, browser pool, the driver's supervisor.

pub mod driver;
pub mod provision;
