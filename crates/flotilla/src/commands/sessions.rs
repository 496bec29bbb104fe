//! `flotilla sessions`: who uses the grid; and `flotilla sessions kill`.

use std::process::ExitCode;

use flotilla_core::operator::{self, SessionList};
use flotilla_core::status::SessionStatus;
use serde::Serialize;

use super::ask::{BAD, EXIT_CODES, GridArgs, could_not};
use super::in_words;
use crate::operator::{Operator, OperatorError, Settings};
use crate::printer::{Align, Paint, Printer, Table};

/// Show the sessions, the oldest first; or end some
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
pub struct SessionsCommand {
    #[command(subcommand)]
    action: Option<SessionsAction>,
    /// Which grid.
    #[command(flatten)]
    pub grid: GridArgs,
    /// Only those of this worker
    #[arg(long, value_name = "WORKER")]
    pub worker: Option<String>,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum SessionsAction {
    Kill(KillCommand),
}

/// End sessions; their clients read why
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
struct KillCommand {
    /// The sessions, by name
    #[arg(value_name = "SESSION", required = true)]
    sessions: Vec<String>,
    /// Why: the clients read it in their exceptions
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// The worker that runs them, where that is known: then no other is asked
    #[arg(long, value_name = "WORKER")]
    worker: Option<String>,
    /// Say which sessions would be ended, and end none
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    grid: GridArgs,
}

fn reason(text: &str) -> Result<String, operator::InvalidReason> {
    operator::reason(text).map(ToOwned::to_owned)
}

/// Runs the command.
///
/// # Errors
/// When the grid cannot be asked.
pub async fn run(
    command: &SessionsCommand,
    settings: &Settings,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    match &command.action {
        Some(SessionsAction::Kill(command)) => kill(command, settings, printer).await,
        None => list(command, settings, printer).await,
    }
}

async fn list(
    command: &SessionsCommand,
    settings: &Settings,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let operator = command.grid.operator(settings)?;
    let list = operator.sessions(command.worker.as_deref()).await;
    let list = list.map_err(|error| could_not(&operator, error))?;
    if command.grid.json {
        printer.json(&list)?;
    } else if list.sessions.is_empty() {
        printer.note("There is no session.");
    } else {
        printer.out(table(&list.sessions).show(printer));
    }
    Ok(if complete(&list, printer) { ExitCode::SUCCESS } else { BAD.into() })
}

/// Whether every worker has told its sessions; says which have not.
pub(super) fn complete(list: &SessionList, printer: Printer) -> bool {
    for silent in &list.unanswered {
        printer.error(
            format!("worker {} did not tell its sessions: {}", silent.worker, silent.why),
            None,
        );
    }
    list.unanswered.is_empty()
}

/// The sessions, a line each.
pub(super) fn table(sessions: &[SessionStatus]) -> Table {
    let mut table = Table::new([
        ("SESSION", Align::Left),
        ("BROWSER", Align::Left),
        ("PLAYWRIGHT", Align::Left),
        ("ISOLATION", Align::Left),
        ("AGE", Align::Left),
        ("WORKER", Align::Left),
    ]);
    for session in sessions {
        table.row([
            session.id.clone(),
            session.browser.to_string(),
            session.version.to_string(),
            session.isolation.clone(),
            in_words(session.age_seconds),
            session.worker.clone(),
        ]);
    }
    table
}

/// What became of one session.
#[derive(Debug, Serialize)]
struct Killed {
    session: String,
    ended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

/// Why something could not be done, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    pub(super) code: String,
    pub(super) message: String,
}

impl From<&OperatorError> for Failure {
    fn from(error: &OperatorError) -> Self {
        Self { code: error.code().to_owned(), message: error.to_string() }
    }
}

async fn kill(
    command: &KillCommand,
    settings: &Settings,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let operator = command.grid.operator(settings)?;
    if command.dry_run {
        return rehearse(command, &operator, printer).await;
    }
    let mut all = Vec::new();
    for session in &command.sessions {
        let one = end(&operator, session, &command.reason, command.worker.as_deref()).await?;
        if !command.grid.json {
            tell(&one, printer);
        }
        all.push(one);
    }
    if command.grid.json {
        printer.json(&serde_json::json!({ "sessions": all }))?;
    }
    let well = all.iter().all(|one| one.ended);
    Ok(if well { ExitCode::SUCCESS } else { BAD.into() })
}

async fn end(
    operator: &Operator,
    session: &str,
    reason: &str,
    on: Option<&str>,
) -> anyhow::Result<Killed> {
    let session = session.to_owned();
    match operator.end(&session, reason, on).await {
        Ok(ended) => Ok(Killed { session, ended: true, worker: Some(ended.worker), error: None }),
        Err(error) if error.is_fatal() => Err(could_not(operator, error)),
        Err(error) => {
            Ok(Killed { session, ended: false, worker: None, error: Some((&error).into()) })
        }
    }
}

fn tell(killed: &Killed, printer: Printer) {
    match (&killed.worker, &killed.error) {
        (_, Some(error)) => printer.error(&error.message, None),
        (worker, None) => {
            let on = worker.as_deref().map(|worker| format!(" on worker {worker}"));
            let word = printer.paint(Paint::Good, "ended");
            printer.out(format!("{}  {word}{}", killed.session, on.unwrap_or_default()));
        }
    }
}

/// Which of the sessions there are.
async fn rehearse(
    command: &KillCommand,
    operator: &Operator,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let list = operator.sessions(command.worker.as_deref()).await;
    let mut list = list.map_err(|error| could_not(operator, error))?;
    list.sessions.retain(|session| command.sessions.contains(&session.id));
    let missing: Vec<_> = command
        .sessions
        .iter()
        .filter(|wanted| !list.sessions.iter().any(|session| session.id == **wanted))
        .collect();
    if command.grid.json {
        let would = serde_json::json!({ "would_end": list.sessions, "missing": missing });
        printer.json(&would)?;
    } else {
        if !list.sessions.is_empty() {
            printer.out(table(&list.sessions).show(printer));
        }
        for session in &missing {
            printer.error(format!("there is no session {session}"), None);
        }
        printer.note("Dry run: no session was ended.");
    }
    let well = missing.is_empty() && complete(&list, printer);
    Ok(if well { ExitCode::SUCCESS } else { BAD.into() })
}
