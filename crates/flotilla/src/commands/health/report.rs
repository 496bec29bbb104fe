//! What a health check found out.

use serde::Serialize;

use crate::probe::ProbeReport;

/// What it amounts to. The guide's script always exited with 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything that was checked works.
    Healthy,
    /// Something does not.
    Degraded,
    /// Nobody gets a browser.
    Down,
    /// Not known.
    CouldNotCheck,
}

impl Outcome {
    /// The command's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded => 1,
            Self::Down => 2,
            Self::CouldNotCheck => 3,
        }
    }
}

/// Whether something answered as it should.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reply {
    /// Whether it did.
    pub ok: bool,
    /// How long it took.
    pub ms: f64,
    /// What it said instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Who is there to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Workers {
    /// All that the registry knows.
    pub registered: usize,
    /// Those that take sessions.
    pub available: usize,
}

/// Everything that a health check found out.
#[derive(Clone, Debug, Serialize)]
pub struct HealthReport {
    /// What it amounts to.
    pub outcome: Outcome,
    /// The command's exit code for it.
    pub exit_code: u8,
    /// The grid that was checked.
    pub endpoint: String,
    /// Whether the process answers at all.
    pub live: Option<Reply>,
    /// Whether it takes clients.
    pub ready: Option<Reply>,
    /// Redis; absent when the grid does not use it, or did not say.
    pub redis: Option<Reply>,
    /// Who is there to serve; absent when the grid did not say.
    pub workers: Option<Workers>,
    /// One session for every browser and version.
    pub probes: Vec<ProbeReport>,
    /// What is wrong, one line each, in the order in which it was found.
    pub problems: Vec<String>,
}

impl HealthReport {
    pub(super) fn new(endpoint: String) -> Self {
        Self {
            outcome: Outcome::CouldNotCheck,
            exit_code: Outcome::CouldNotCheck.exit_code(),
            endpoint,
            live: None,
            ready: None,
            redis: None,
            workers: None,
            probes: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn concluded(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self.exit_code = outcome.exit_code();
        self
    }
}
