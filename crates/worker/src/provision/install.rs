//! Installing a Playwright with its browsers: fetch, find browsers, try each, write it down.
//!
//! Everything is made in a folder beside the final one and renamed at the end, so a half-done
//! installation is never served; one installation at a time, by a lock.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use flotilla_core::BrowserKind;
use rustix::fs::{FlockOperation, flock};

use super::catalogue::{Installed, installations};
use super::download::{self, Downloads};
use super::error::InstallError;
use super::fetch::{self, Package};
use super::manifest::{Build, FullVersion, Manifest, Probe, Source};
use super::trial::Trials;
use super::wanted::Wanted;
use super::{node, system};
use crate::driver::ExecShim;

const HALF: &str = ".half-";

/// Where installations go and how processes are started for them.
#[derive(Clone, Debug)]
pub struct Installer {
    /// The data directory.
    pub data: PathBuf,
    /// Where run directories are made, for the trials.
    pub run_root: PathBuf,
    /// How processes are tied to this one.
    pub shim: ExecShim,
}

/// What to install.
#[derive(Clone, Debug)]
pub struct InstallRequest {
    /// Which version; with a folder, `None` takes the folder's.
    pub version: Option<Wanted>,
    /// A folder of playwright-core to copy, instead of npm.
    pub from: Option<PathBuf>,
    /// Which browsers.
    pub kinds: Vec<BrowserKind>,
    /// Only the machine's own browsers: nothing is downloaded.
    pub system_only: bool,
}

/// How an installation goes on, for those who wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Another installation has the lock.
    Waiting,
    /// playwright-core is being fetched or copied; from where.
    Fetching(String),
    /// This version is here already: only its browsers are tried.
    Present(FullVersion),
    /// One of Playwright's own builds is being downloaded, at a percentage.
    Downloading(BrowserKind, u8),
    /// Why Playwright's own build of a kind is not downloaded.
    NoDownload(BrowserKind, String),
    /// A browser is being tried.
    Trying(Build),
    /// How that went.
    Tried(Build),
    /// The program that records videos, if there is one.
    Videos(Option<PathBuf>),
    /// There is no browser of a kind, and why.
    Missing(BrowserKind, String),
}

/// Told of every step.
pub type Progress<'a> = dyn Fn(Step) + Sync + 'a;

impl Installer {
    /// Installs a Playwright, or tries the browsers of one that is here anew.
    ///
    /// # Errors
    /// When playwright-core cannot be had, or not be run here. That a browser does not work is no
    /// error: the answer says it.
    pub async fn install(
        &self,
        request: &InstallRequest,
        progress: &Progress<'_>,
    ) -> Result<Installed, InstallError> {
        let node = node::find(&self.data)?;
        let _lock = self.lock(progress).await?;
        self.sweep();
        if let Some(present) = self.present(request) {
            progress(Step::Present(present.manifest.full_version()));
            return self.complete(present.dir, present.manifest, request, &node, progress).await;
        }
        let half = Half::create(&self.root())?;
        let from = self.fetch(request, &half.0, progress).await?;
        let core = half.0.join("node_modules/playwright-core");
        let package = Package::read(&core)?;
        package.check_node(&node).await?;
        let manifest = Manifest { playwright: package.version, from, browsers: Vec::new() };
        let version = manifest.playwright.to_string();
        let done = self.complete(half.0.clone(), manifest, request, &node, progress).await?;
        half.keep(&self.root().join(version), done)
    }

    /// What [`Self::install`] would try for each kind, without fetching anything.
    pub fn candidates(kinds: &[BrowserKind]) -> Vec<(BrowserKind, Vec<PathBuf>)> {
        let programs = |kind| system::browsers(kind).into_iter().map(|(_, path)| path);
        kinds.iter().map(|&kind| (kind, programs(kind).collect())).collect()
    }

    /// The installation that makes fetching needless: the very version, or, when only a minor is
    /// asked for, none: there may be a newer one.
    pub fn present(&self, request: &InstallRequest) -> Option<Installed> {
        let wanted = match (&request.version, &request.from) {
            (Some(Wanted::Full(full)), _) => full.clone(),
            (None, Some(from)) => Package::read(&fetch::core_in(from)).ok()?.version,
            _ => return None,
        };
        let all = installations(&self.data).ok()?;
        all.into_iter().find(|one| one.manifest.playwright == wanted)
    }

    async fn fetch(
        &self,
        request: &InstallRequest,
        half: &Path,
        progress: &Progress<'_>,
    ) -> Result<String, InstallError> {
        let Some(from) = &request.from else {
            let wanted = request.version.clone().unwrap_or(Wanted::Latest);
            progress(Step::Fetching(format!("playwright-core@{wanted} from npm")));
            fetch::npm(&wanted, half).await?;
            return Ok("npm".to_owned());
        };
        let core = fetch::core_in(from);
        let found = Package::read(&core)?.version;
        if let Some(wanted) = request.version.as_ref().filter(|w| !w.matches(&found)) {
            return Err(InstallError::OtherVersion {
                dir: core,
                found: found.to_string(),
                wanted: wanted.to_string(),
            });
        }
        let from = core.display().to_string();
        progress(Step::Fetching(format!("playwright-core {found} from {from}")));
        fetch::copy(&core, half).map_err(InstallError::io(format!("copying {from}")))?;
        Ok(from)
    }

    /// Tries the browsers and writes the manifest into the folder.
    async fn complete(
        &self,
        dir: PathBuf,
        mut manifest: Manifest,
        request: &InstallRequest,
        node: &Path,
        progress: &Progress<'_>,
    ) -> Result<Installed, InstallError> {
        let core = dir.join("node_modules/playwright-core");
        let browsers = self.data.join("browsers");
        let downloads = Downloads { node, core: &core, browsers: &browsers };
        let trials = Trials::new(self, &dir, &manifest)?;
        for &kind in &request.kinds {
            let own = own_build(kind, request, &downloads, progress).await;
            let found = builds(kind, own, progress);
            manifest.browsers.retain(|build| build.flavour.kind() != kind);
            for build in found {
                progress(Step::Trying(build.clone()));
                let build = trials.run(build).await?;
                progress(Step::Tried(build.clone()));
                manifest.browsers.push(build);
            }
        }
        trials.end().await;
        progress(Step::Videos(ffmpeg(&downloads).await));
        manifest.write(&dir).map_err(InstallError::io(dir.display().to_string()))?;
        Ok(Installed { dir, manifest })
    }

    /// Removes installations, and of Playwright's own builds those that no other uses.
    pub async fn remove(&self, versions: &[FullVersion]) -> Result<(), InstallError> {
        let _lock = self.lock(&|_| {}).await?;
        let all = installations(&self.data).map_err(self.here())?;
        let (gone, kept): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|one| versions.contains(&one.manifest.playwright));
        let used: Vec<PathBuf> = kept.iter().flat_map(|one| self.own_folders(one)).collect();
        for one in gone {
            let unused = self.own_folders(&one).into_iter();
            let mut folders = vec![one.dir.clone()];
            folders.extend(unused.filter(|folder| !used.contains(folder)));
            for folder in folders.iter().filter(|folder| folder.exists()) {
                let what = InstallError::io(folder.display().to_string());
                fs::remove_dir_all(folder).map_err(what)?;
            }
        }
        Ok(())
    }

    /// The folders of downloaded builds that an installation uses.
    fn own_folders(&self, one: &Installed) -> Vec<PathBuf> {
        let browsers = self.data.join("browsers");
        let own = one.manifest.browsers.iter();
        own.filter(|build| build.source == Source::Playwright)
            .filter_map(|build| {
                let inside = build.executable.as_ref()?.strip_prefix(&browsers).ok()?;
                Some(browsers.join(inside.components().next()?))
            })
            .collect()
    }

    fn root(&self) -> PathBuf {
        self.data.join("playwright")
    }

    async fn lock(&self, progress: &Progress<'_>) -> Result<File, InstallError> {
        fs::create_dir_all(self.root()).map_err(self.here())?;
        let lock = File::create(self.root().join(".lock")).map_err(self.here())?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(lock);
        }
        progress(Step::Waiting);
        let waited = tokio::task::spawn_blocking(move || {
            flock(&lock, FlockOperation::LockExclusive)?;
            io::Result::Ok(lock)
        });
        let waited = waited.await.map_err(io::Error::other).flatten();
        waited.map_err(self.here())
    }

    /// Removes what installations that were killed left. Under the lock.
    fn sweep(&self) {
        for entry in fs::read_dir(self.root()).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(HALF) {
                // What cannot be removed is in nobody's way.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn here(&self) -> impl FnOnce(io::Error) -> InstallError {
        InstallError::io(self.root().display().to_string())
    }
}

/// The builds of a kind that are worth trying: Playwright's own, then the system's.
fn builds(kind: BrowserKind, own: Option<PathBuf>, progress: &Progress<'_>) -> Vec<Build> {
    let system = system::browsers(kind).into_iter();
    let found: Vec<Build> = own
        .into_iter()
        .map(|path| (download::flavour(kind), path, Source::Playwright))
        .chain(system.map(|(flavour, path)| (flavour, path, Source::System)))
        .map(|(flavour, path, source)| Build {
            flavour,
            executable: Some(path),
            source,
            probe: Probe::default(),
        })
        .collect();
    if found.is_empty() {
        progress(Step::Missing(kind, missing(kind).to_owned()));
    }
    found
}

/// Playwright's own build, if it is here or can be fetched.
async fn own_build(
    kind: BrowserKind,
    request: &InstallRequest,
    downloads: &Downloads<'_>,
    progress: &Progress<'_>,
) -> Option<PathBuf> {
    let refuse = |why: String| progress(Step::NoDownload(kind, why));
    let Some(own) = downloads.find(kind).await else {
        refuse("Playwright has no build of it for this system".to_owned());
        return None;
    };
    if own.is_there() {
        return Some(own.path);
    }
    if request.system_only {
        refuse("only the machine's own browsers are asked for".to_owned());
        return None;
    }
    if !own.is_reachable().await {
        refuse(format!("{} cannot be reached from here", own.host()));
        return None;
    }
    progress(Step::Downloading(kind, 0));
    let percent = |percent| progress(Step::Downloading(kind, percent));
    match downloads.fetch(kind, &percent).await {
        Ok(()) if own.is_there() => Some(own.path),
        Ok(()) => None,
        Err(why) => {
            refuse(why);
            None
        }
    }
}

/// The ffmpeg that Playwright records videos with: its own, which comes with its browsers, else the
/// system's, linked to where Playwright looks.
async fn ffmpeg(downloads: &Downloads<'_>) -> Option<PathBuf> {
    let own = downloads.find_ffmpeg().await?.path;
    if own.is_file() {
        return Some(own);
    }
    let system = node::on_path("ffmpeg")?;
    fs::create_dir_all(own.parent()?).ok()?;
    // A link to a program that is gone may be there.
    let _ = fs::remove_file(&own);
    std::os::unix::fs::symlink(&system, own).ok()?;
    Some(system)
}

fn missing(kind: BrowserKind) -> &'static str {
    match kind {
        BrowserKind::Chromium => {
            "not available: there is none on this machine (`apt-get install chromium-headless-shell`)"
        }
        BrowserKind::Firefox => {
            "not available: there is none on this machine (`apt-get install firefox-esr`)"
        }
        BrowserKind::Webkit => {
            "not available: Playwright's own WebKit only comes from its download"
        }
    }
}

/// A folder that goes unless it is kept.
struct Half(PathBuf);

impl Half {
    fn create(root: &Path) -> Result<Self, InstallError> {
        let path = root.join(format!("{HALF}{}", std::process::id()));
        fs::create_dir_all(&path).map_err(InstallError::io(path.display().to_string()))?;
        Ok(Self(path))
    }

    /// Moves the folder to its place; one that is there already gives way.
    fn keep(self, place: &Path, mut done: Installed) -> Result<Installed, InstallError> {
        let io = || InstallError::io(place.display().to_string());
        if place.exists() {
            fs::rename(place, self.0.with_extension("old")).map_err(io())?;
        }
        fs::rename(&self.0, place).map_err(io())?;
        // What gave way: a later sweep finds it too.
        let _ = fs::remove_dir_all(self.0.with_extension("old"));
        done.dir = place.to_owned();
        Ok(done)
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // After `keep` there is nothing left to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}
