//! What a worker does when an operator wants something of it.

use std::time::Duration;

use flotilla_core::ending::Ending;
use flotilla_core::order::{Deed, Outcome};
use tokio::sync::watch;

use crate::session::Worker;

/// A worker has been told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// How long its sessions may take; as long as they want where this is `None`.
    pub within: Option<Duration>,
}

impl Worker {
    /// Carries out an order. When it answers, it is so: nobody is admitted after the answer to a
    /// drain.
    pub async fn carry_out(&self, deed: Deed) -> Outcome {
        match deed {
            Deed::Drain => {
                drop(self.drain());
                self.in_force().await;
                Outcome::Done
            }
            Deed::Undrain => {
                let undrained = self.undrain().await;
                self.in_force().await;
                if undrained { Outcome::Done } else { Outcome::Leaving }
            }
            Deed::Shutdown { within_seconds } => {
                drop(self.leave());
                self.in_force().await;
                let within = within_seconds.map(Duration::from_secs);
                self.leaving.send_replace(Some(Leave { within }));
                Outcome::Done
            }
            Deed::End { session, reason } => {
                match self.end(session, Ending::operator(&reason)).await {
                    true => Outcome::Done,
                    false => Outcome::NoSuchSession,
                }
            }
            Deed::Sessions => {
                Outcome::Sessions { sessions: self.sessions().await.unwrap_or_default() }
            }
        }
    }

    /// Changes whenever an order to end has come; whoever runs the worker sees to it.
    pub fn leaving(&self) -> watch::Receiver<Option<Leave>> {
        self.leaving.subscribe()
    }

    /// Commands are carried out in their order: what was sent before this has been.
    async fn in_force(&self) {
        self.inspect().await;
    }
}

#[cfg(test)]
mod tests;
