//! What every command has in common that asks a grid as its operator.

use std::time::Duration;

use flotilla_core::status::WorkerStatus;

use super::{duration, named};
use crate::operator::{Operator, OperatorError, Settings};

/// Something is not as it should be.
pub(super) const BAD: u8 = 1;
/// The command could not be run.
pub(super) const COULD_NOT_RUN: u8 = 2;

/// What is said of exit codes where there is nothing more to say.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  some of it could not be done, or some worker did not answer
  2  the grid could not be asked

Any gateway of a fleet can be asked. Where the grid has a fleet secret, FLOTILLA_FLEET_SECRET or
FLOTILLA_FLEET_SECRET_FILE must be set to it here too; a grid without one is operated from its own
machine only.";

/// Which grid, and how to show what it says.
#[derive(Clone, Debug, clap::Args)]
pub struct GridArgs {
    /// The grid to ask [default: the one that FLOTILLA_HOST and PORT name]
    #[arg(long, value_name = "URL", env = "FLOTILLA_ENDPOINT", hide_env_values = true)]
    pub endpoint: Option<String>,
    /// How long to wait for each answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl GridArgs {
    /// The grid that is meant.
    ///
    /// # Errors
    /// When its address is none.
    pub(super) fn operator(&self, settings: &Settings) -> anyhow::Result<Operator> {
        let endpoint = named(&self.endpoint).unwrap_or(&settings.endpoint);
        let keyring = settings.keyring.clone();
        Ok(Operator::new(endpoint.parse()?, keyring, self.timeout))
    }
}

/// The grid itself did not answer as it should.
pub(super) fn could_not(operator: &Operator, error: OperatorError) -> anyhow::Error {
    let endpoint = operator.endpoint();
    match error {
        OperatorError::Refused { .. } => anyhow::anyhow!("the grid at {endpoint} refused: {error}"),
        error => anyhow::anyhow!("the grid at {endpoint} could not be asked: {error}"),
    }
}

/// Who is asked: what the person wrote, or everybody that fits.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Targets {
    /// The workers, by name
    #[arg(value_name = "WORKER")]
    pub workers: Vec<String>,
    /// Every worker
    #[arg(long)]
    pub all: bool,
    /// Every worker that serves this browser
    #[arg(long, value_name = "BROWSER")]
    pub browser: Option<flotilla_core::BrowserKind>,
}

impl Targets {
    /// The names of those that are meant, each once.
    pub(super) fn names(&self, known: &[WorkerStatus]) -> Vec<String> {
        if !self.workers.is_empty() {
            let mut names: Vec<String> = Vec::new();
            for name in &self.workers {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            return names;
        }
        let fits = |worker: &&WorkerStatus| {
            self.browser.is_none_or(|kind| worker.serves.iter().any(|served| served.0 == kind))
        };
        known.iter().filter(fits).map(|worker| worker.id.clone()).collect()
    }
}

/// `1 worker`, `2 workers`.
pub(super) fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use flotilla_core::BrowserKind;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        targets: Targets,
    }

    fn worker(id: &str, browser: &str) -> WorkerStatus {
        let json = format!(
            r#"{{"id":"{id}","state":"available","slots":5,"used":0,"sessions_served":0,
            "started_at":0,"serves":[["{browser}","1.65"]]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_person_says_which_workers_or_that_all_are_meant_and_never_nothing() {
        let known = [worker("a", "chromium"), worker("b", "firefox")];
        let names = |args: &[&str]| {
            let cli = Cli::try_parse_from([&["x"], args].concat()).map_err(|_| ())?;
            Ok::<_, ()>(cli.targets.names(&known))
        };
        assert_eq!(names(&["b", "z", "b"]).unwrap(), ["b", "z"]);
        assert_eq!(names(&["--all"]).unwrap(), ["a", "b"]);
        assert_eq!(names(&["--browser", "firefox"]).unwrap(), ["b"]);
        assert!(names(&[]).is_err() && names(&["--all", "a"]).is_err());
        assert!(names(&["--browser", "opera"]).is_err());
        assert_eq!("firefox".parse(), Ok(BrowserKind::Firefox));
    }
}
