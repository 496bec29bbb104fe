//! An end that the relay's caller brings about: by somebody's word, by the clock, or because the
//! upstream vanished and somebody knows why.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};

use crate::close::CloseReason;

/// How long an explanation may take after the upstream vanished.
const EXPLANATION_WITHIN: Duration = Duration::from_millis(500);

/// The end of one session, as its caller sees it. `E` is the caller's word for an end.
#[derive(Debug)]
pub struct Ended<E> {
    // Held by one future at a time: first by the one that waits for a word, then by the one that
    // asks for an explanation.
    // `None` once it has resolved.
    told: Mutex<Option<oneshot::Receiver<E>>>,
    lost: E,
    limit: Option<(Duration, E)>,
    words: fn(&E) -> CloseReason,
    first: OnceLock<E>,
}

impl<E: Clone> Ended<E> {
    /// `told` resolves when somebody ends the session; `lost` stands for the upstream's vanishing
    /// when nobody explains it; after `limit` the session ends with its word.
    pub fn new(
        told: oneshot::Receiver<E>,
        lost: E,
        limit: Option<(Duration, E)>,
        words: fn(&E) -> CloseReason,
    ) -> Self {
        Self { told: Mutex::new(Some(told)), lost, limit, words, first: OnceLock::new() }
    }

    /// Resolves when the session is to be ended: as soon as one of those who were given at the
    /// beginning says so, or when `asked` resolves.
    pub async fn decided(&self, asked: impl Future<Output = E>) -> CloseReason {
        let told = async {
            match self.word().await {
                Some(end) => end,
                None => std::future::pending().await,
            }
        };
        let told = async {
            tokio::select! {
                end = told => end,
                end = asked => end,
            }
        };
        let end = match &self.limit {
            None => told.await,
            Some((limit, over)) => {
                tokio::time::timeout(*limit, told).await.unwrap_or_else(|_| over.clone())
            }
        };
        self.settle(end)
    }

    /// Why the upstream vanished.
    pub async fn lost(&self) -> CloseReason {
        let end = tokio::time::timeout(EXPLANATION_WITHIN, self.word()).await.ok().flatten();
        self.settle(end.unwrap_or_else(|| self.lost.clone()))
    }

    /// The end, if the caller brought one about.
    pub fn cause(&self) -> Option<&E> {
        self.first.get()
    }

    /// What somebody says; `None` when nobody will any more.
    async fn word(&self) -> Option<E> {
        let mut told = self.told.lock().await;
        let word = told.as_mut()?.await.ok();
        *told = None;
        word
    }

    fn settle(&self, end: E) -> CloseReason {
        // The first stays: what follows it is its consequence.
        (self.words)(self.first.get_or_init(|| end))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn words(end: &&'static str) -> CloseReason {
        CloseReason::new(1011, *end)
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_ends_it_and_so_does_the_clock() {
        let (tell, told) = oneshot::channel();
        let ended = Ended::new(told, "lost", None, words);
        tell.send("told").unwrap();
        assert_eq!(ended.decided(pending()).await.text, "told");
        let (_tell, told) = oneshot::channel();
        let limit = Some((Duration::from_secs(5), "over"));
        let ended = Ended::new(told, "lost", limit, words);
        assert_eq!(ended.decided(pending()).await.text, "over");
        assert_eq!(ended.cause(), Some(&"over"));
        let (_tell, told) = oneshot::channel();
        let ended = Ended::new(told, "lost", None, words);
        assert_eq!(ended.decided(async { "asked" }).await.text, "asked");
    }

    #[tokio::test(start_paused = true)]
    async fn who_vanished_is_explained_if_somebody_can() {
        let (tell, told) = oneshot::channel();
        let ended = Ended::new(told, "lost", None, words);
        let explained = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            tell.send("told").unwrap();
        };
        let (reason, ()) = tokio::join!(ended.lost(), explained);
        assert_eq!(reason.text, "told");
        let (tell, told) = oneshot::channel();
        drop::<oneshot::Sender<_>>(tell);
        assert_eq!(Ended::new(told, "lost", None, words).lost().await.text, "lost");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_for_an_explanation_who_went_without_a_word() {
        let (tell, told) = oneshot::channel();
        let ended = Ended::new(told, "lost", None, words);
        drop::<oneshot::Sender<_>>(tell);
        let moment = Duration::from_millis(10);
        assert!(tokio::time::timeout(moment, ended.decided(pending())).await.is_err());
        assert_eq!(ended.lost().await.text, "lost");
    }
}
