//! Parts of the measurement that are processes of their own: this program, in another role. They
//! take orders on stdin and answer each with a line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, ensure};
use flotilla_testkit::meter;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

/// The first argument of a process that plays a part.
pub(crate) const FLAG: &str = "--part";

/// A process that plays a part. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Part {
    name: &'static str,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

// === impl Part ===

impl Part {
    /// Starts it, and tells it what it must know. It ends with its stdin, so that none is left
    /// however this process ends.
    pub(crate) fn start(name: &'static str, setup: &impl Serialize) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([FLAG, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let mut part = Self { name, child, stdin, stdout };
        part.say(setup)?;
        Ok(part)
    }

    /// Has something done, and waits for the answer.
    pub(crate) fn ask<A: DeserializeOwned>(&mut self, order: &impl Serialize) -> anyhow::Result<A> {
        self.say(order)?;
        self.answer()
    }

    /// Its next answer.
    pub(crate) fn answer<A: DeserializeOwned>(&mut self) -> anyhow::Result<A> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the process of the {} has ended", self.name);
        serde_json::from_str(&line).with_context(|| format!("the {} said: {line}", self.name))
    }

    fn say(&mut self, what: &impl Serialize) -> anyhow::Result<()> {
        writeln!(self.stdin, "{}", serde_json::to_string(what)?)?;
        Ok(self.stdin.flush()?)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a part: the orders that come.
#[derive(Debug)]
pub(crate) struct Orders(mpsc::UnboundedReceiver<String>);

// === impl Orders ===

impl Orders {
    /// Reads them from now on.
    pub(crate) fn read() -> anyhow::Result<Self> {
        meter::allow_many_files()?;
        let (tell, told) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let lines = std::io::stdin().lines().map_while(Result::ok);
            // Nobody listens when the part is over.
            lines.for_each(|line| drop(tell.send(line)));
        });
        Ok(Self(told))
    }

    /// The next; `None` when nobody needs this part any more.
    pub(crate) async fn next<O: DeserializeOwned>(&mut self) -> anyhow::Result<Option<O>> {
        match self.0.recv().await {
            Some(line) => Ok(Some(serde_json::from_str(&line)?)),
            None => Ok(None),
        }
    }
}

/// In a part: answers an order.
pub(crate) fn answer(what: &impl Serialize) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", serde_json::to_string(what)?)?;
    Ok(stdout.flush()?)
}
