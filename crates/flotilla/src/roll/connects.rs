//! Connecting again and again while a roll goes on, as clients would: who was not let in, and how
//! long it took.

use std::time::Duration;

use serde::Serialize;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use crate::probe::{ProbeError, Session, Target};

/// How long one may wait to be let in. Playwright's own clients give up after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running meter.
#[derive(Debug)]
pub(crate) struct Connects {
    task: JoinHandle<()>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    tries: tokio::sync::mpsc::UnboundedReceiver<Try>,
    seen: Vec<Try>,
}

/// One connect.
#[derive(Clone, Debug)]
struct Try {
    began: Instant,
    /// How long it took, or why there is no session.
    result: Result<Duration, String>,
}

/// What connects were like in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Connected {
    /// How many there were.
    pub tries: usize,
    /// How many were not let in, or cut.
    pub failed: usize,
    /// What the first few of those were told.
    pub failures: Vec<String>,
    /// How long half of them took at most, in milliseconds.
    pub p50_ms: f64,
    /// How long 95 of 100 took at most.
    pub p95_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Connects {
    /// Begins to connect, once every `every`.
    pub(crate) fn start(target: Target, every: Duration) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (told, tries) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut timer = tokio::time::interval(every);
            timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut under_way = JoinSet::new();
            tokio::pin!(stopped);
            loop {
                tokio::select! {
                    _ = timer.tick() => {
                        let (target, told) = (target.clone(), told.clone());
                        under_way.spawn(async move {
                            let began = Instant::now();
                            let result = connect(&target).await.map_err(|why| why.to_string());
                            // Nobody listens only when nobody wants to know.
                            let _ = told.send(Try { began, result });
                        });
                    }
                    Some(_) = under_way.join_next() => {}
                    _ = &mut stopped => break,
                }
            }
            while under_way.join_next().await.is_some() {}
        });
        Self { task, stop: Some(stop), tries, seen: Vec::new() }
    }

    /// What connects were like so far, as far as they are over.
    pub(crate) fn so_far(&mut self) -> Connected {
        self.take_in();
        of(&self.seen)
    }

    /// Ends it when the last connect is over: what they were like before that moment, and since.
    pub(crate) async fn end(mut self, moment: Instant) -> (Connected, Connected) {
        // Dropped, it says the same.
        drop(self.stop.take());
        let _ = (&mut self.task).await;
        self.take_in();
        let (before, since): (Vec<_>, Vec<_>) =
            self.seen.iter().partition(|one| one.began < moment);
        (of(before), of(since))
    }

    fn take_in(&mut self) {
        while let Ok(one) = self.tries.try_recv() {
            self.seen.push(one);
        }
    }
}

/// A whole session, as short as can be.
async fn connect(target: &Target) -> Result<Duration, ProbeError> {
    let began = Instant::now();
    let session = Session::connect(target, began + PATIENCE).await?;
    let took = began.elapsed();
    session.close().await?;
    Ok(took)
}

fn of<'a>(tries: impl IntoIterator<Item = &'a Try>) -> Connected {
    let tries: Vec<_> = tries.into_iter().collect();
    let mut times: Vec<_> = tries.iter().filter_map(|one| one.result.clone().ok()).collect();
    times.sort_unstable();
    let failures: Vec<_> = tries.iter().filter_map(|one| one.result.clone().err()).collect();
    Connected {
        tries: tries.len(),
        failed: failures.len(),
        p50_ms: percentile(&times, 50),
        p95_ms: percentile(&times, 95),
        max_ms: percentile(&times, 100),
        failures: failures.into_iter().take(5).collect(),
    }
}

/// The smallest that so many of 100 are not above.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).map_or(0.0, |time| crate::probe::millis(*time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_do_not_make_the_rest_look_faster() {
        let one = |ms: u64| Try { began: Instant::now(), result: Ok(Duration::from_millis(ms)) };
        let failed = Try { began: Instant::now(), result: Err("refused".into()) };
        let tries: Vec<_> = (1..=19).map(one).chain([failed]).collect();
        let figures = of(&tries);
        assert_eq!((figures.tries, figures.failed), (20, 1));
        assert_eq!((figures.p50_ms, figures.p95_ms, figures.max_ms), (10.0, 19.0, 19.0));
        assert_eq!(figures.failures, ["refused"]);
        assert_eq!(of(&[]).p95_ms, 0.0);
    }
}
