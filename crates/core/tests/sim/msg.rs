//! What the parts of a grid say to each other, and to the world around it.

use std::rc::Rc;
use std::time::Duration;

use flotilla_core::SessionId;
use flotilla_core::ending::Ending;
use flotilla_core::pool::Demand;

/// One message on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Msg {
    // A client and its gateway.
    /// The handshake.
    Want {
        key: String,
        demand: Demand,
    },
    /// 101.
    #[allow(dead_code, reason = "a trace shows it")]
    LetIn {
        session: SessionId,
    },
    /// Any other status.
    Refused {
        code: &'static str,
    },

    // Both, and a gateway and a worker.
    /// A close frame; with the grid's own words when the grid ends the session.
    Close {
        ending: Option<Ending>,
    },
    Ping,
    Pong,

    // A gateway and a worker.
    /// The handshake, with a ticket in its path.
    Session {
        ticket: String,
    },
    /// 102, with the worker's advert.
    Processing {
        advert: String,
    },
    /// 101.
    Switching,
    /// A refusal, with the worker's advert if it has looked at the ticket.
    NotOpened {
        code: &'static str,
        status: u16,
        words: String,
        wait: Option<Duration>,
        advert: Option<String>,
    },
    Hello {
        nonce: String,
    },
    Proof {
        text: String,
    },

    // A worker or a gateway and Redis.
    /// The worker's key, for its TTL, and a publication.
    Tell {
        key: String,
        advert: Rc<str>,
        ttl: Duration,
    },
    /// The key goes, and so does the worker.
    Goodbye {
        key: String,
        instance: String,
    },
    Told,
    Subscribe,
    Subscribed,
    Published {
        advert: Rc<str>,
    },
    Left {
        key: String,
        instance: String,
    },
    Snapshot,
    Entries {
        adverts: Vec<Rc<str>>,
    },

    // An operator and a worker.
    Order(Order),
}

/// What an operator wants done. It travels signed; who signs what is tested elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Drain,
    Undrain,
    /// Ends the oldest of the worker's sessions.
    EndOldest,
    /// Drain, end what is left, and stop.
    Stop,
}
