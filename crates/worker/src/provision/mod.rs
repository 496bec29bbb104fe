//! Which Playwrights and browsers are on this machine, and how they come here.

mod catalogue;
mod manifest;
mod node;

pub use catalogue::{Catalogue, Installed, installations};
pub use manifest::{Build, Flavour, FullVersion, Manifest, Probe, Source};
pub use node::NodeError;
