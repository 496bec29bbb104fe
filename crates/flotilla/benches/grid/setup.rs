//! What every series starts from: one Playwright, one browser, for both sides.

use std::path::PathBuf;

use anyhow::Context as _;
use flotilla_testkit::bed;
use flotilla_testkit::grid::{Grid, GridBuilder};

/// The Playwright of both sides.
pub(crate) const PLAYWRIGHT: &str = "1.65.1";

/// How, and with what, to measure.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The folder of playwright-core.
    pub(crate) playwright: PathBuf,
    /// The browser that the grid launches, for those who launch it themselves.
    pub(crate) executable: String,
    /// A few rounds only, to see that it works.
    pub(crate) quick: bool,
}

impl Setup {
    pub(crate) fn new(quick: bool) -> anyhow::Result<Self> {
        let installed = bed::data().join("playwright").join(PLAYWRIGHT).join("flotilla.json");
        let text = std::fs::read_to_string(&installed)
            .with_context(|| format!("cannot read {}", installed.display()))?;
        let installed: serde_json::Value = serde_json::from_str(&text)?;
        Ok(Self {
            playwright: bed::npm(PLAYWRIGHT).join("node_modules/playwright-core"),
            executable: installed["browsers"][0]["executable"]
                .as_str()
                .context("no browser is installed for the Playwright to measure")?
                .to_owned(),
            quick,
        })
    }

    /// So many rounds, or few.
    pub(crate) fn rounds(&self, full: usize) -> usize {
        if self.quick { full.min(3) } else { full }
    }

    /// The grid, serving what the other side serves.
    pub(crate) fn grid(&self) -> GridBuilder {
        Grid::of(env!("CARGO_BIN_EXE_flotilla"))
    }
}
