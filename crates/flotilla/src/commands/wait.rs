//! Waiting until workers have no session any more, with a person looking on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use flotilla_core::status::{SessionStatus, WorkerState, WorkerStatus};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::ask::{could_not, counted};
use super::in_words;
use crate::operator::{Operator, OperatorError};
use crate::printer::Printer;

/// How often workers are asked.
const EVERY: Duration = Duration::from_millis(500);
/// How long a worker must seem to take sessions until that is believed: behind a balancer, another
/// gateway may answer this time, which has not heard of the drain yet.
const BELIEVED: Duration = Duration::from_secs(6);

/// How the wait ended for one worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Waited {
    /// Which.
    pub(super) worker: String,
    /// How.
    pub(super) ended: How,
    /// Sessions that are still there.
    pub(super) sessions: Vec<SessionStatus>,
}

/// How a wait can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// Its last session has left.
    Drained,
    /// It is not there any more.
    Gone,
    /// Somebody let it take sessions again.
    Undrained,
    /// The time was over.
    TimedOut,
}

impl How {
    /// Whether no session is left there.
    pub(super) fn is_well(self) -> bool {
        matches!(self, Self::Drained | Self::Gone)
    }
}

/// What one worker looks like now.
struct Seen {
    worker: String,
    status: Option<WorkerStatus>,
    sessions: Vec<SessionStatus>,
}

impl Seen {
    /// How the wait for it has ended, if it has.
    fn ended(&self, what: For) -> Option<How> {
        let Some(status) = &self.status else { return Some(How::Gone) };
        match status.state {
            WorkerState::Starting | WorkerState::Available | WorkerState::Busy => {
                Some(How::Undrained)
            }
            _ if what != For::Empty => None,
            _ => (status.used == 0 && self.sessions.is_empty()).then_some(How::Drained),
        }
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// That a worker has no session left.
    Empty,
    /// That it is gone.
    Gone,
    /// That it is gone, and the gateway in the same process with it.
    GoneWithItsGateway,
}

/// Waits until that is so of all these workers.
///
/// # Errors
/// When the grid cannot be asked any more.
pub(super) async fn until(
    what: For,
    operator: &Operator,
    workers: &[String],
    within: Option<Duration>,
    printer: Printer,
) -> anyhow::Result<Vec<Waited>> {
    let deadline = within.map(|within| Instant::now() + within);
    let progress = spinner();
    let (mut waiting, mut all) = (workers.to_vec(), Vec::new());
    let mut undrained = HashMap::new();
    while !waiting.is_empty() {
        let over = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let seen = match look(operator, &waiting).await {
            Err(OperatorError::Http(_)) if what == For::GoneWithItsGateway => nobody(&waiting),
            seen => seen.map_err(|error| could_not(operator, error))?,
        };
        progress.set_message(words(&seen));
        for one in seen {
            let ended = match one.ended(what) {
                Some(How::Undrained) => {
                    let since = undrained.entry(one.worker.clone()).or_insert_with(Instant::now);
                    (since.elapsed() >= BELIEVED).then_some(How::Undrained)
                }
                ended => {
                    undrained.remove(&one.worker);
                    ended
                }
            };
            let Some(ended) = ended.or(over.then_some(How::TimedOut)) else { continue };
            waiting.retain(|worker| *worker != one.worker);
            let waited = Waited { worker: one.worker, ended, sessions: one.sessions };
            progress.suspend(|| tell(&waited, printer));
            all.push(waited);
        }
        if !waiting.is_empty() {
            tokio::time::sleep(EVERY).await;
        }
    }
    progress.finish_and_clear();
    Ok(all)
}

fn spinner() -> ProgressBar {
    // On stderr, and nothing at all where that is no terminal.
    let progress = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_millis(120));
    progress
}

fn nobody(workers: &[String]) -> Vec<Seen> {
    let gone =
        |worker: &String| Seen { worker: worker.clone(), status: None, sessions: Vec::new() };
    workers.iter().map(gone).collect()
}

/// Asks the workers themselves; what the gateway knows of each is as new as its answer.
async fn look(operator: &Operator, workers: &[String]) -> Result<Vec<Seen>, OperatorError> {
    let mut seen = Vec::new();
    for worker in workers {
        let sessions = match operator.sessions(Some(worker)).await {
            Ok(list) => list.sessions,
            Err(OperatorError::Refused { status: 404, .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        seen.push(Seen { worker: worker.clone(), status: None, sessions });
    }
    let known = operator.workers().await?;
    for one in &mut seen {
        one.status = known.iter().find(|status| status.id == one.worker).cloned();
    }
    Ok(seen)
}

/// `3 sessions left on 2 workers, the oldest 10 min 2 s`.
fn words(seen: &[Seen]) -> String {
    let used = |one: &Seen| {
        one.sessions.len().max(one.status.as_ref().map_or(0, |status| status.used as usize))
    };
    let left: usize = seen.iter().map(used).sum();
    let oldest = seen.iter().flat_map(|one| &one.sessions).map(|session| session.age_seconds);
    let oldest = oldest.fold(0.0, f64::max);
    let (left, on) = (counted(left, "session"), counted(seen.len(), "worker"));
    match oldest > 0.0 {
        true => format!("{left} left on {on}, the oldest {}", in_words(oldest)),
        false => format!("{left} left on {on}"),
    }
}

fn tell(waited: &Waited, printer: Printer) {
    let worker = &waited.worker;
    match waited.ended {
        How::Drained => printer.note(format!("{worker}: no session is left")),
        How::Gone => printer.note(format!("{worker}: gone")),
        How::Undrained => printer
            .error(format!("worker {worker} takes sessions again: somebody undrained it"), None),
        How::TimedOut => {
            let left: Vec<_> = waited
                .sessions
                .iter()
                .map(|session| format!("{} ({})", session.id, in_words(session.age_seconds)))
                .collect();
            let left = if left.is_empty() { "none".to_owned() } else { left.join(", ") };
            printer.error(
                format!("worker {worker} was not done in time. Sessions that are left: {left}"),
                None,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_core::BrowserKind;

    use super::*;

    fn seen(state: &str, used: u32, ages: &[f64]) -> Seen {
        let json = format!(
            r#"{{"id":"w","state":"{state}","slots":5,"used":{used},"sessions_served":0,
            "started_at":0}}"#
        );
        let session = |age: &f64| SessionStatus {
            id: "s".into(),
            browser: BrowserKind::Chromium,
            version: "1.65".parse().unwrap(),
            isolation: "tenant".into(),
            started_at: 0,
            age_seconds: *age,
            worker: "w".into(),
        };
        let status = serde_json::from_str(&json).ok();
        Seen { worker: "w".into(), status, sessions: ages.iter().map(session).collect() }
    }

    #[test]
    fn a_worker_is_waited_for_until_no_slot_of_it_is_held() {
        assert_eq!(seen("draining", 2, &[5.0]).ended(For::Empty), None);
        assert_eq!(
            seen("draining", 1, &[]).ended(For::Empty),
            None,
            "its contexts are being disposed"
        );
        assert_eq!(seen("draining", 0, &[]).ended(For::Empty), Some(How::Drained));
        assert_eq!(seen("draining", 0, &[]).ended(For::Gone), None, "it is still there");
        assert_eq!(seen("stalled", 1, &[]).ended(For::Empty), None);
        assert_eq!(seen("available", 0, &[]).ended(For::Empty), Some(How::Undrained));
        let gone = Seen { status: None, ..seen("draining", 0, &[]) };
        assert_eq!(gone.ended(For::Gone), Some(How::Gone));
    }

    #[test]
    fn who_looks_on_sees_how_many_are_left_and_how_old_they_are() {
        let all = [seen("draining", 3, &[62.0, 602.0]), seen("draining", 0, &[])];
        assert_eq!(words(&all), "3 sessions left on 2 workers, the oldest 10 min 2 s");
        assert_eq!(words(&all[1..]), "0 sessions left on 1 worker");
    }
}
