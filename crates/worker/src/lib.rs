//! Owns slots and browsers: admission, browser pool, the driver's supervisor.
