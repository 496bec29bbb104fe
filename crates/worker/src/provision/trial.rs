//! Trying a browser with a Playwright: through the same driver that will serve it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use flotilla_core::launcher::{LaunchError, LauncherEvent};

use super::catalogue::{Catalogue, Installed};
use super::error::InstallError;
use super::install::Installer;
use super::manifest::{Build, Manifest, Probe};
use crate::driver::{DriverConfig, DriverLauncher};

/// A browser's first start on a machine can be slow.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Tries builds with one Playwright.
pub(super) struct Trials {
    launcher: DriverLauncher,
    _events: mpsc::UnboundedReceiver<LauncherEvent>,
    dir: PathBuf,
    manifest: Manifest,
}

impl Trials {
    pub(super) fn new(
        installer: &Installer,
        dir: &Path,
        manifest: &Manifest,
    ) -> Result<Self, InstallError> {
        let config = DriverConfig {
            run_root: installer.run_root.clone(),
            shim: installer.shim.clone(),
            headless: true,
            launch_timeout: LAUNCH_TIMEOUT,
            idle: LAUNCH_TIMEOUT,
            default_version: None,
        };
        let what = InstallError::io(format!("trying browsers in {}", config.run_root.display()));
        let nothing = Catalogue::empty(&installer.data);
        let (launcher, events) = DriverLauncher::new(config, nothing).map_err(what)?;
        Ok(Self { launcher, _events: events, dir: dir.to_owned(), manifest: manifest.clone() })
    }

    /// Launch, context, page, navigation, a script whose answer is checked.
    ///
    /// # Errors
    /// When the trial itself came to nothing, which says nothing about the browser.
    pub(super) async fn run(&self, build: Build) -> Result<Build, InstallError> {
        let alone = Installed {
            dir: self.dir.clone(),
            manifest: Manifest { browsers: vec![build.clone()], ..self.manifest.clone() },
        };
        let began = std::time::Instant::now();
        let tried = self.launcher.try_out(&alone, build.flavour.kind()).await;
        let (browser_version, error) = match tried {
            Ok((version, error)) => (Some(version), error),
            Err(LaunchError::DriverGone { why, .. }) => return Err(InstallError::Trial(why)),
            Err(error) => (None, Some(error.to_string())),
        };
        let probe = Probe {
            at: now(),
            ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            browser_version,
            error,
        };
        Ok(Build { probe, ..build })
    }

    pub(super) async fn end(self) {
        self.launcher.shutdown().await;
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|elapsed| elapsed.as_secs()).unwrap_or_default()
}
