//! `flotilla drain` and `flotilla undrain`: which workers take sessions.

use std::process::ExitCode;
use std::time::Duration;

use super::ask::{BAD, EXIT_CODES, GridArgs, Targets, could_not};
use super::duration;
use super::orders::{self, Ordered, What};
use super::wait::{self, For};
use crate::operator::{Operator, Settings};
use crate::printer::Printer;

/// Have workers take no new sessions; those that they have go on
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("\
When the command says that a worker is draining, that worker has said so itself: it admits nobody
any more. Its sessions last as long as they want.

{EXIT_CODES}"))]
pub struct DrainCommand {
    /// Which workers.
    #[command(flatten)]
    pub targets: Targets,
    /// Wait until their last sessions have left, at most so long if a time is given
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true,
          value_parser = duration)]
    pub wait: Option<Option<Duration>>,
    /// Say which workers would be drained, and drain none
    #[arg(long)]
    pub dry_run: bool,
    /// Which grid.
    #[command(flatten)]
    pub grid: GridArgs,
}

/// Have workers take sessions again
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct UndrainCommand {
    /// Which workers.
    #[command(flatten)]
    pub targets: Targets,
    /// Say which workers would take sessions again, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which grid.
    #[command(flatten)]
    pub grid: GridArgs,
}

/// Drains.
///
/// # Errors
/// When the grid cannot be asked.
pub async fn drain(
    command: &DrainCommand,
    settings: &Settings,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let operator = command.grid.operator(settings)?;
    let names = names(&operator, &command.targets).await?;
    if command.dry_run {
        return rehearse(&names, "drained", command.grid.json, printer);
    }
    let all = orders::give(&operator, &names, What::Drain).await?;
    if !command.grid.json {
        orders::tell(&all, What::Drain, printer);
    }
    let waited = match command.wait {
        None => Vec::new(),
        Some(within) => {
            wait::until(For::Empty, &operator, &orders::done(&all), within, printer).await?
        }
    };
    if command.grid.json {
        printer.json(&serde_json::json!({ "workers": all, "waited": waited }))?;
    }
    let well = waited.iter().all(|one| one.ended.is_well());
    Ok(code(&all, well))
}

/// Undrains.
///
/// # Errors
/// When the grid cannot be asked.
pub async fn undrain(
    command: &UndrainCommand,
    settings: &Settings,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let operator = command.grid.operator(settings)?;
    let names = names(&operator, &command.targets).await?;
    if command.dry_run {
        return rehearse(&names, "undrained", command.grid.json, printer);
    }
    let all = orders::give(&operator, &names, What::Undrain).await?;
    match command.grid.json {
        true => printer.json(&serde_json::json!({ "workers": all }))?,
        false => orders::tell(&all, What::Undrain, printer),
    }
    Ok(code(&all, true))
}

async fn names(operator: &Operator, targets: &Targets) -> anyhow::Result<Vec<String>> {
    let known = operator.workers().await.map_err(|error| could_not(operator, error))?;
    let names = targets.names(&known);
    anyhow::ensure!(!names.is_empty(), "there is no such worker: flotilla workers lists them");
    Ok(names)
}

fn rehearse(
    names: &[String],
    what: &str,
    json: bool,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    if json {
        printer.json(&serde_json::json!({ "would_be": what, "workers": names }))?;
    } else {
        names.iter().for_each(|name| printer.out(name));
        printer.note(format!("Dry run: these would be {what}, and nothing was changed."));
    }
    Ok(ExitCode::SUCCESS)
}

fn code(all: &[Ordered], well: bool) -> ExitCode {
    match well && all.iter().all(|one| one.done) {
        true => ExitCode::SUCCESS,
        false => BAD.into(),
    }
}
