//! Where files go.

use std::path::PathBuf;

use super::group::group;
use super::kind::Folder;

group! {
    /// Where files go. The binary decides both defaults from its environment.
    Places, "Where files go" {
        /// The folder of what lasts: installed Playwright versions and browsers.
        data: PathBuf as Folder = "", shown "`$XDG_DATA_HOME/flotilla`, else `~/.local/share/flotilla`", sample "\"/var/lib/flotilla\"";
        /// The folder of what lasts as long as the process: sockets and browsers' profiles.
        run_dir: PathBuf as Folder = "", shown "`$XDG_RUNTIME_DIR/flotilla`, else a folder in the system's temporary one", sample "\"/run/flotilla\"";
    }
}
