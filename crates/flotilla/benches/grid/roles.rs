//! Parts of a measurement that run as processes of their own: this program, in another role.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, ensure};

/// The first argument of a process that plays a role.
pub(crate) const FLAG: &str = "--role";

/// A process in a role. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Role {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Role {
    /// Starts it. It ends with its stdin, so that none is left however this process ends.
    pub(crate) fn start(args: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(FLAG)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        Ok(Self { child, stdout })
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "a process in a role has ended");
        Ok(line.trim_end().to_owned())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a role: says something to who started it.
pub(crate) fn tell(line: impl std::fmt::Display) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// In a role: ends the process as soon as nobody needs it any more.
pub(crate) async fn until_unneeded() {
    let read = || std::io::stdin().read_to_end(&mut Vec::new());
    // However reading ends, nobody is there.
    let _ = tokio::task::spawn_blocking(read).await;
}
