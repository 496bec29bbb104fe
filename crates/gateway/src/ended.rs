//! The end that the grid itself brings about, and the words for it.

use std::sync::OnceLock;
use std::time::Duration;

use flotilla_core::ending::{EndCause, Ending};
use flotilla_relay::CloseReason;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

/// How long the worker may take to say why a browser's side vanished.
const EXPLANATION_WITHIN: Duration = Duration::from_millis(500);

/// The end that the grid brings about, if it does: by the worker's word or by the clock.
pub(crate) struct Ended {
    told: Shared<BoxFuture<'static, Option<Ending>>>,
    limit: Option<Duration>,
    cause: OnceLock<EndCause>,
}

impl Ended {
    pub(crate) fn new(ending: oneshot::Receiver<Ending>, limit: Option<Duration>) -> Self {
        Self { told: ending.map(Result::ok).boxed().shared(), limit, cause: OnceLock::new() }
    }

    /// Resolves when the session is to be ended.
    pub(crate) async fn decided(&self) -> CloseReason {
        let told = async {
            match self.told.clone().await {
                Some(ending) => ending,
                None => std::future::pending().await,
            }
        };
        let ending = match self.limit {
            None => told.await,
            Some(limit) => {
                tokio::time::timeout(limit, told).await.unwrap_or_else(|_| Ending::too_long(limit))
            }
        };
        self.close_reason(ending)
    }

    /// Why the browser's side vanished: the worker knows in a moment.
    pub(crate) async fn lost(&self) -> CloseReason {
        let told = tokio::time::timeout(EXPLANATION_WITHIN, self.told.clone()).await;
        let ending = told
            .ok()
            .flatten()
            .unwrap_or_else(|| Ending::browser_died("browser", "its connection broke"));
        self.close_reason(ending)
    }

    /// The cause, if the grid had one.
    pub(crate) fn cause(&self) -> Option<EndCause> {
        self.cause.get().copied()
    }

    fn close_reason(&self, ending: Ending) -> CloseReason {
        // The first cause stays: what follows it is its consequence.
        let _ = self.cause.set(ending.cause);
        CloseReason::new(ending.code, ending.reason)
    }
}
