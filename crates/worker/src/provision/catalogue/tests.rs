//! Catalogues on disk, whole and spoiled.

use super::*;
use crate::provision::{Probe, Source};

fn build(flavour: Flavour, error: Option<&str>) -> Build {
    Build {
        flavour,
        executable: Some("/bin/true".into()),
        source: Source::System,
        probe: Probe { error: error.map(str::to_owned), ..Probe::default() },
    }
}

struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("flt-cat-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn add(&self, version: &str, browsers: Vec<Build>) {
        let dir = self.0.join("playwright").join(version);
        fs::create_dir_all(&dir).unwrap();
        let manifest =
            Manifest { playwright: version.parse().unwrap(), from: "npm".into(), browsers };
        manifest.write(&dir).unwrap();
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn only_what_was_proved_is_served_and_the_newest_patch_wins() {
    let data = Data::new("served");
    let shell = || build(Flavour::HeadlessShell, None);
    data.add("1.64.0", vec![shell()]);
    data.add("1.64.1", vec![shell(), build(Flavour::MozFirefox, None)]);
    data.add("1.65.1", vec![shell(), build(Flavour::MozFirefox, Some("newContext"))]);
    data.add("1.66.0", vec![build(Flavour::HeadlessShell, Some("no"))]);
    fs::create_dir_all(data.0.join("playwright/1.63.0/node_modules")).unwrap();
    fs::create_dir_all(data.0.join("playwright/.half-1.62.1")).unwrap();
    let catalogue = Catalogue::load(&data.0).unwrap();
    let v = |minor| PlaywrightVersion { major: 1, minor };
    let both = vec![BrowserKind::Chromium, BrowserKind::Firefox];
    let served = [(v(64), both), (v(65), vec![BrowserKind::Chromium])];
    assert_eq!(catalogue.serves(), served.into());
    assert!(catalogue.get(v(64)).unwrap().dir.ends_with("1.64.1"));
    assert_eq!(catalogue.default_version(BrowserKind::Chromium), Some(v(65)));
    assert_eq!(catalogue.default_version(BrowserKind::Firefox), Some(v(64)));
}

#[test]
fn nothing_installed_is_an_empty_catalogue() {
    let catalogue = Catalogue::load(Path::new("/nonexistent/flotilla")).unwrap();
    assert!(catalogue.is_empty());
    assert_eq!(catalogue.default_version(BrowserKind::Chromium), None);
}

#[test]
fn what_is_not_wanted_is_not_served() {
    let data = Data::new("restrict");
    data.add("1.64.1", vec![build(Flavour::HeadlessShell, None), build(Flavour::MozFirefox, None)]);
    data.add("1.65.1", vec![build(Flavour::HeadlessShell, None)]);
    let mut catalogue = Catalogue::load(&data.0).unwrap();
    catalogue.restrict(&[BrowserKind::Firefox], &[]);
    let v64 = PlaywrightVersion { major: 1, minor: 64 };
    assert_eq!(catalogue.serves(), [(v64, vec![BrowserKind::Firefox])].into());
    catalogue.restrict(&[], &[PlaywrightVersion { major: 1, minor: 65 }]);
    assert!(catalogue.is_empty());
}
