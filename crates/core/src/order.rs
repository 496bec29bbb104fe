//! Orders: what an operator wants one worker to do, signed by the gateway that was asked.
//!
//! Like a ticket, an order names a worker's *life*, ends at a moment of that life's own clock, and
//! is taken once. The answer is signed for that order alone, so that nobody else's word counts as
//! the worker's.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{Instance, SessionId, WorkerId};
use crate::keyring::{Keyring, Purpose};
use crate::once::Once;
use crate::status::SessionStatus;
use crate::ticket::millis;

/// The longest that an order may be good for. What a worker must remember is bounded by it.
pub const LONGEST: Duration = Duration::from_secs(60);
/// The longest text of an order that is looked at.
pub const LONGEST_TEXT: usize = 4 * 1024;

/// What a worker can be told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Deed {
    /// Take no new sessions.
    Drain,
    /// Take sessions again.
    Undrain,
    /// Take no new sessions, and end when the last has ended.
    Shutdown {
        /// How long the sessions may take, in seconds; what is left then is ended with a reason.
        /// As long as they want where this is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_seconds: Option<u64>,
    },
    /// End one session.
    End {
        /// Which.
        session: SessionId,
        /// Why, in the operator's words.
        reason: String,
    },
    /// Tell the sessions. Changes nothing.
    Sessions,
}

impl Deed {
    /// What it is called in logs and counters.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Shutdown { .. } => "shutdown",
            Self::End { .. } => "end",
            Self::Sessions => "sessions",
        }
    }
}

/// What became of it. `Done` means that it holds from now on: after a drain nobody is admitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is so.
    Done,
    /// The worker has no such session.
    NoSuchSession,
    /// The worker is on its way out, and takes no sessions again.
    Leaving,
    /// What was asked for.
    Sessions {
        /// The sessions, the oldest first.
        sessions: Vec<SessionStatus>,
    },
}

impl Outcome {
    /// The answer to the order with this nonce, and the signature that goes with it.
    pub fn seal(&self, keyring: &Keyring, nonce: u64) -> (String, String) {
        // Plain fields always become JSON.
        let json = serde_json::to_string(self).unwrap_or_default();
        let signature = keyring.sign(Purpose::Outcome, signed(nonce, &json).as_bytes());
        (json, signature)
    }

    /// Reads what [`Outcome::seal`] wrote; `None` when it does not answer this order.
    pub fn open(keyring: &Keyring, nonce: u64, json: &str, signature: &str) -> Option<Self> {
        let answers = keyring.verify(Purpose::Outcome, signed(nonce, json).as_bytes(), signature);
        answers.then(|| serde_json::from_str(json).ok()).flatten()
    }
}

fn signed(nonce: u64, json: &str) -> String {
    format!("{nonce} {json}")
}

/// One worker is to do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which worker.
    pub worker: WorkerId,
    /// In which life of it.
    pub instance: Instance,
    /// What.
    pub deed: Deed,
    /// Until when this is good, in milliseconds of the worker's uptime.
    pub expires: u64,
    /// Tells two orders apart.
    pub nonce: u64,
}

/// Why an order is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OrderError {
    /// Nobody with the fleet's secret signed it.
    #[error("the order is not signed with the fleet's secret")]
    Forged,
    /// It is signed, but cannot be read: by another release, perhaps.
    #[error("the order cannot be read")]
    Malformed,
    /// It is for another worker, or for an earlier life of this one.
    #[error("the order is for another worker, or for an earlier life of this one")]
    Foreign,
    /// It came too late.
    #[error("the order has expired")]
    Expired,
    /// It would be good for longer than any may be.
    #[error("the order is good for longer than {} s", LONGEST.as_secs())]
    TooLong,
    /// It has been here before.
    #[error("the order has been carried out before")]
    Replayed,
}

impl OrderError {
    /// Every kind, for counters that begin at zero.
    pub const ALL: [Self; 6] = [
        Self::Forged,
        Self::Malformed,
        Self::Foreign,
        Self::Expired,
        Self::TooLong,
        Self::Replayed,
    ];

    /// The label of the counter, and the refusal's code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forged => "order_forged",
            Self::Malformed => "order_malformed",
            Self::Foreign => "order_foreign",
            Self::Expired => "order_expired",
            Self::TooLong => "order_too_long",
            Self::Replayed => "order_replayed",
        }
    }
}

impl Order {
    /// The order as it travels, fit for a URL's path.
    pub fn seal(&self, keyring: &Keyring) -> String {
        // Plain fields always become JSON.
        keyring.seal(Purpose::Order, &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what [`Order::seal`] wrote.
    ///
    /// # Errors
    /// When nobody with our secret wrote it.
    pub fn open(keyring: &Keyring, text: &str) -> Result<Self, OrderError> {
        if text.len() > LONGEST_TEXT {
            return Err(OrderError::Forged);
        }
        let json = keyring.open(Purpose::Order, text).ok_or(OrderError::Forged)?;
        serde_json::from_slice(&json).map_err(|_| OrderError::Malformed)
    }
}

/// Where a worker takes orders: what it takes, and what it has taken.
#[derive(Debug)]
pub struct Desk {
    worker: WorkerId,
    instance: Instance,
    taken: Once<u64>,
}

impl Desk {
    /// The desk of this life of this worker.
    pub fn new(worker: WorkerId, instance: Instance) -> Self {
        Self { worker, instance, taken: Once::new() }
    }

    /// Takes an order, once.
    ///
    /// # Errors
    /// Why it is not taken. Whatever the reason, nothing was done.
    pub fn take(
        &mut self,
        keyring: &Keyring,
        text: &str,
        uptime: Duration,
    ) -> Result<Order, OrderError> {
        let order = Order::open(keyring, text)?;
        if (&order.worker, &order.instance) != (&self.worker, &self.instance) {
            return Err(OrderError::Foreign);
        }
        let now = millis(uptime);
        self.taken.forget(now);
        if order.expires <= now {
            return Err(OrderError::Expired);
        }
        if order.expires - now > millis(LONGEST) {
            return Err(OrderError::TooLong);
        }
        match self.taken.first(order.nonce, order.expires) {
            true => Ok(order),
            false => Err(OrderError::Replayed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Keyring {
        Keyring::parse("the-secret-of-the-fleet").unwrap()
    }

    fn theirs() -> Keyring {
        Keyring::parse("some-other-secret-of-theirs").unwrap()
    }

    fn desk() -> Desk {
        Desk::new(WorkerId("w".into()), Instance("1".into()))
    }

    fn order(deed: Deed) -> Order {
        Order {
            worker: WorkerId("w".into()),
            instance: Instance("1".into()),
            deed,
            expires: 30_000,
            nonce: 7,
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn every_order_travels_and_is_taken_once() {
        let session = SessionId("s".into());
        let deeds = [
            Deed::Drain,
            Deed::Undrain,
            Deed::Shutdown { within_seconds: None },
            Deed::Shutdown { within_seconds: Some(300) },
            Deed::End { session, reason: "it hangs, \"ünfortunately\"".into() },
            Deed::Sessions,
        ];
        let mut desk = desk();
        for (nonce, deed) in deeds.into_iter().enumerate() {
            let order = Order { nonce: nonce as u64, ..order(deed) };
            let text = order.seal(&ring());
            assert_eq!(desk.take(&ring(), &text, secs(10)), Ok(order));
            assert_eq!(desk.take(&ring(), &text, secs(11)), Err(OrderError::Replayed));
        }
        let late = order(Deed::Drain).seal(&ring());
        assert_eq!(desk.take(&ring(), &late, secs(30)), Err(OrderError::Expired));
        assert!(desk.taken.is_empty(), "what could not come again is forgotten");
    }

    #[test]
    fn an_order_that_is_not_for_here_and_now_is_not_taken() {
        let drain = || order(Deed::Drain);
        let cases = [
            (Order { worker: WorkerId("v".into()), ..drain() }, OrderError::Foreign),
            (Order { instance: Instance("0".into()), ..drain() }, OrderError::Foreign),
            (Order { expires: 1_000, ..drain() }, OrderError::Expired),
            (Order { expires: 1_000_000, ..drain() }, OrderError::TooLong),
        ];
        let mut desk = desk();
        for (order, error) in cases {
            assert_eq!(desk.take(&ring(), &order.seal(&ring()), secs(10)), Err(error));
        }
        let forged = drain().seal(&theirs());
        assert_eq!(desk.take(&ring(), &forged, secs(10)), Err(OrderError::Forged));
        let huge = "x".repeat(LONGEST_TEXT + 1);
        assert_eq!(desk.take(&ring(), &huge, secs(10)), Err(OrderError::Forged));
        let json = serde_json::to_vec(&drain()).unwrap();
        let as_ticket = ring().seal(Purpose::Ticket, &json);
        assert_eq!(desk.take(&ring(), &as_ticket, secs(10)), Err(OrderError::Forged));
        let unreadable = ring().seal(Purpose::Order, br#"{"deed":{"do":"explode"}}"#);
        assert_eq!(desk.take(&ring(), &unreadable, secs(10)), Err(OrderError::Malformed));
        assert!(desk.taken.is_empty());
    }

    #[test]
    fn an_answer_counts_for_its_own_order_only() {
        let (json, signature) = Outcome::Done.seal(&ring(), 7);
        assert_eq!(json, r#"{"outcome":"done"}"#);
        assert_eq!(Outcome::open(&ring(), 7, &json, &signature), Some(Outcome::Done));
        assert_eq!(Outcome::open(&ring(), 8, &json, &signature), None);
        assert_eq!(Outcome::open(&theirs(), 7, &json, &signature), None);
        let other = Outcome::Leaving.seal(&ring(), 7).0;
        assert_eq!(Outcome::open(&ring(), 7, &other, &signature), None);
    }
}
