//! Which Node runs the drivers.

use std::path::{Path, PathBuf};

/// No Node where one is looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no node: looked for {} and for `node` on the PATH. Install Node.js 20 or newer \
     (https://nodejs.org, or `apt-get install nodejs`)",
    own.display()
)]
pub struct NodeError {
    own: PathBuf,
}

/// The data directory's own Node, else the one on the PATH. Only looks whether the file is there:
/// its version is checked when something is installed.
pub(super) fn find(data: &Path) -> Result<PathBuf, NodeError> {
    let own = data.join("node/bin/node");
    if own.is_file() {
        return Ok(own);
    }
    on_path("node").ok_or(NodeError { own })
}

/// The first program of a name on the PATH.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}
