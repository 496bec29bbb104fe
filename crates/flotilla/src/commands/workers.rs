//! `flotilla workers`: who owns browsers, and how each of them is.

use std::process::ExitCode;

use flotilla_core::operator::WorkerList;
use flotilla_core::refusal::Served;
use flotilla_core::status::{WorkerState, WorkerStatus};

use super::ask::{BAD, EXIT_CODES, GridArgs, could_not};
use super::in_words;
use crate::operator::Settings;
use crate::printer::{Align, Paint, Printer, Table};

/// Show the workers: state, slots, sessions, ages, and what each serves
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("\
SERVED counts the sessions of a worker's life, HEARD is how long ago it was last heard of.
The exit code is 1 when a worker is stalled, unroutable or dead, or when there is none.

{EXIT_CODES}"))]
pub struct WorkersCommand {
    /// Which grid.
    #[command(flatten)]
    pub grid: GridArgs,
}

/// Runs the command.
///
/// # Errors
/// When the grid cannot be asked.
pub async fn run(
    command: &WorkersCommand,
    settings: &Settings,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let operator = command.grid.operator(settings)?;
    let workers = operator.workers().await.map_err(|error| could_not(&operator, error))?;
    let well = !workers.is_empty() && workers.iter().all(is_well);
    if command.grid.json {
        printer.json(&WorkerList { workers })?;
    } else if workers.is_empty() {
        printer.note("There is no worker.");
    } else {
        printer.out(table(&workers).show(printer));
    }
    Ok(if well { ExitCode::SUCCESS } else { BAD.into() })
}

fn is_well(worker: &WorkerStatus) -> bool {
    use WorkerState::{Dead, Stalled, Unroutable};
    !matches!(worker.state, Dead | Stalled | Unroutable)
}

/// How a state looks.
pub(super) fn paint(state: WorkerState) -> Option<Paint> {
    match state {
        WorkerState::Available => Some(Paint::Good),
        WorkerState::Starting | WorkerState::Busy | WorkerState::Draining => Some(Paint::Warn),
        WorkerState::Stalled | WorkerState::Unroutable | WorkerState::Dead => Some(Paint::Bad),
    }
}

/// The workers, a line each.
pub(super) fn table(workers: &[WorkerStatus]) -> Table {
    let mut table = Table::new([
        ("WORKER", Align::Left),
        ("STATE", Align::Left),
        ("USED", Align::Right),
        ("SLOTS", Align::Right),
        ("SERVED", Align::Right),
        ("UP", Align::Left),
        ("HEARD", Align::Left),
        ("RELEASE", Align::Left),
        ("SERVES", Align::Left),
        ("PROBLEM", Align::Left),
    ]);
    for worker in workers {
        let plain = |text: String| (text, None);
        table.painted_row([
            plain(worker.id.clone()),
            (worker.state.as_str().to_owned(), paint(worker.state)),
            plain(worker.used.to_string()),
            plain(worker.slots.to_string()),
            plain(worker.sessions_served.to_string()),
            plain(in_words(worker.uptime_seconds)),
            plain(in_words(worker.heartbeat_age_seconds)),
            plain(worker.release.clone()),
            plain(serves(&worker.serves)),
            (worker.problem.clone().unwrap_or_default(), Some(Paint::Bad)),
        ]);
    }
    table
}

/// `chromium 1.62 1.65, firefox 1.62`.
fn serves(served: &[Served]) -> String {
    let mut sorted = served.to_vec();
    sorted.sort_unstable();
    let mut text = String::new();
    let mut last = None;
    for (kind, version) in sorted {
        if last != Some(kind) {
            let comma = if last.is_some() { ", " } else { "" };
            text += &format!("{comma}{kind}");
            last = Some(kind);
        }
        text += &format!(" {version}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(extra: &str) -> WorkerStatus {
        let json = format!(
            r#"{{"slots":5,"sessions_served":17,"started_at":0,"release":"0.1.0",
            "serves":[["firefox","1.64"],["chromium","1.65"],["chromium","1.62"]],{extra}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_line_tells_how_a_worker_is_and_what_is_wrong() {
        let workers = [
            worker(
                r#""id":"w-1","state":"available","used":2,"uptime_seconds":3725.0,
                "heartbeat_age_seconds":1.26"#,
            ),
            worker(
                r#""id":"w-2","state":"unroutable","used":0,"uptime_seconds":12.0,
                "heartbeat_age_seconds":42.0,"problem":"Connection refused (os error 111)""#,
            ),
        ];
        let shown = table(&workers).render(false);
        let lines: Vec<_> =
            shown.lines().map(|line| line.split("  ").collect::<Vec<_>>()).collect();
        let words = |line: usize| -> Vec<_> {
            lines[line].iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect()
        };
        let serves = "chromium 1.62 1.65, firefox 1.64";
        let first = ["w-1", "available", "2", "5", "17", "1 h 2 min", "1.3 s", "0.1.0", serves];
        assert_eq!(words(1), first);
        let problem = "Connection refused (os error 111)";
        let second =
            ["w-2", "unroutable", "0", "5", "17", "12 s", "42 s", "0.1.0", serves, problem];
        assert_eq!(words(2), second);
        assert!(is_well(&workers[0]) && !is_well(&workers[1]));
    }
}
