//! The fleet's secret, from the settings or from a file that may change.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use flotilla_core::config::Fleet;
use flotilla_core::keyring::{Keyring, SharedKeyring};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The secret that the settings name.
///
/// # Errors
/// When there is none, or one that could be guessed.
pub(super) fn keyring(fleet: &Fleet) -> anyhow::Result<SharedKeyring> {
    let keyring = if_any(fleet)?;
    keyring.map(SharedKeyring::new).context("neither fleet_secret nor fleet_secret_file is set")
}

/// The same, where there may be none.
///
/// # Errors
/// When there is one that could be guessed, or a file that cannot be read.
pub(crate) fn if_any(fleet: &Fleet) -> anyhow::Result<Option<Keyring>> {
    match (&fleet.fleet_secret_file, &fleet.fleet_secret) {
        (Some(file), _) => read(Path::new(file)).map(Some),
        (None, Some(secret)) => Keyring::parse(secret.reveal()).map(Some).context("fleet_secret"),
        (None, None) => Ok(None),
    }
}

fn read(file: &Path) -> anyhow::Result<Keyring> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read fleet_secret_file {}", file.display()))?;
    Keyring::parse(&text).with_context(|| format!("fleet_secret_file {}", file.display()))
}

/// Takes over what is written to the file, for as long as the future is polled. What cannot be
/// read changes nothing.
pub(crate) async fn follow(fleet: Fleet, keyring: SharedKeyring) {
    let Some(file) = fleet.fleet_secret_file else { return std::future::pending().await };
    let file = Path::new(&file);
    let mut seen = changed_at(file);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = changed_at(file);
        if now == seen {
            continue;
        }
        seen = now;
        match read(file) {
            Ok(new) => {
                keyring.replace(new);
                tracing::info!(file = %file.display(), "the fleet's secret was read again");
            }
            Err(error) => {
                tracing::error!("the fleet's secret stays as it was: {error:#}");
            }
        }
    }
}

fn changed_at(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}
