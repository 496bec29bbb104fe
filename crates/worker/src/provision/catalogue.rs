//! What this worker can serve, as it lies on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use flotilla_core::{BrowserKind, PlaywrightVersion};

use super::manifest::{Build, Flavour, Manifest};
use super::node::{self, NodeError};

/// The Playwrights under a data directory and the browsers that were proved to work with each.
/// Loading it starts no process: what was proved is in the manifests.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    data: PathBuf,
    installed: BTreeMap<PlaywrightVersion, Installed>,
}

/// One Playwright on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Installed {
    /// The folder `<data>/playwright/<full version>`.
    pub dir: PathBuf,
    /// What its manifest says.
    pub manifest: Manifest,
}

impl Installed {
    /// The folder of its playwright-core.
    pub fn core_dir(&self) -> PathBuf {
        self.dir.join("node_modules/playwright-core")
    }

    /// The builds of a kind that were proved, in the order in which they are preferred.
    pub fn builds(&self, kind: BrowserKind) -> impl Iterator<Item = &Build> {
        let served = self.manifest.browsers.iter();
        served.filter(move |build| build.flavour.kind() == kind && build.works())
    }

    /// The kinds that are served with it.
    pub fn kinds(&self) -> Vec<BrowserKind> {
        let all = BrowserKind::ALL.into_iter();
        all.filter(|&kind| self.builds(kind).next().is_some()).collect()
    }
}

impl Catalogue {
    /// Reads the manifests under `data`. Of two patch versions of one minor the newest is served.
    /// A folder without a readable manifest is no installation: it is named in the log and left.
    pub fn load(data: &Path) -> io::Result<Self> {
        let mut installed = BTreeMap::new();
        // Ascending, so that the newest patch version of a minor is the one that stays.
        for one in installations(data)? {
            if !one.kinds().is_empty() {
                installed.insert(one.manifest.version(), one);
            }
        }
        Ok(Self { data: data.to_owned(), installed })
    }

    /// Every installation under `data`, served or not, the oldest first.
    pub fn installations(data: &Path) -> io::Result<Vec<Installed>> {
        installations(data)
    }

    /// A catalogue that serves nothing.
    pub fn empty(data: &Path) -> Self {
        Self { data: data.to_owned(), installed: BTreeMap::new() }
    }

    /// The data directory that was read.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The folder of Playwright's own downloads.
    pub fn browsers_dir(&self) -> PathBuf {
        self.data.join("browsers")
    }

    /// The Node that runs the drivers.
    ///
    /// # Errors
    /// When there is none; the error says where was looked.
    pub fn node(&self) -> Result<PathBuf, NodeError> {
        node::find(&self.data)
    }

    /// What is served: every version with its kinds, the oldest first.
    pub fn serves(&self) -> BTreeMap<PlaywrightVersion, Vec<BrowserKind>> {
        let all = self.installed.iter();
        all.map(|(&version, one)| (version, one.kinds())).collect()
    }

    /// The Playwright of a version, if any browser is served with it.
    pub fn get(&self, version: PlaywrightVersion) -> Option<&Installed> {
        self.installed.get(&version)
    }

    /// True when nothing is served.
    pub fn is_empty(&self) -> bool {
        self.installed.is_empty()
    }

    /// The version for clients that name none: the newest that has the default browser, else the
    /// newest of all.
    pub fn default_version(&self, browser: BrowserKind) -> Option<PlaywrightVersion> {
        let has_it = |one: &&Installed| one.kinds().contains(&browser);
        let mut newest_first = self.installed.values().rev();
        let best = newest_first.clone().find(has_it);
        best.or_else(|| newest_first.next()).map(|one| one.manifest.version())
    }

    /// Serves only these kinds and versions; an empty list means all.
    pub fn restrict(&mut self, kinds: &[BrowserKind], versions: &[PlaywrightVersion]) {
        self.installed.retain(|version, one| {
            let wanted = |flavour: Flavour| kinds.is_empty() || kinds.contains(&flavour.kind());
            one.manifest.browsers.retain(|build| wanted(build.flavour));
            (versions.is_empty() || versions.contains(version)) && !one.kinds().is_empty()
        });
    }
}

pub(super) fn installations(data: &Path) -> io::Result<Vec<Installed>> {
    let entries = match fs::read_dir(data.join("playwright")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found: Vec<Installed> = entries
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .filter_map(|entry| read(entry.path()))
        .collect();
    found.sort_by_key(|one| one.manifest.full_version());
    Ok(found)
}

fn read(dir: PathBuf) -> Option<Installed> {
    match Manifest::read(&dir) {
        Ok(manifest) => Some(Installed { dir, manifest }),
        Err(error) => {
            tracing::warn!(path = %dir.display(), %error, "not an installation of Playwright");
            None
        }
    }
}

#[cfg(test)]
mod tests;
