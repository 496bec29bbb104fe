//! Where something was measured.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::Command;

use serde::Serialize;

/// A machine and the versions of what ran on it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many processors there are.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// What was compared, and its version.
    pub versions: BTreeMap<String, String>,
}

// === impl Machine ===

impl Machine {
    /// This machine, with the versions of what is compared.
    pub fn here(versions: &[(&str, String)]) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: name.map_or("unknown", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            kernel: kernel.trim().to_owned(),
            versions: versions.iter().map(|(name, v)| ((*name).to_owned(), v.clone())).collect(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}, Linux {}", self.cores, self.cpu, self.kernel)?;
        self.versions.iter().try_for_each(|(name, version)| write!(f, ", {name} {version}"))
    }
}

/// The first number with dots that a program says of itself; it may say it on either stream.
pub fn version_of(program: &str, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let words = text.split(|c: char| c.is_whitespace() || c == '/');
    let is_version = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let mut words = words.map(|word| word.trim_start_matches('v'));
    let word = words.find(|word| is_version(word))?;
    Some(word.split(['-', '+']).next().unwrap_or(word).to_owned())
}
