//! The run directory: everything that must not outlive a run, in one locked folder.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

/// A unix socket's path holds 107 bytes; browsers put theirs two folders below ours.
const LONGEST_PATH: usize = 64;
/// How often a removal is tried again.
const REMOVALS: u32 = 10;
const LOCK: &str = "lock";
const PREFIX: &str = "run-";

/// A folder of one run, `0700`: sockets, wrapper scripts, `host.mjs`, and the temporary folder of
/// the driver and its browsers. It is locked as long as the process lives, and removed on drop;
/// what a killed process left is removed by the next one that starts.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// The kernel lets go of the lock when the process is gone, however it went.
    _lock: File,
}

impl RunDir {
    /// Removes what dead runs left under `root`, then makes a folder for this one there.
    pub fn create(root: &Path) -> io::Result<Self> {
        private_dir(root)?;
        let path = root.join(format!("{PREFIX}{}", random_hex::<4>()?));
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(io::Error::other(format!(
                "the run directory {} is too long a path for unix sockets: choose one of at most {} bytes",
                root.display(),
                LONGEST_PATH - PREFIX.len() - 9,
            )));
        }
        let making = File::create(root.join(LOCK))?;
        flock(&making, FlockOperation::LockExclusive)?;
        remove_stale(root);
        private_dir(&path)?;
        let lock = File::create(path.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        drop(making);
        let run = Self { path, _lock: lock };
        for sub in [run.sockets(), run.bin(), run.tmp()] {
            private_dir(&sub)?;
        }
        Ok(run)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where browsers' servers listen.
    pub fn sockets(&self) -> PathBuf {
        self.path.join("s")
    }

    /// Where the driver's program and the wrapper scripts are.
    pub fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }

    /// The temporary folder of drivers and browsers.
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// Writes a program into [`Self::bin`] and returns its path.
    pub fn write_program(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.bin().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok(path)
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let mut removed = fs::remove_dir_all(&self.path);
        for _ in 0..REMOVALS {
            if removed.is_ok() {
                return;
            }
            // Browsers that were killed this moment may have written a last file meanwhile.
            std::thread::sleep(Duration::from_millis(20));
            removed = fs::remove_dir_all(&self.path);
        }
        if let Err(error) = removed {
            tracing::warn!(path = %self.path.display(), %error, "run directory not removed");
        }
    }
}

fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Only folders of our own making, by their name, whose lock nobody holds.
fn remove_stale(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let path = entry.path();
        if ours && is_stale(&path) {
            tracing::info!(path = %path.display(), "removing what a dead run left");
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "stale run directory not removed");
            }
        }
    }
}

fn is_stale(path: &Path) -> bool {
    match File::open(path.join(LOCK)) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
        // Its maker died before it came to the lock: ours are made under the root's lock.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Random bytes as hexadecimal text.
pub(super) fn random_hex<const N: usize>() -> io::Result<String> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("flt-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_run_directory_is_private_and_goes_with_its_run() {
        let root = root("own");
        let run = RunDir::create(&root).unwrap();
        let path = run.path().to_owned();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(run);
        assert!(!path.exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_dead_runs_directory_is_removed_and_a_live_ones_and_strangers_are_not() {
        let root = root("stale");
        let live = RunDir::create(&root).unwrap();
        let dead = root.join("run-dead");
        fs::create_dir_all(dead.join("tmp/profile")).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::create_dir(root.join("photos")).unwrap();
        let other = RunDir::create(&root).unwrap();
        assert!(!dead.exists());
        assert!(live.path().exists() && other.path().exists());
        assert!(root.join("photos").exists());
        drop((live, other));
        fs::remove_dir_all(root).unwrap();
    }
}
