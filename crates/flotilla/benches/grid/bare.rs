//! What the grid stands in for: one browser behind `launchServer`.

use std::io::{BufRead, BufReader};
use std::process::Child;

use anyhow::{Context as _, ensure};
use flotilla_testkit::wait::wait_until;

use crate::client::program;
use crate::cpu::GONE;
use crate::setup::Setup;

/// A running server. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Bare {
    child: Child,
    endpoint: String,
}

impl Bare {
    pub(crate) fn start(setup: &Setup) -> anyhow::Result<Self> {
        let mut child = program(setup, "server.mjs").spawn()?;
        let mut endpoint = String::new();
        BufReader::new(child.stdout.take().context("stdout is piped")?).read_line(&mut endpoint)?;
        ensure!(!endpoint.is_empty(), "launchServer did not start");
        Ok(Self { child, endpoint: endpoint.trim_end().to_owned() })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The endpoint's `HOST:PORT`.
    pub(crate) fn address(&self) -> anyhow::Result<&str> {
        self.endpoint.split('/').nth(2).context("the endpoint is an address")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It closes its browser when its stdin ends.
        drop(self.child.stdin.take());
        let child = &mut self.child;
        wait_until("launchServer to end", GONE, || !matches!(child.try_wait(), Ok(None)));
    }
}
