//! Why an installation did not happen.

use std::io;
use std::path::PathBuf;

use super::node::NodeError;

/// Why an installation did not happen. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// No Node on this machine.
    #[error(transparent)]
    NoNode(#[from] NodeError),
    /// The Node of this machine is too old for this Playwright.
    #[error(
        "Playwright {playwright} needs Node {needs} or newer, and {} is {have}: install a newer Node.js",
        node.display()
    )]
    OldNode {
        /// The program.
        node: PathBuf,
        /// Its version.
        have: String,
        /// The major version that is needed.
        needs: u32,
        /// For what.
        playwright: String,
    },
    /// No npm on this machine.
    #[error(
        "npm is not on the PATH: install it (`apt-get install npm`), or give a folder of \
         playwright-core with --from"
    )]
    NoNpm,
    /// npm could not fetch it.
    #[error("npm could not fetch playwright-core@{wanted}: {why}{hint}")]
    Npm {
        /// The version that was asked for.
        wanted: String,
        /// npm's own words.
        why: String,
        /// What to do, when that is known.
        hint: &'static str,
    },
    /// Not what can be asked for.
    #[error("{0:?} is not a version of Playwright: write 1.64.1, 1.64 or latest")]
    BadVersion(String),
    /// `--from` names something else.
    #[error("{} is not a folder of playwright-core: {why}", dir.display())]
    NotPlaywright {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Two things that were asked for contradict each other.
    #[error("{} holds Playwright {found}, not {wanted}", dir.display())]
    OtherVersion {
        /// The folder.
        dir: PathBuf,
        /// What it holds.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// The process that tries browsers died.
    #[error("the browsers could not be tried, and nothing was changed: the driver is gone: {0}")]
    Trial(String),
    /// A file or process could not be had.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl InstallError {
    /// An error with what was being done.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
