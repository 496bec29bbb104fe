//! What drivers and browsers see of this process's environment: what programs need to find their
//! files, fonts, display and proxies. The grid's own settings, keys and passwords stay here.

use std::path::Path;

use tokio::process::Command;

const NAMES: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LANGUAGE",
    "TZ",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "LD_LIBRARY_PATH",
    "DEBUG",
    "NODE_OPTIONS",
    "NODE_EXTRA_CA_CERTS",
];

const PREFIXES: [&str; 7] =
    ["LC_", "XDG_", "FONTCONFIG_", "SSL_CERT_", "MOZ_", "LIBGL_", "PLAYWRIGHT_"];

const PROXIES: [&str; 4] = ["http_proxy", "https_proxy", "no_proxy", "all_proxy"];

/// Leaves only what is named here. The folder `run` is the working directory, so that core files
/// and the like go with the run.
pub(super) fn clean(command: &mut Command, run: &Path) {
    command.env_clear().current_dir(run);
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed)));
}

fn is_passed(name: &str) -> bool {
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || PROXIES.contains(&name.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_settings_are_not_passed_on() {
        for name in ["PATH", "LC_ALL", "HTTPS_PROXY", "MOZ_LOG"] {
            assert!(is_passed(name), "{name}");
        }
        for name in ["REDIS_URL", "FLOTILLA_KEYS", "PORT", "AWS_SECRET_ACCESS_KEY"] {
            assert!(!is_passed(name), "{name}");
        }
    }
}
