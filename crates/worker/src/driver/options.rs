//! From what is asked of a browser to a program on this machine and Playwright's launch options.

use std::collections::BTreeMap;

use flotilla_core::BrowserKind;
use flotilla_core::launcher::{LaunchError, LaunchSpec};
use serde_json::{Value, json};

use crate::provision::{Build, Flavour, Installed};

/// What is the same for every launch on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    /// Browsers without a window, unless a session asks otherwise.
    pub(super) headless: bool,
    /// The kernel lets an ordinary user make the namespaces of Chromium's sandbox.
    pub(super) sandbox: bool,
    /// There is a display for browsers with a window.
    pub(super) display: bool,
}

impl Surroundings {
    pub(super) fn here(headless: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self {
            headless,
            sandbox: sandbox_works(),
            display: set("DISPLAY") || set("WAYLAND_DISPLAY"),
        }
    }
}

/// Chromium refuses its sandbox to root, and needs user namespaces for everybody else.
fn sandbox_works() -> bool {
    let setting = |path: &str| std::fs::read_to_string(path).ok();
    let is = |path: &str, value: &str| setting(path).is_some_and(|text| text.trim() == value);
    !(rustix::process::geteuid().is_root()
        || is("/proc/sys/user/max_user_namespaces", "0")
        || is("/proc/sys/kernel/unprivileged_userns_clone", "0")
        || is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"))
}

/// The build to start and the options for Playwright, but for the executable's path.
pub(super) fn plan<'a>(
    installed: &'a Installed,
    spec: &LaunchSpec,
    around: Surroundings,
) -> Result<(&'a Build, BTreeMap<String, Value>), LaunchError> {
    let mut options = spec.options.clone();
    if options.remove("executablePath").is_some() {
        return Err(failed(
            "executablePath is not for a session to choose: the programs are the worker's".into(),
        ));
    }
    let channel = match options.remove("channel") {
        Some(Value::String(channel)) => Some(channel),
        _ => None,
    };
    let headless = match options.get("headless") {
        Some(Value::Bool(headless)) => *headless,
        _ => around.headless,
    };
    if !headless && !around.display {
        return Err(failed(
            "headless: false needs a display, and this worker has none: leave headless as it is, \
             or start the worker under xvfb-run"
                .into(),
        ));
    }
    let build = choose(installed, spec, channel.as_deref(), headless)?;
    options.insert("headless".into(), json!(headless));
    if let Some(channel) = build.flavour.channel() {
        options.insert("channel".into(), json!(channel));
    }
    if spec.kind == BrowserKind::Chromium {
        let sandbox = options.entry("chromiumSandbox".into());
        sandbox.or_insert(json!(around.sandbox));
    }
    Ok((build, options))
}

fn choose<'a>(
    installed: &'a Installed,
    spec: &LaunchSpec,
    channel: Option<&str>,
    headless: bool,
) -> Result<&'a Build, LaunchError> {
    let builds: Vec<&Build> = installed.builds(spec.kind).collect();
    if builds.is_empty() {
        return Err(LaunchError::NotInstalled { kind: spec.kind, version: spec.version });
    }
    let fitting = fitting(spec.kind, channel, headless);
    let found =
        fitting.iter().find_map(|&flavour| builds.iter().find(|build| build.flavour == flavour));
    found.copied().ok_or_else(|| {
        let there: Vec<&str> = builds.iter().map(|build| build.flavour.as_str()).collect();
        let asked = match channel {
            Some(channel) => format!("the channel {channel:?}"),
            None => "headless: false".to_owned(),
        };
        failed(format!(
            "{asked} needs a {} that this worker does not have for Playwright {}: it has {}. Leave \
             the option out, or install that browser on the worker and run \
             `flotilla browsers install {}` there",
            spec.kind,
            spec.version,
            there.join(", "),
            spec.version,
        ))
    })
}

/// The flavours that can serve a request, the best first.
fn fitting(kind: BrowserKind, channel: Option<&str>, headless: bool) -> &'static [Flavour] {
    use Flavour::{Chrome, Chromium, Firefox, HeadlessShell, MozFirefox, Webkit};
    match (kind, channel) {
        (BrowserKind::Chromium, None) if headless => &[HeadlessShell, Chromium, Chrome],
        (BrowserKind::Chromium, None | Some("chromium")) => &[Chromium, Chrome],
        (BrowserKind::Chromium, Some("chromium-headless-shell")) if headless => &[HeadlessShell],
        (BrowserKind::Chromium, Some("chrome")) => &[Chrome],
        (BrowserKind::Firefox, None) => &[Firefox, MozFirefox],
        (BrowserKind::Firefox, Some("firefox")) => &[Firefox],
        (BrowserKind::Firefox, Some("moz-firefox")) => &[MozFirefox],
        (BrowserKind::Webkit, None | Some("webkit")) => &[Webkit],
        _ => &[],
    }
}

fn failed(words: String) -> LaunchError {
    LaunchError::Failed(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::{Manifest, Probe, Source};
    use flotilla_core::launcher::BrowserId;

    const AROUND: Surroundings = Surroundings { headless: true, sandbox: true, display: true };

    fn installed(flavours: &[Flavour]) -> Installed {
        let build = |&flavour| Build {
            flavour,
            executable: Some("/bin/true".into()),
            source: Source::System,
            probe: Probe::default(),
        };
        Installed {
            dir: "/data".into(),
            manifest: Manifest {
                playwright: "1.64.1".parse().unwrap(),
                from: "npm".into(),
                browsers: flavours.iter().map(build).collect(),
            },
        }
    }

    fn spec(kind: BrowserKind, options: Value) -> LaunchSpec {
        LaunchSpec {
            browser: BrowserId("b".into()),
            kind,
            version: "1.64".parse().unwrap(),
            options: serde_json::from_value(options).unwrap(),
            expose_network: None,
        }
    }

    #[test]
    fn the_plain_launch_takes_the_fastest_browser_with_its_sandbox() {
        let there = installed(&[Flavour::Chromium, Flavour::HeadlessShell]);
        let asked = spec(BrowserKind::Chromium, json!({}));
        let (build, options) = plan(&there, &asked, AROUND).unwrap();
        assert_eq!(build.flavour, Flavour::HeadlessShell);
        let expected = [("headless", json!(true)), ("chromiumSandbox", json!(true))];
        assert_eq!(options, expected.map(|(k, v)| (k.to_owned(), v)).into());
    }

    #[test]
    fn a_sessions_own_options_win() {
        let there = installed(&[Flavour::Chromium, Flavour::HeadlessShell]);
        let own = json!({"headless": false, "slowMo": 50, "chromiumSandbox": false});
        let asked = spec(BrowserKind::Chromium, own.clone());
        let (build, options) = plan(&there, &asked, AROUND).unwrap();
        assert_eq!(build.flavour, Flavour::Chromium);
        assert_eq!(json!(options), own);
    }

    #[test]
    fn a_systems_firefox_is_driven_by_its_channel() {
        let there = installed(&[Flavour::MozFirefox]);
        let asked = spec(BrowserKind::Firefox, json!({}));
        let (_, options) = plan(&there, &asked, AROUND).unwrap();
        assert_eq!(options["channel"], json!("moz-firefox"));
        assert!(!options.contains_key("chromiumSandbox"));
    }

    #[test]
    fn what_cannot_be_had_is_refused_in_words() {
        let there = installed(&[Flavour::HeadlessShell]);
        let why =
            |kind, options| plan(&there, &spec(kind, options), AROUND).unwrap_err().to_string();
        let chrome = why(BrowserKind::Chromium, json!({"channel": "chrome"}));
        assert!(chrome.contains("\"chrome\" needs a chromium that this worker does not have"));
        assert!(chrome.contains("it has headless-shell"), "{chrome}");
        let headed = why(BrowserKind::Chromium, json!({"headless": false}));
        assert!(headed.starts_with("headless: false needs"), "{headed}");
        let firefox = why(BrowserKind::Firefox, json!({}));
        assert_eq!(firefox, "firefox for Playwright 1.64 is not installed on this worker");
        let path = why(BrowserKind::Chromium, json!({"executablePath": "/bin/sh"}));
        assert!(path.contains("not for a session to choose"), "{path}");
    }

    #[test]
    fn a_window_needs_a_display() {
        let there = installed(&[Flavour::Chromium]);
        let asked = spec(BrowserKind::Chromium, json!({"headless": false}));
        let blind = Surroundings { display: false, ..AROUND };
        let why = plan(&there, &asked, blind).unwrap_err().to_string();
        assert!(why.contains("xvfb-run"), "{why}");
    }
}
