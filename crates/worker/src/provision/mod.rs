//! Which Playwrights and browsers are on this machine, and how they come here.

mod catalogue;
mod download;
mod error;
mod fetch;
mod install;
mod manifest;
mod node;
mod system;
mod trial;
mod wanted;

pub use catalogue::{Catalogue, Installed};
pub use error::InstallError;
pub use install::{InstallRequest, Installer, Progress, Step};
pub use manifest::{Build, Flavour, FullVersion, Manifest, Probe, Source};
pub use node::NodeError;
pub use wanted::Wanted;
