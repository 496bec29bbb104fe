//! The same order to several workers, and what became of it on each.

use flotilla_core::operator::Shutdown;
use flotilla_core::status::{WorkerState, WorkerStatus};
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;

use super::ask::{could_not, counted};
use super::sessions::Failure;
use crate::operator::{Operator, OperatorError};
use crate::printer::{Paint, Printer};

/// How many workers are ordered at one time.
const AT_ONCE: usize = 16;

/// What workers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Take no new sessions.
    Drain,
    /// Take sessions again.
    Undrain,
    /// End after the last session.
    Shutdown,
}

/// What became of it on one worker.
#[derive(Debug, Serialize)]
pub(super) struct Ordered {
    /// Which.
    pub(super) worker: String,
    /// Whether it is so.
    pub(super) done: bool,
    /// How the worker is then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<WorkerState>,
    /// Sessions that it has then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) used: Option<u32>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Failure>,
}

/// Gives the order to all of these, in their order.
///
/// # Errors
/// When the grid itself cannot be asked.
pub(super) async fn give(
    operator: &Operator,
    workers: &[String],
    what: What,
) -> anyhow::Result<Vec<Ordered>> {
    let order = |worker: &String| {
        let worker = worker.clone();
        async move { (order(operator, &worker, what).await, worker) }
    };
    let mut answers = stream::iter(workers).map(order).buffered(AT_ONCE);
    let mut all = Vec::new();
    while let Some((answer, worker)) = answers.next().await {
        all.push(match answer {
            Ok(status) => Ordered {
                worker,
                done: true,
                state: Some(status.state),
                used: Some(status.used),
                error: None,
            },
            Err(error) if error.is_fatal() => return Err(could_not(operator, error)),
            Err(error) => {
                let error = Some((&error).into());
                Ordered { worker, done: false, state: None, used: None, error }
            }
        });
    }
    Ok(all)
}

async fn order(
    operator: &Operator,
    worker: &str,
    what: What,
) -> Result<WorkerStatus, OperatorError> {
    match what {
        What::Drain => operator.drain(worker).await,
        What::Undrain => operator.undrain(worker).await,
        What::Shutdown => operator.shutdown(worker, Shutdown::default()).await,
    }
}

/// Says what became of it, a line for each worker.
pub(super) fn tell(all: &[Ordered], what: What, printer: Printer) {
    for one in all {
        match &one.error {
            Some(error) => printer.error(&error.message, None),
            None => printer.out(format!(
                "{}  {}",
                one.worker,
                printer.paint(Paint::Good, &words(what, one.used.unwrap_or_default()))
            )),
        }
    }
}

fn words(what: What, used: u32) -> String {
    let left = counted(used as usize, "session");
    match (what, used) {
        (What::Drain, 0) => "draining: no session is left".to_owned(),
        (What::Drain, _) => format!("draining: {left} left"),
        (What::Undrain, _) => "takes sessions again".to_owned(),
        (What::Shutdown, 0) => "ends now".to_owned(),
        (What::Shutdown, 1) => "ends after its 1 session".to_owned(),
        (What::Shutdown, _) => format!("ends after its {left}"),
    }
}

/// Names of those that did what they were told.
pub(super) fn done(all: &[Ordered]) -> Vec<String> {
    all.iter().filter(|one| one.done).map(|one| one.worker.clone()).collect()
}
