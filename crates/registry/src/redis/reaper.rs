//! Clears away what dead workers left. Any gateway may do it, and several do no harm: what a living
//! worker should lose by it is back with its next heartbeat.
//!
//! An entry is dead when nobody refreshes it: at two looks, a TTL apart, its worker has no key left
//! that time takes away, and its value is the same. No machine's clock is compared with another's.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use flotilla_core::BrowserKind;
use redis::cmd;

use super::fault::Fault;
use super::jitter;
use super::keys::{self, ACTIVE, LIFETIME, WORKERS};
use super::link::Asks;
use super::living::living;
use super::snapshot::{Entry, Scan};

pub(crate) struct Reaper {
    ttl: Duration,
    interval: Duration,
    /// When to look next.
    next: Instant,
    /// What seemed dead, since when, by a digest of its name and one of its value.
    suspects: HashMap<u64, (u64, Instant)>,
    digests: RandomState,
}

// === impl Reaper ===

impl Reaper {
    pub(crate) fn new(ttl: Duration, interval: Duration) -> Self {
        Self {
            ttl,
            interval,
            next: Instant::now() + jitter::shortened(interval),
            suspects: HashMap::new(),
            digests: RandomState::new(),
        }
    }

    /// When to look next.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Looks at everything, and says how many entries it cleared away.
    pub(crate) async fn look(&mut self, asks: &mut Asks) -> Result<usize, Fault> {
        self.next = Instant::now() + jitter::shortened(self.interval);
        let mut suspects = HashMap::new();
        let mut cleared = 0;
        for hash in [WORKERS, ACTIVE, LIFETIME] {
            let mut scan = Scan::of(hash);
            while let Some(entries) = scan.next(asks).await? {
                cleared += self.clear(hash, entries, &mut suspects, asks).await?;
            }
        }
        if let Some(first) = suspects.values().map(|(_, since)| *since).min() {
            self.next = self.next.min(first + self.ttl).max(Instant::now());
        }
        self.suspects = suspects;
        Ok(cleared)
    }

    async fn clear(
        &self,
        hash: &'static str,
        entries: Vec<Entry>,
        suspects: &mut HashMap<u64, (u64, Instant)>,
        asks: &mut Asks,
    ) -> Result<usize, Fault> {
        let keys: Vec<_> = entries.iter().map(|(field, _)| keys_of(hash, field)).collect();
        let lives = living(asks, keys).await?;
        let dead =
            entries.into_iter().zip(lives).filter(|(_, lives)| !lives).map(|(entry, _)| entry);
        let mut gone = cmd("HDEL");
        gone.arg(hash);
        let mut count = 0;
        for (field, value) in dead {
            let (name, now) =
                (self.digests.hash_one((hash, &field)), self.digests.hash_one(&value));
            match self.suspects.get(&name) {
                Some((then, since)) if *then == now && since.elapsed() >= self.ttl => {
                    gone.arg(field);
                    count += 1;
                }
                Some((then, since)) if *then == now => drop(suspects.insert(name, (now, *since))),
                _ => drop(suspects.insert(name, (now, Instant::now()))),
            }
        }
        if count > 0 {
            asks.ask::<()>(&gone).await?;
        }
        Ok(count)
    }
}

/// The keys that show that the owner of an entry lives. What is nobody's has none.
fn keys_of(hash: &str, field: &[u8]) -> Vec<String> {
    let Ok(field) = std::str::from_utf8(field) else { return Vec::new() };
    if hash == WORKERS {
        return keys::all_of(field);
    }
    let owner = field.split_once(':').and_then(|(browser, id)| {
        let browser: BrowserKind = browser.parse().ok()?;
        Some(keys::worker(browser, id))
    });
    owner.into_iter().collect()
}
