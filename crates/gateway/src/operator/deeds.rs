//! Carrying out what operators want, on whichever worker it concerns.

use std::collections::HashSet;
use std::time::Duration;

use flotilla_core::ending::Ending;
use flotilla_core::metrics::Operators;
use flotilla_core::operator::{
    OneGateway, OneWorker, SessionEnded, SessionList, Unanswered, WorkerList,
};
use flotilla_core::order::{Deed, Outcome};
use flotilla_core::registry::Registry;
use flotilla_core::status::{GridState, WorkerState, WorkerStatus};
use flotilla_core::{Refusal, SessionId, WorkerId};
use futures_util::stream::{self, Stream, StreamExt as _};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{Action, Leaving, Operate, Vouch};
use crate::gateway::Inner;
use crate::workers::{OrderFailed, Workers};

/// How many workers are asked at one time.
const AT_ONCE: usize = 64;
/// How long all of them together may take.
const ALL_WITHIN: Duration = Duration::from_secs(5);
const NO_ANSWER: &str = "no answer in time";

type Answered = (WorkerId, Result<Outcome, OrderFailed>);

impl<R: Registry, W: Workers> Operate for Inner<R, W> {
    fn vouch(&self) -> &Vouch {
        &self.vouch
    }

    fn counters(&self) -> &Operators {
        &self.metrics.operators
    }

    async fn operate(&self, action: Action) -> Result<Value, Refusal> {
        let body = match action {
            Action::Workers => {
                serde_json::to_value(WorkerList { workers: self.workers.report().await })
            }
            Action::Worker(id) => serde_json::to_value(OneWorker { worker: self.find(&id).await? }),
            Action::Sessions(of) => serde_json::to_value(self.list(of).await?),
            Action::Order(id, deed) => {
                serde_json::to_value(OneWorker { worker: self.give(&id, deed).await? })
            }
            Action::Gateway(deed) => serde_json::to_value(self.take_leave(deed)?),
            Action::End(session, reason, on) => {
                let worker = self.end(&session, &reason, on).await?;
                serde_json::to_value(SessionEnded { session: session.0, worker })
            }
        };
        body.map_err(|why| Refusal::other(500, "internal", why.to_string()))
    }
}

impl<R: Registry, W: Workers> Inner<R, W> {
    /// Has this gateway itself take clients, or none.
    fn take_leave(&self, deed: Leaving) -> Result<OneGateway, Refusal> {
        if self.config.shutdown_grace.is_none() {
            let words = "this gateway is no process of its own: stop the grid as a whole";
            return Err(Refusal::other(409, "no_gateway", words));
        }
        match deed {
            Leaving::Drain => self.way_out.leave(),
            Leaving::Shutdown => self.way_out.tell_to_stop(),
            Leaving::Undrain if self.way_out.stay() => {}
            Leaving::Undrain => {
                let words = "this gateway was told to end: it takes no clients again";
                return Err(Refusal::other(409, "gateway_leaving", words));
            }
        }
        let state = if self.way_out.is_open() { GridState::Ready } else { GridState::Draining };
        Ok(OneGateway { state, sessions: self.active().len() })
    }

    async fn find(&self, id: &WorkerId) -> Result<WorkerStatus, Refusal> {
        let all = self.workers.report().await;
        match all.iter().find(|worker| worker.id == id.0) {
            Some(found) => Ok(found.clone()),
            None => Err(no_such_worker(id, &all)),
        }
    }

    /// Has a worker do something; the worker as it is then.
    async fn give(&self, id: &WorkerId, deed: Deed) -> Result<WorkerStatus, Refusal> {
        let before = self.find(id).await?;
        match self.workers.order(id, deed.clone()).await {
            Ok(Outcome::Leaving) => Err(Refusal::other(
                409,
                "worker_leaving",
                format!("worker {id} was told to end: it takes no sessions again"),
            )),
            Ok(_) => {
                // One without sessions may have left with the answer.
                let gone = WorkerStatus { state: WorkerState::Draining, ..before };
                Ok(self.find(id).await.unwrap_or(gone))
            }
            Err(OrderFailed::Unknown) => Err(no_such_worker(id, &[])),
            Err(OrderFailed::Unanswered(why)) => Err(Refusal::other(
                502,
                "worker_unanswered",
                format!(
                    "worker {id} did not say that it will {}: {why}. It may have heard it all the \
                     same",
                    deed.as_str()
                ),
            )),
        }
    }

    /// The sessions, as their workers tell them.
    async fn list(&self, of: Option<WorkerId>) -> Result<SessionList, Refusal> {
        let asked = match of {
            Some(id) => vec![WorkerId(self.find(&id).await?.id)],
            None => self.nearest_first().await,
        };
        let mut list = SessionList::default();
        let mut silent: HashSet<_> = asked.iter().cloned().collect();
        let mut answers = std::pin::pin!(self.ask(asked, Deed::Sessions));
        while let Some((id, answer)) = answers.next().await {
            silent.remove(&id);
            match answer {
                Ok(Outcome::Sessions { mut sessions }) => list.sessions.append(&mut sessions),
                // It has left meanwhile, and its sessions with it.
                Err(OrderFailed::Unknown) => {}
                Err(OrderFailed::Unanswered(why)) => self.unanswered(&mut list, id, why),
                Ok(_) => self.unanswered(&mut list, id, "it answered something else".to_owned()),
            }
        }
        for id in silent {
            self.unanswered(&mut list, id, NO_ANSWER.to_owned());
        }
        list.sessions.sort_by(|a, b| b.age_seconds.total_cmp(&a.age_seconds));
        list.unanswered.sort_by(|a, b| a.worker.cmp(&b.worker));
        Ok(list)
    }

    /// Of a worker that does not answer, what is relayed here is known all the same.
    fn unanswered(&self, list: &mut SessionList, id: WorkerId, why: String) {
        let relayed = self.sessions().into_iter().filter(|session| session.worker == id.0);
        list.sessions.extend(relayed);
        list.unanswered.push(Unanswered { worker: id.0, why });
    }

    /// Ends a session wherever it runs; the name of its worker.
    async fn end(
        &self,
        session: &SessionId,
        reason: &str,
        on: Option<WorkerId>,
    ) -> Result<String, Refusal> {
        if let Some(worker) = self.end_here(session, reason) {
            tracing::info!(%session, worker, reason, "an operator ended a session");
            return Ok(worker);
        }
        let asked = match on {
            Some(id) => vec![WorkerId(self.find(&id).await?.id)],
            None => self.nearest_first().await,
        };
        let deed = Deed::End { session: session.clone(), reason: reason.to_owned() };
        let mut silent: HashSet<_> = asked.iter().cloned().collect();
        let mut answers = std::pin::pin!(self.ask(asked, deed));
        while let Some((id, answer)) = answers.next().await {
            match answer {
                Ok(Outcome::Done) => {
                    tracing::info!(%session, worker = %id, reason, "an operator ended a session");
                    return Ok(id.0);
                }
                Ok(_) | Err(OrderFailed::Unknown) => drop(silent.remove(&id)),
                Err(OrderFailed::Unanswered(_)) => {}
            }
        }
        Err(no_such_session(session, silent))
    }

    /// Ends a session that is relayed here; the name of its worker.
    fn end_here(&self, session: &SessionId, reason: &str) -> Option<String> {
        let mut active = self.active();
        let found = active.get_mut(session)?;
        // It may be ending by itself just now, which is as well.
        let _ = found.end.take().map(|end| end.send(Ending::operator(reason)));
        Some(found.worker.clone())
    }

    /// Every worker, those first that can be reached as far as is known.
    async fn nearest_first(&self) -> Vec<WorkerId> {
        let mut all = self.workers.report().await;
        let far = |worker: &WorkerStatus| {
            matches!(worker.state, WorkerState::Unroutable | WorkerState::Dead)
        };
        all.sort_by_key(far);
        all.into_iter().map(|worker| WorkerId(worker.id)).collect()
    }

    /// Has these workers do the same, some at a time; ends when all have answered or the time is
    /// over.
    fn ask(&self, workers: Vec<WorkerId>, deed: Deed) -> impl Stream<Item = Answered> {
        let order = move |id: WorkerId| {
            let deed = deed.clone();
            async move {
                let answer = self.workers.order(&id, deed).await;
                (id, answer)
            }
        };
        let answers = stream::iter(workers).map(order).buffer_unordered(AT_ONCE);
        let deadline = Instant::now() + ALL_WITHIN;
        stream::unfold(Box::pin(answers), move |mut answers| async move {
            let next = timeout_at(deadline, answers.next()).await;
            next.ok().flatten().map(|answer| (answer, answers))
        })
    }
}

/// So many names fit into a sentence.
const NAMED: usize = 8;

fn names(all: impl IntoIterator<Item = String>) -> String {
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort();
    match all.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{} and {more} more", all[..NAMED].join(", ")),
        _ => all.join(", "),
    }
}

fn no_such_worker(id: &WorkerId, all: &[WorkerStatus]) -> Refusal {
    let there = match names(all.iter().map(|worker| worker.id.clone())) {
        names if names.is_empty() => "this gateway knows none at all".to_owned(),
        names => format!("there are {names}"),
    };
    Refusal::other(404, "no_such_worker", format!("there is no worker {id}: {there}"))
}

/// Nobody has it; but only who answered can know.
fn no_such_session(session: &SessionId, silent: HashSet<WorkerId>) -> Refusal {
    if silent.is_empty() {
        let words = format!("there is no session {session}, or it has ended meanwhile");
        return Refusal::other(404, "no_such_session", words);
    }
    let silent = names(silent.into_iter().map(|id| id.0));
    Refusal::other(
        502,
        "worker_unanswered",
        format!("no worker that answers has the session {session}. These do not answer: {silent}"),
    )
}
