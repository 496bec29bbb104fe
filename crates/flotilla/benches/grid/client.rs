//! The Playwright client: one Node process for each series.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail};
use flotilla_testkit::bed;
use serde_json::{Value, json};

use crate::setup::Setup;

/// A client that does what it is told, one thing after the other. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    stdin: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A program of the benchmarks.
pub(crate) fn program(setup: &Setup, file: &str) -> Command {
    let mut command = Command::new("node");
    command
        .arg(bed::workspace().join("tests/bench").join(file))
        .arg("--playwright")
        .arg(&setup.playwright)
        .args(["--executable", &setup.executable])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

impl Client {
    /// A client of that endpoint.
    pub(crate) fn new(setup: &Setup, endpoint: &str) -> anyhow::Result<Self> {
        let mut child = program(setup, "client.mjs").args(["--endpoint", endpoint]).spawn()?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let answers = BufReader::new(child.stdout.take().context("stdout is piped")?);
        Ok(Self { child, stdin, answers })
    }

    /// Has it do something, without waiting for the answer.
    pub(crate) fn tell(&mut self, order: &Value) -> anyhow::Result<()> {
        writeln!(self.stdin, "{order}").context("the client has ended")
    }

    /// What came of the oldest thing that it was told.
    pub(crate) fn answer(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let mut answer: Value = serde_json::from_str(&line).context("the client has ended")?;
        if let Some(error) = answer["error"].as_str() {
            bail!("the client failed: {error}");
        }
        Ok(answer["value"].take())
    }

    pub(crate) fn ask(&mut self, order: &Value) -> anyhow::Result<Value> {
        self.tell(order)?;
        self.answer()
    }

    /// How many milliseconds each of so many took.
    pub(crate) fn times(&mut self, what: &str, times: usize) -> anyhow::Result<Vec<f64>> {
        let took = self.ask(&json!({"do": what, "times": times}))?;
        Ok(serde_json::from_value(took)?)
    }

    /// How many milliseconds it took once, with that query behind the endpoint.
    pub(crate) fn once(&mut self, what: &str, query: &str) -> anyhow::Result<f64> {
        let took = self.ask(&json!({"do": what, "query": query}))?;
        took[0].as_f64().context("the client measured nothing")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
