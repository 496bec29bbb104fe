//! Where a gateway can be found by the one that is to take its place.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{UnixListener, UnixStream};

/// A unix socket's path holds so many bytes.
const LONGEST_PATH: usize = 107;

/// A unix socket in the run directory, and the listener that goes through it.
#[derive(Debug)]
pub struct Door {
    pub(super) listener: UnixListener,
    pub(super) clients: OwnedFd,
    path: PathBuf,
    inode: u64,
    left: AtomicBool,
}

impl Door {
    /// Where the gateway of that port is found.
    pub fn path(run_dir: &Path, port: u16) -> PathBuf {
        run_dir.join(format!("gateway-{port}.sock"))
    }

    /// Listens there. `clients` is the listener that a successor gets. What a killed process left
    /// there is replaced.
    ///
    /// # Errors
    /// When the folder cannot be used, or a living gateway is there.
    pub async fn open(run_dir: &Path, clients: impl AsFd, port: u16) -> io::Result<Self> {
        let path = Self::path(run_dir, port);
        if UnixStream::connect(&path).await.is_ok() {
            let problem =
                format!("another gateway has {}: it needs another run_dir", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, problem));
        }
        Self::replace(run_dir, clients, port)
    }

    /// The same in place of whoever is there: a predecessor that has nothing left.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn replace(run_dir: &Path, clients: impl AsFd, port: u16) -> io::Result<Self> {
        let clients = clients.as_fd().try_clone_to_owned()?;
        DirBuilder::new().recursive(true).mode(0o700).create(run_dir)?;
        let path = Self::path(run_dir, port);
        let making = path.with_extension(format!("{}.new", std::process::id()));
        if making.as_os_str().len() > LONGEST_PATH {
            let problem = format!("{} is too long a path for a unix socket", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        // Under another name first: whoever finds the real one finds it with its permissions.
        let _ = fs::remove_file(&making);
        let listener = UnixListener::bind(&making)?;
        fs::set_permissions(&making, Permissions::from_mode(0o600))?;
        let inode = fs::metadata(&making)?.ino();
        fs::rename(&making, &path)?;
        Ok(Self { listener, clients, path, inode, left: AtomicBool::new(false) })
    }

    /// Leaves it to the successor to put its own there.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::SeqCst);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let is_ours = || fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if !self.left.load(Ordering::SeqCst) && is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the other side runs as the same user.
pub(super) fn is_ours(stream: &UnixStream) -> io::Result<bool> {
    Ok(stream.peer_cred()?.uid() == rustix::process::geteuid().as_raw())
}
