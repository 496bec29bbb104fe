//! `--now`: the sessions on the workers that go are ended, those that somebody agreed to.

use flotilla_core::scale::Plan;
use serde::Serialize;

use super::ScaleDownCommand;
use crate::commands::ask::could_not;
use crate::commands::sessions::Failure;
use crate::operator::{Operator, OperatorError};
use crate::printer::Printer;

/// What became of one session.
#[derive(Debug, Serialize)]
pub(super) struct Ended {
    session: String,
    worker: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

impl Ended {
    /// One that has ended by itself has ended too.
    pub(super) fn is_well(&self) -> bool {
        self.error.is_none()
    }
}

/// Ends the sessions on workers that take no new ones any more. What began between the plan and
/// the order was not shown to anybody: it ends by itself, unless nothing was to be asked.
pub(super) async fn end_sessions(
    command: &ScaleDownCommand,
    plan: &Plan,
    leaving: &[String],
    operator: &Operator,
    printer: Printer,
) -> anyhow::Result<Vec<Ended>> {
    let mut all = Vec::new();
    for worker in leaving {
        let sessions = match operator.sessions(Some(worker)).await {
            Ok(list) => list.sessions,
            // It had none, and has left.
            Err(OperatorError::Refused { status: 404, .. }) => continue,
            Err(error) => return Err(could_not(operator, error)),
        };
        for session in sessions {
            let shown = plan.sessions().any(|known| known.id == session.id);
            if !shown && !command.yes {
                let words = "began meanwhile: its worker ends after it";
                printer.note(format!("note: session {} {words}", session.id));
                continue;
            }
            let ended = end(command, operator, session.id, worker.clone()).await?;
            if !command.grid.json {
                tell(&ended, printer);
            }
            all.push(ended);
        }
    }
    Ok(all)
}

async fn end(
    command: &ScaleDownCommand,
    operator: &Operator,
    session: String,
    worker: String,
) -> anyhow::Result<Ended> {
    let error = match operator.end(&session, &command.reason, Some(&worker)).await {
        Ok(_) | Err(OperatorError::Refused { status: 404, .. }) => None,
        Err(error) if error.is_fatal() => return Err(could_not(operator, error)),
        Err(error) => Some((&error).into()),
    };
    Ok(Ended { session, worker, error })
}

fn tell(ended: &Ended, printer: Printer) {
    match &ended.error {
        Some(error) => printer.error(&error.message, None),
        None => printer.out(format!("{}  ended on worker {}", ended.session, ended.worker)),
    }
}
