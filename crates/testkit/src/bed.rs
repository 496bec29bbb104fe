//! Where the test bed keeps what `scripts/setup-tests.sh` prepared.

use std::path::{Path, PathBuf};

/// The workspace's root folder.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("a crate lies two folders below the root")
        .to_owned()
}

/// The test bed's folder: `FLOTILLA_TESTBED`, or `target/testbed`.
pub fn root() -> PathBuf {
    std::env::var_os("FLOTILLA_TESTBED")
        .map_or_else(|| workspace().join("target/testbed"), PathBuf::from)
}

/// The data directory with the Playwright versions that the tests use: `FLOTILLA_TEST_DATA`, or
/// the test bed's.
///
/// # Panics
/// When it is not there: a test without its subject has failed.
pub fn data() -> PathBuf {
    let data =
        std::env::var_os("FLOTILLA_TEST_DATA").map_or_else(|| root().join("data"), PathBuf::from);
    prepared(data)
}

/// The folder in which a client of that version was installed by npm.
///
/// # Panics
/// When it is not there.
pub fn npm(version: &str) -> PathBuf {
    prepared(root().join("npm").join(version))
}

/// The Python that has that version of Playwright's package.
///
/// # Panics
/// When it is not there.
pub fn python(version: &str) -> PathBuf {
    prepared(root().join("python").join(version).join("bin/python"))
}

/// A client program of the repository.
pub fn client(file: &str) -> PathBuf {
    workspace().join("tests/clients").join(file)
}

fn prepared(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "the test bed is not prepared: {} is missing. Run scripts/setup-tests.sh first",
        path.display()
    );
    path
}
