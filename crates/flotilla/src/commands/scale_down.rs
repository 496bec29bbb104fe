//! `flotilla scale-down`: fewer workers, at the least cost.

use std::process::ExitCode;
use std::time::Duration;

use flotilla_core::BrowserKind;
use flotilla_core::operator::reason;
use flotilla_core::scale::{Goal, Plan, Victim};
use serde_json::{Value, json};

use super::ask::{BAD, COULD_NOT_RUN, GridArgs, could_not, counted};
use super::orders::{self, What};
use super::wait::{self, For};
use super::{duration, in_words, sessions};
use crate::operator::{Operator, Settings};
use crate::printer::{Align, Printer, Table};

mod ending;

/// End workers: those that cost the least, after their last sessions
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Workers that drain already go first, then those with the fewest sessions, then those with the
youngest. Each takes no new session from now on and ends after its last one. A worker that cannot
be reached is not counted.

With --now the sessions on them are ended, with the reason; they are listed first.

Exit codes:
  0  done
  1  not all of it could be done, or it was refused: see what was printed
  2  the grid could not be asked, or --now needs --yes because nobody is there to be asked")]
pub struct ScaleDownCommand {
    /// How many fewer.
    #[command(flatten)]
    pub goal: GoalArgs,
    /// Count and end only workers that serve this browser
    #[arg(long, value_name = "BROWSER")]
    pub browser: Option<BrowserKind>,
    /// End their sessions instead of waiting for them
    #[arg(long)]
    pub now: bool,
    /// Why, for the clients of sessions that are ended
    #[arg(long, value_name = "TEXT", default_value = "its worker is shut down",
          value_parser = |text: &str| reason(text).map(str::to_owned))]
    pub reason: String,
    /// Ask nothing
    #[arg(long)]
    pub yes: bool,
    /// Wait until they are gone, at most so long if a time is given
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true,
          value_parser = duration)]
    pub wait: Option<Option<Duration>>,
    /// Say which workers would end, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which grid.
    #[command(flatten)]
    pub grid: GridArgs,
}

/// How many workers there are to be.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct GoalArgs {
    /// So many workers stay
    #[arg(long, value_name = "NUMBER")]
    pub to: Option<usize>,
    /// So many workers go
    #[arg(long, value_name = "NUMBER")]
    pub by: Option<usize>,
}

impl GoalArgs {
    fn goal(self) -> Goal {
        match (self.to, self.by) {
            (Some(number), _) => Goal::To(number),
            (None, number) => Goal::By(number.unwrap_or_default()),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the grid cannot be asked.
pub async fn run(
    command: &ScaleDownCommand,
    settings: &Settings,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let operator = command.grid.operator(settings)?;
    let plan = plan(command, &operator, printer).await?;
    if !command.grid.json {
        show(&plan, command.now, printer);
    }
    if command.dry_run || plan.victims.is_empty() {
        if command.grid.json {
            printer.json(&document(&plan))?;
        } else if command.dry_run {
            printer.note("Dry run: nothing was changed.");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if command.now
        && let Some(code) = hindrance(command, &plan, printer)
    {
        return Ok(code.into());
    }
    carry_out(command, &plan, &operator, printer).await
}

async fn plan(
    command: &ScaleDownCommand,
    operator: &Operator,
    printer: Printer,
) -> anyhow::Result<Plan> {
    let workers = operator.workers().await.map_err(|error| could_not(operator, error))?;
    let list = operator.sessions(None).await.map_err(|error| could_not(operator, error))?;
    sessions::complete(&list, printer);
    Ok(Plan::new(&workers, &list.sessions, command.goal.goal(), command.browser))
}

/// What keeps sessions from being ended, as an exit code: nobody has said that they may.
fn hindrance(command: &ScaleDownCommand, plan: &Plan, printer: Printer) -> Option<u8> {
    if command.yes {
        return None;
    }
    if plan.cuts_into_use() {
        printer.error(
            format!(
                "the workers that stay have {}, and sessions hold {} now",
                counted(plan.slots_left as usize, "slot"),
                plan.in_use
            ),
            Some("leave --now away and the sessions may finish; --yes ends them all the same"),
        );
        return Some(BAD);
    }
    let ends = plan.sessions().count();
    if ends == 0 {
        return None;
    }
    match printer.confirm(&format!("End {}?", counted(ends, "session"))) {
        Some(true) => None,
        Some(false) => {
            printer.note("Nothing was changed.");
            Some(BAD)
        }
        None => {
            printer.error("nobody is here to confirm that sessions are ended", Some("--yes"));
            Some(COULD_NOT_RUN)
        }
    }
}

async fn carry_out(
    command: &ScaleDownCommand,
    plan: &Plan,
    operator: &Operator,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let names: Vec<_> = plan.victims.iter().map(|victim| victim.worker.id.clone()).collect();
    let all = orders::give(operator, &names, What::Shutdown).await?;
    let leaving = orders::done(&all);
    if !command.grid.json {
        orders::tell(&all, What::Shutdown, printer);
    }
    let ended = match command.now {
        true => ending::end_sessions(command, plan, &leaving, operator, printer).await?,
        false => Vec::new(),
    };
    let waited = match command.wait {
        None => Vec::new(),
        Some(within) => {
            // A grid in one process goes with its worker.
            let own = plan.victims.iter().any(|victim| victim.worker.endpoint.is_empty());
            let what = if own { For::GoneWithItsGateway } else { For::Gone };
            wait::until(what, operator, &leaving, within, printer).await?
        }
    };
    if command.grid.json {
        let mut document = document(plan);
        document["workers"] = json!(all);
        document["sessions_ended"] = json!(ended);
        document["waited"] = json!(waited);
        printer.json(&document)?;
    }
    let well = all.iter().all(|one| one.done)
        && ended.iter().all(ending::Ended::is_well)
        && waited.iter().all(|one| one.ended.is_well());
    Ok(if well { ExitCode::SUCCESS } else { BAD.into() })
}

/// What was chosen, for people.
fn show(plan: &Plan, now: bool, printer: Printer) {
    for worker in &plan.out_of_reach {
        printer.note(format!("note: worker {worker} cannot be reached and is not counted"));
    }
    if plan.victims.is_empty() {
        let there = counted(plan.counted, "worker");
        return printer.note(format!("There is nothing to do: {there} as it is."));
    }
    printer.out(victims(&plan.victims).show(printer));
    if now && plan.sessions().next().is_some() {
        let sessions: Vec<_> = plan.sessions().cloned().collect();
        printer.out(format!(
            "\nSessions that would be ended:\n{}",
            sessions::table(&sessions).show(printer)
        ));
    }
    let going = plan.victims.len();
    let (stay, of) = (plan.counted - going, counted(plan.counted, "worker"));
    printer.note(format!(
        "{stay} of {of} stay, with {}; {} in use now.",
        counted(plan.slots_left as usize, "slot"),
        plan.in_use
    ));
}

fn victims(victims: &[Victim]) -> Table {
    let mut table = Table::new([
        ("ENDS", Align::Left),
        ("STATE", Align::Left),
        ("SESSIONS", Align::Right),
        ("OLDEST", Align::Left),
    ]);
    for victim in victims {
        table.row([
            victim.worker.id.clone(),
            victim.worker.state.as_str().to_owned(),
            victim.used().to_string(),
            victim.oldest().map(in_words).unwrap_or_default(),
        ]);
    }
    table
}

/// The same for programs.
fn document(plan: &Plan) -> Value {
    let victims: Vec<_> = plan
        .victims
        .iter()
        .map(|victim| {
            json!({
                "worker": victim.worker.id,
                "state": victim.worker.state,
                "used": victim.used(),
                "oldest_age_seconds": victim.oldest(),
                "sessions": victim.sessions,
            })
        })
        .collect();
    json!({
        "victims": victims,
        "counted": plan.counted,
        "slots_left": plan.slots_left,
        "in_use": plan.in_use,
        "out_of_reach": plan.out_of_reach,
    })
}
