//! Lies that were found in Redis: each is counted, and logged once a minute for who tells it and
//! why it is not believed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_core::metrics::{AdvertFault, Label as _};

use super::outage::Observer;

/// How long the same is not logged again.
const QUIET: Duration = Duration::from_secs(60);
/// Liars that are told apart. Where there are more, they share a line.
const MOST_LIARS: usize = 256;
/// How much of a name is shown.
const LONGEST_SHOWN: usize = 80;

pub(crate) struct Rejected {
    observer: Arc<dyn Observer>,
    logged: HashMap<(String, AdvertFault), Instant>,
}

// === impl Rejected ===

impl Rejected {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        Self { observer, logged: HashMap::new() }
    }

    /// This was found there, and is not believed.
    pub(crate) fn found(&mut self, place: &str, reason: AdvertFault, why: &impl fmt::Display) {
        self.observer.rejected(reason);
        if self.is_news(place, reason) {
            tracing::warn!(place, reason = reason.value(), "not believed: {why}");
        }
    }

    fn is_news(&mut self, place: &str, reason: AdvertFault) -> bool {
        let now = Instant::now();
        self.logged.retain(|_, at| now.duration_since(*at) < QUIET);
        let place = if self.logged.len() < MOST_LIARS { place } else { "many" };
        let key = (place.to_owned(), reason);
        let news = !self.logged.contains_key(&key);
        if news {
            self.logged.insert(key, now);
        }
        news
    }
}

/// A name from Redis, fit for a log.
pub(crate) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(&name[..name.len().min(LONGEST_SHOWN)]);
    text.escape_default().collect()
}
