//! `flotilla browsers`: which Playwrights and browsers this machine serves, and getting more.

mod install;
mod list;
mod progress;
mod remove;

use std::path::PathBuf;
use std::process::ExitCode;

use flotilla_core::BrowserKind;
use flotilla_worker::provision::Installer;

use crate::printer::Printer;

const BAD: u8 = 1;
const COULD_NOT_RUN: u8 = 2;

/// Install, list and remove Playwright versions and their browsers
#[derive(Clone, Debug, clap::Args)]
pub struct BrowsersCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    Install(InstallCommand),
    List(ListCommand),
    Remove(RemoveCommand),
}

/// Install Playwright versions, and try the browsers that they can use
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Browsers are Playwright's own where its download can be reached, else those of the system.
Each is tried with a page before it counts: what does not work is listed, and not served.
A version that is here already is not fetched again; its browsers are tried anew.

Exit codes:
  0  done: every browser that was asked for works (without --browser: at least one does)
  1  a browser does not work
  2  it could not be installed")]
struct InstallCommand {
    /// Versions such as 1.64.1, 1.64 or latest [default: latest, or what --from holds]
    #[arg(value_name = "VERSION")]
    versions: Vec<String>,
    /// Browsers: chromium, firefox, webkit [default: chromium and firefox, as far as they work]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    browser: Vec<BrowserKind>,
    /// Copy playwright-core from this folder instead of fetching it
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Only the machine's own browsers: download none
    #[arg(long)]
    system: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// List the Playwright versions here, and the browsers that were tried with them
#[derive(Clone, Debug, clap::Args)]
struct ListCommand {
    /// Print all that is known, as JSON
    #[arg(long)]
    json: bool,
}

/// Remove a Playwright version, and the downloaded browsers that no other one uses
#[derive(Clone, Debug, clap::Args)]
struct RemoveCommand {
    /// The version: 1.64.1, or 1.64 for all of them
    #[arg(value_name = "VERSION")]
    version: String,
    /// Say what would be removed, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs the command on the data directory that the installer names.
///
/// # Errors
/// When the result cannot be printed. What goes wrong with an installation is printed, and told by
/// the exit code.
pub async fn run(
    command: &BrowsersCommand,
    installer: &Installer,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let code = match &command.action {
        Action::Install(command) => install::run(command, installer, printer).await?,
        Action::List(command) => list::run(command, installer, printer)?,
        Action::Remove(command) => remove::run(command, installer, printer).await,
    };
    Ok(ExitCode::from(code))
}

/// Prints why something could not be done.
fn refuse(printer: Printer, error: impl std::fmt::Display) -> u8 {
    printer.error(error, None);
    COULD_NOT_RUN
}
