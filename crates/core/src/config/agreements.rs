//! What must hold between settings besides the timing rules.

use std::net::IpAddr;

use super::Config;
use super::error::Violation;
use super::read::{Entry, Origin};
use super::rules::entry;

/// Lets defaults follow what was set: a grid that serves only Firefox has Firefox as its default.
pub(super) fn follow(config: &mut Config, entries: &mut [Entry]) {
    let browsers = &mut config.browsers;
    let Some(first) = browsers.browsers.first().copied() else {
        return;
    };
    let row = entries.iter_mut().find(|entry| entry.setting.key == "default_browser");
    if let Some(row) = row
        && row.origin == Origin::Default
        && !browsers.browsers.contains(&browsers.default_browser)
    {
        browsers.default_browser = first;
        row.value = first.to_string();
        row.toml = format!("{:?}", first.as_str());
    }
}

/// Says what does not go together.
pub(super) fn check(config: &Config, entries: &[Entry]) -> Vec<Violation> {
    let said = |key| entry(entries, key).map(ToString::to_string).unwrap_or_default();
    let mut violations = Vec::new();
    let mut violation = |keys: &[&'static str], message| {
        violations.push(Violation { keys: keys.to_vec(), message });
    };
    if !is_loopback(&config.listen.host) && !config.listen.allow_anyone {
        violation(
            &["host", "allow_anyone"],
            format!(
                "{}, which other machines can reach, and there are no API keys: whoever reaches \
                 this grid could drive its browsers, and through them what this machine reaches. \
                 Listen on 127.0.0.1, or say --allow-anyone where that is what you want",
                said("host")
            ),
        );
    }
    let browsers = &config.browsers;
    if !browsers.browsers.is_empty() && !browsers.browsers.contains(&browsers.default_browser) {
        violation(
            &["default_browser", "browsers"],
            format!(
                "{}, but {}: make the default one of the browsers that are served",
                said("default_browser"),
                said("browsers")
            ),
        );
    }
    if let Some(version) = browsers.default_version
        && !browsers.versions.is_empty()
        && !browsers.versions.contains(&version)
    {
        violation(
            &["default_version", "versions"],
            format!(
                "{}, but {}: make the default one of the versions that are served",
                said("default_version"),
                said("versions")
            ),
        );
    }
    violations
}

/// Whether only this machine can connect. Names other than `localhost` may be anything.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
