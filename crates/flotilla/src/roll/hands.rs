//! What a roll does to those that are rolled, whichever they are.

use flotilla_core::rollout::{Life, Seen};

use crate::probe::Endpoint;

/// Eyes and hands of a roll. What cannot be done is said in words, and is tried again or ends it.
pub trait Hands: Send + Sync + 'static {
    /// Whoever is there now, as clients would find them.
    fn look(&self) -> impl Future<Output = Result<Vec<Seen>, String>> + Send;

    /// Whose counters tell how sessions end that pass no gateway.
    fn counters(&self) -> Vec<Endpoint>;

    /// Starts a new one.
    fn start(
        &self,
        name: &str,
        replaces: Option<&str>,
    ) -> impl Future<Output = Result<(), String>> + Send;

    /// Ends what was started under that name and was never seen.
    fn discard(&self, name: &str) -> impl Future<Output = Result<(), String>> + Send;

    /// Has a session on a new one; what it was like, in words.
    fn probe(&self, who: &Life) -> impl Future<Output = Result<String, String>> + Send;

    /// Has one take no more sessions.
    fn drain(&self, who: &Life) -> impl Future<Output = Result<(), String>> + Send;

    /// Has one take sessions again.
    fn undrain(&self, who: &Life) -> impl Future<Output = Result<(), String>> + Send;

    /// Ends one that has no sessions. Resolves when its process has ended, as far as that shows.
    fn stop(&self, who: &Life) -> impl Future<Output = Result<(), String>> + Send;
}
