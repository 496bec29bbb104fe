//! When a process that owns browsers stops, and how long its sessions may take: signals and
//! operators have a say.

use std::time::Duration;

use flotilla_worker::Leave;
use tokio::sync::watch;
use tokio::time::Instant;

use super::up::Signals;

/// Hears who wants the process to stop.
#[derive(Debug)]
pub(crate) struct Stopping {
    signals: Signals,
    leaving: watch::Receiver<Option<Leave>>,
    drain_timeout: Duration,
    /// Until when the sessions may take, once it was told; as long as they want where it is `None`.
    deadline: Option<Instant>,
}

impl Stopping {
    pub(crate) fn new(
        signals: Signals,
        leaving: watch::Receiver<Option<Leave>>,
        drain_timeout: Duration,
    ) -> Self {
        Self { signals, leaving, drain_timeout, deadline: None }
    }

    /// Resolves when a signal or an operator says that it is to stop.
    pub(crate) async fn told(&mut self) {
        let within = tokio::select! {
            () = self.signals.next() => Some(self.drain_timeout),
            leave = ordered(&mut self.leaving) => leave.within,
        };
        self.sooner(within);
    }

    /// Resolves when the sessions have had their time. A signal ends it; an operator who gave them
    /// as long as they want is overruled by the first signal, which gives them the drain timeout.
    pub(crate) async fn patience(&mut self) {
        loop {
            let deadline = self.deadline;
            tokio::select! {
                () = until(deadline) => return,
                () = self.signals.next() => match deadline {
                    Some(_) => return,
                    None => self.sooner(Some(self.drain_timeout)),
                },
                leave = ordered(&mut self.leaving) => self.sooner(leave.within),
            }
        }
    }

    /// Nobody gives back time that another took.
    fn sooner(&mut self, within: Option<Duration>) {
        let deadline = within.map(|within| Instant::now() + within);
        self.deadline = match (self.deadline, deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}

async fn ordered(leaving: &mut watch::Receiver<Option<Leave>>) -> Leave {
    match leaving.changed().await {
        Ok(()) => match *leaving.borrow_and_update() {
            Some(leave) => leave,
            None => std::future::pending().await,
        },
        // The worker has stopped: nobody tells it anything any more.
        Err(_) => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(300);

    fn stopping() -> (Stopping, watch::Sender<Option<Leave>>) {
        let (told, leaving) = watch::channel(None);
        (Stopping::new(Signals::listen().unwrap(), leaving, LIMIT), told)
    }

    fn leave(told: &watch::Sender<Option<Leave>>, seconds: Option<u64>) {
        told.send_replace(Some(Leave { within: seconds.map(Duration::from_secs) }));
    }

    #[tokio::test]
    async fn the_shortest_of_what_operators_gave_counts() {
        let (mut stopping, told) = stopping();
        leave(&told, None);
        stopping.told().await;
        assert_eq!(stopping.deadline, None, "as long as they want");
        leave(&told, Some(0));
        stopping.patience().await;
        let deadline = stopping.deadline;
        stopping.sooner(Some(LIMIT));
        assert_eq!(stopping.deadline, deadline);
        stopping.sooner(None);
        assert_eq!(stopping.deadline, deadline);
    }
}
