//! `flotilla health`: the guide's health check, with real sessions through the front door.

use std::process::ExitCode;
use std::time::Duration;

use flotilla_core::{BrowserKind, PlaywrightVersion};
use indicatif::{ProgressBar, ProgressStyle};

use super::{duration, named};
use crate::printer::{Paint, Printer};
use crate::probe::Endpoint;

mod examine;
mod report;

pub use examine::{Plan, Teller, examine};
pub use report::{HealthReport, Outcome, Reply, Workers};

/// Check that the grid answers, has workers, and serves every browser that it says it serves
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
For every browser and Playwright version that the grid serves, one session goes through the front
door: connect, open a context and a page, navigate, evaluate, close. Each takes a slot for a moment.

Exit codes:
  0  healthy
  1  degraded: some browser fails or is not served though it was asked for, no slot came free in
     time, or the grid is not ready
  2  down: the grid does not answer, has no worker, or no browser works
  3  could not check: a wrong address or option, or not a Flotilla grid")]
pub struct HealthCommand {
    /// The grid to check [default: the one that FLOTILLA_HOST and PORT name]
    #[arg(long, value_name = "URL", env = "FLOTILLA_ENDPOINT", hide_env_values = true)]
    pub endpoint: Option<String>,
    /// Only these browsers; one that is not served is a failure
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub browser: Vec<String>,
    /// Only these Playwright versions; one that is not served is a failure
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    pub version: Vec<String>,
    /// How long one session may take, with its time in the queue
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub timeout: String,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the check against the grid that it names, or else the one at `default_endpoint`.
pub async fn run(
    command: &HealthCommand,
    default_endpoint: &str,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let plan = match command.plan(default_endpoint) {
        Ok(plan) => plan,
        Err(why) => {
            printer.error(why, None);
            return Ok(Outcome::CouldNotCheck.exit_code().into());
        }
    };
    let mut teller = Terminal::new(printer, command.json);
    let report = examine(&plan, &mut teller).await;
    teller.finish();
    if command.json {
        printer.json(&report)?;
    } else if report.outcome == Outcome::CouldNotCheck {
        printer.error("the grid could not be checked", None);
    }
    Ok(report.outcome.exit_code().into())
}

impl HealthCommand {
    /// What is to be checked. Read here and not by the option parser, whose exit code would say
    /// that the grid is down.
    fn plan(&self, default_endpoint: &str) -> Result<Plan, String> {
        let endpoint = named(&self.endpoint).unwrap_or(default_endpoint);
        let endpoint: Endpoint = endpoint.parse().map_err(|e| format!("--endpoint: {e}"))?;
        let browsers = self.browser.iter().map(|b| b.trim().parse());
        let versions = self.version.iter().map(|v| v.parse());
        Ok(Plan {
            endpoint,
            browsers: browsers
                .collect::<Result<Vec<BrowserKind>, _>>()
                .map_err(|e| format!("--browser: {e}"))?,
            versions: versions
                .collect::<Result<Vec<PlaywrightVersion>, _>>()
                .map_err(|e| format!("--version: {e}"))?,
            timeout: duration(&self.timeout).map_err(|e| format!("--timeout: {e}"))?,
        })
    }
}

/// Tells a person at a terminal, or a log, how the check goes.
#[derive(Debug)]
struct Terminal {
    printer: Printer,
    quiet: bool,
    progress: ProgressBar,
}

impl Terminal {
    fn new(printer: Printer, quiet: bool) -> Self {
        // On stderr, and nothing at all where that is no terminal.
        let progress = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            progress.set_style(style);
        }
        progress.enable_steady_tick(Duration::from_millis(120));
        Self { printer, quiet, progress }
    }

    fn finish(&self) {
        self.progress.finish_and_clear();
    }
}

impl Teller for Terminal {
    fn line(&mut self, line: &str, paint: Option<Paint>) {
        if self.quiet {
            return;
        }
        let line = paint.map_or_else(|| line.to_owned(), |p| self.printer.paint(p, line));
        self.progress.suspend(|| self.printer.out(line));
    }

    fn busy(&mut self, with: &str) {
        self.progress.set_message(with.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> HealthCommand {
        HealthCommand {
            endpoint: None,
            browser: Vec::new(),
            version: Vec::new(),
            timeout: "30s".into(),
            json: false,
        }
    }

    async fn code(command: &HealthCommand, default: &str) -> ExitCode {
        run(command, default, Printer::plain()).await.unwrap()
    }

    #[tokio::test]
    async fn what_cannot_be_checked_is_neither_healthy_nor_down() {
        let could_not = ExitCode::from(3);
        assert_eq!(code(&command(), "localhost:8080").await, could_not);
        let wrong: [fn(&mut HealthCommand); 4] = [
            |c| c.endpoint = Some("wss://grid".into()),
            |c| c.browser = vec!["opera".into()],
            |c| c.version = vec!["latest".into()],
            |c| c.timeout = "soon".into(),
        ];
        for spoil in wrong {
            let mut command = command();
            spoil(&mut command);
            assert_eq!(code(&command, "http://127.0.0.1:9").await, could_not);
        }
    }
}
