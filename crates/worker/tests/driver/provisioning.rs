//! Installing Playwright versions, from folders that the test bed has.

use std::path::PathBuf;
use std::sync::Mutex;

use flotilla_core::BrowserKind;
use flotilla_testkit::folder::Folder;
use flotilla_testkit::wait::wait_for;
use flotilla_testkit::{bed, procs};
use flotilla_worker::driver::ExecShim;
use flotilla_worker::provision::{Catalogue, InstallError, InstallRequest, Installer, Step};

use super::bench::{CEILING, VERSION, minor};

/// An installer with a data directory of its own, which goes with it.
struct Fresh {
    installer: Installer,
    _root: Folder,
}

impl Fresh {
    fn new() -> Self {
        let root = Folder::new();
        let installer = Installer {
            data: root.join("data"),
            run_root: root.join("run"),
            shim: ExecShim::Setpriv,
        };
        Self { installer, _root: root }
    }

    /// What is in the folder of installations, but for its lock.
    fn folders(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.installer.data.join("playwright")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".lock").collect()
    }
}

fn request(version: Option<&str>, from: PathBuf, kinds: &[BrowserKind]) -> InstallRequest {
    InstallRequest {
        version: version.map(|text| text.parse().unwrap()),
        from: Some(from),
        kinds: kinds.to_vec(),
        system_only: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_serves_what_was_tried_and_can_be_removed() {
    let fresh = Fresh::new();
    let half = fresh.installer.data.join("playwright/.half-1");
    std::fs::create_dir_all(half.join("node_modules")).unwrap();
    let kinds = [BrowserKind::Chromium, BrowserKind::Webkit];
    let steps = Mutex::new(Vec::new());
    let tell = |step| steps.lock().unwrap().push(step);
    let asked = request(None, bed::npm(VERSION), &kinds);
    let installed = fresh.installer.install(&asked, &tell).await.unwrap();
    assert_eq!(installed.kinds(), [BrowserKind::Chromium]);
    assert_eq!(fresh.folders(), [VERSION], "what a killed installation left is gone");
    let steps = steps.into_inner().unwrap();
    let webkit = steps.iter().find_map(|step| match step {
        Step::Missing(BrowserKind::Webkit, why) => Some(why.as_str()),
        _ => None,
    });
    assert!(webkit.unwrap().contains("only comes from its download"));
    let catalogue = Catalogue::load(&fresh.installer.data).unwrap();
    let found = catalogue.get(minor(VERSION)).unwrap();
    assert_eq!(*found, installed);
    assert!(found.manifest.browsers[0].probe.browser_version.is_some());

    let full = [installed.manifest.full_version()];
    fresh.installer.remove(&full).await.unwrap();
    assert!(fresh.folders().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_here_is_not_fetched_again() {
    let fresh = Fresh::new();
    let none = request(Some(VERSION), bed::npm(VERSION), &[]);
    fresh.installer.install(&none, &|_| {}).await.unwrap();
    let gone = request(Some(VERSION), "/nonexistent".into(), &[]);
    let steps = Mutex::new(Vec::new());
    let tell = |step| steps.lock().unwrap().push(step);
    fresh.installer.install(&gone, &tell).await.unwrap();
    let present = Step::Present(VERSION.parse().unwrap());
    let steps = steps.into_inner().unwrap();
    assert_eq!(steps[0], present);
    let fetched = steps.iter().any(|step| matches!(step, Step::Fetching(_)));
    assert!(!fetched, "{steps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_what_was_asked_for_leaves_nothing() {
    let fresh = Fresh::new();
    let other = request(Some("1.60"), bed::npm(VERSION), &[]);
    let error = fresh.installer.install(&other, &|_| {}).await.unwrap_err();
    assert!(matches!(error, InstallError::OtherVersion { .. }), "{error}");
    assert!(error.to_string().ends_with("holds Playwright 1.64.1, not 1.60"), "{error}");
    let none = request(None, "/nonexistent".into(), &[]);
    let error = fresh.installer.install(&none, &|_| {}).await.unwrap_err();
    assert!(matches!(error, InstallError::NotPlaywright { .. }), "{error}");
    assert!(fresh.folders().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_is_killed_from_outside_changes_nothing() {
    let fresh = Fresh::new();
    let none = request(None, bed::npm(VERSION), &[]);
    let before = fresh.installer.install(&none, &|_| {}).await.unwrap();
    let run_root = fresh.installer.run_root.display().to_string();
    let killer = std::thread::spawn(move || {
        wait_for("the driver", CEILING, || procs::mentioning(&run_root).pop_first())
    });
    let killer = Mutex::new(Some(killer));
    let tell = |step| {
        if let Step::Trying(_) = step {
            let killer = killer.lock().unwrap().take();
            std::thread::spawn(move || procs::kill(killer.unwrap().join().unwrap().pid));
        }
    };
    let chromium = request(Some(VERSION), bed::npm(VERSION), &[BrowserKind::Chromium]);
    let error = fresh.installer.install(&chromium, &tell).await.unwrap_err();
    assert!(matches!(error, InstallError::Trial(_)), "{error}");
    let after = Catalogue::installations(&fresh.installer.data).unwrap();
    assert_eq!(after, [before]);
}

#[tokio::test(flavor = "multi_thread")]
async fn installations_wait_for_each_other() {
    let fresh = Fresh::new();
    let root = fresh.installer.data.join("playwright");
    std::fs::create_dir_all(&root).unwrap();
    let lock = std::fs::File::create(root.join(".lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let lock = Mutex::new(Some(lock));
    let waited = Mutex::new(false);
    // The other installation ends when this one says that it waits.
    let tell = |step| {
        if step == Step::Waiting {
            *waited.lock().unwrap() = true;
            lock.lock().unwrap().take();
        }
    };
    let asked = request(None, bed::npm(VERSION), &[]);
    fresh.installer.install(&asked, &tell).await.unwrap();
    assert!(*waited.lock().unwrap());
    assert_eq!(fresh.folders(), [VERSION]);
}
