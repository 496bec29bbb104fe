//! The programs that make networks: `ip`, `nft` and `tc`. And a namespace, gone with its value.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::NotExercised;

/// Where `ip netns` keeps its namespaces.
pub(super) const NAMESPACES: &str = "/run/netns";

/// A host's interface, by its name there.
pub(super) const INTERFACE: &str = "eth0";

/// A network namespace with a loopback.
#[derive(Debug)]
pub(super) struct Namespace(String);

// === impl Namespace ===

impl Namespace {
    pub(super) fn new(name: String) -> Result<Self, NotExercised> {
        ip(&["netns", "add", &name])?;
        let namespace = Self(name);
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    pub(super) fn path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.0)
    }

    pub(super) fn ip(&self, args: &[&str]) -> Result<(), NotExercised> {
        ip(&[&["-n", &self.0], args].concat())
    }

    /// Has nft do what the script says, all of it or nothing.
    pub(super) fn nft(&self, script: &str) -> Result<String, NotExercised> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).args(["--", "nft", "-f", "-"]);
        run(command, script)
    }

    pub(super) fn delay(&self, delay: Duration) -> Result<(), NotExercised> {
        let micros = format!("{}us", delay.as_micros());
        let netem = ["qdisc", "replace", "dev", INTERFACE, "root", "netem", "delay", &micros];
        self.tc(&netem)
    }

    /// Nothing to do, and nothing to say, when nothing is delayed.
    pub(super) fn remove_delay(&self) {
        let _ = self.tc(&["qdisc", "del", "dev", INTERFACE, "root"]);
    }

    fn tc(&self, args: &[&str]) -> Result<(), NotExercised> {
        let mut command = Command::new("tc");
        command.args(["-n", &self.0]).args(args);
        run(command, "").map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.0]);
    }
}

pub(super) fn ip(args: &[&str]) -> Result<(), NotExercised> {
    let mut command = Command::new("ip");
    command.args(args);
    run(command, "").map(drop)
}

/// What the program prints.
fn run(mut command: Command, input: &str) -> Result<String, NotExercised> {
    let line = line_of(&command);
    let output = output(&mut command, input)
        .map_err(|e| NotExercised(format!("`{line}` cannot be run: {e}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(NotExercised(format!("`{line}` failed: {}", words.trim())))
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn output(command: &mut Command, input: &str) -> std::io::Result<Output> {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever ends without reading has said why on stderr.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}
