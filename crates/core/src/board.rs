//! Where a worker's newest advert hangs: the worker posts what changed, and everybody who tells
//! others reads it here, so that whatever is told later is also newer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::advert::Advert;
use crate::ticket::millis;

/// The newest advert of one life of a worker.
#[derive(Debug)]
pub struct Board {
    // A std mutex: held for a copy, never across an await.
    advert: Mutex<Advert>,
}

impl Board {
    /// Begins with this: who the worker is, and where.
    pub fn new(identity: Advert) -> Self {
        Self { advert: Mutex::new(identity) }
    }

    /// Takes over what the worker says of its slots and sessions; who and where it is stays.
    /// `true` when that is news.
    pub fn post(&self, said: &Advert) -> bool {
        let mut advert = self.advert.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Advert {
            slots: said.slots,
            used: said.used,
            lifetime: said.lifetime,
            starting: said.starting,
            draining: said.draining,
            serves: said.serves.clone(),
            browsers: said.browsers.clone(),
            ..advert.clone()
        };
        let news = next != *advert;
        *advert = next;
        news
    }

    /// The advert as of now, newer than every one that was read before.
    pub fn read(&self, uptime: Duration) -> Advert {
        let mut advert = self.advert.lock().unwrap_or_else(PoisonError::into_inner);
        advert.seq += 1;
        advert.uptime_ms = millis(uptime);
        advert.clone()
    }

    /// Slots that a new session could have.
    pub fn free(&self) -> usize {
        self.advert.lock().unwrap_or_else(PoisonError::into_inner).free()
    }

    /// Where gateways dial the worker, once that is known.
    pub fn set_endpoint(&self, endpoint: String) {
        self.advert.lock().unwrap_or_else(PoisonError::into_inner).endpoint = endpoint;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::WorkerId;

    #[test]
    fn what_is_read_later_is_newer_and_the_identity_stays() {
        let board = Board::new(Advert { id: WorkerId("w".into()), ..Advert::default() });
        assert!(board.post(&Advert { slots: 5, used: 1, ..Advert::default() }));
        assert!(!board.post(&Advert { slots: 5, used: 1, ..Advert::default() }));
        let first = board.read(Duration::from_secs(1));
        let second = board.read(Duration::from_secs(2));
        assert_eq!((first.id.0.as_str(), first.used, first.uptime_ms), ("w", 1, 1000));
        assert!(second.seq > first.seq);
        assert!(second.says_the_same_as(&first));
    }
}
