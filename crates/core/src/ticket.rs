//! Tickets: a gateway's signed word that one session may start on one worker.
//!
//! A ticket names a worker's *life* and ends at a moment of that life's own clock, so neither a
//! wall clock that jumps nor a restart can make an old one good again. The worker remembers every
//! ticket that it has seen for as long as it could come again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{Instance, SessionId, WorkerId};
use crate::keyring::{Keyring, Purpose};
use crate::once::Once;
use crate::pool::{Demand, Sharing};

/// The longest that a ticket may be good for. What a worker must remember is bounded by it.
pub const LONGEST: Duration = Duration::from_secs(60);
/// The longest text of a ticket that is looked at: launch options are in it.
pub const LONGEST_TEXT: usize = 32 * 1024;

/// Who comes with a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    /// A gateway, which relays.
    Relayed,
    /// A gateway, for a client that will come by itself.
    Reserved,
    /// The client itself, to the slot that was reserved for it.
    Direct,
}

/// One session may start on one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Which session.
    pub session: SessionId,
    /// On which worker.
    pub worker: WorkerId,
    /// In which life of it.
    pub instance: Instance,
    /// Who comes with it.
    pub route: Route,
    /// Which browser it may run in, and whose it is. Of a browser that was granted already,
    /// [`Ticket::for_client`] tells the kind only.
    pub demand: Demand,
    /// How long it may last, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u64>,
    /// Until when it is good, in milliseconds of the worker's uptime.
    pub expires: u64,
    /// Tells two tickets of one session apart.
    pub nonce: u64,
}

/// Why a ticket is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TicketError {
    /// Nobody with the fleet's secret signed it.
    #[error("the ticket is not signed with the fleet's secret")]
    Forged,
    /// It is signed, but cannot be read: by another release, perhaps.
    #[error("the ticket cannot be read")]
    Malformed,
    /// It is for another worker, or for an earlier life of this one.
    #[error("the ticket is for another worker")]
    Foreign,
    /// It was for another way in.
    #[error("the ticket is not for this way in")]
    WrongRoute,
    /// It came too late.
    #[error("the ticket has expired")]
    Expired,
    /// It would be good for longer than any may be.
    #[error("the ticket is good for longer than {} s", LONGEST.as_secs())]
    TooLong,
    /// It has been here before.
    #[error("the ticket has been used")]
    Replayed,
}

impl TicketError {
    /// Every kind, for counters that begin at zero.
    pub const ALL: [Self; 7] = [
        Self::Forged,
        Self::Malformed,
        Self::Foreign,
        Self::WrongRoute,
        Self::Expired,
        Self::TooLong,
        Self::Replayed,
    ];

    /// The label of the counter, and the refusal's code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forged => "ticket_forged",
            Self::Malformed => "ticket_malformed",
            Self::Foreign => "ticket_foreign",
            Self::WrongRoute => "ticket_wrong_route",
            Self::Expired => "ticket_expired",
            Self::TooLong => "ticket_too_long",
            Self::Replayed => "ticket_replayed",
        }
    }
}

impl Ticket {
    /// The client's own ticket to the slot that this one reserved.
    ///
    /// A client's log shows the address that it connects to: whose browser it is, and what it was
    /// launched with, stays out of it.
    pub fn for_client(&self, expires: u64, nonce: u64) -> Self {
        let demand = Demand { sharing: Sharing::Alone, ..self.demand.clone() };
        Self { route: Route::Direct, demand, max_seconds: None, expires, nonce, ..self.clone() }
    }

    /// The ticket as it travels, fit for a URL's path.
    pub fn seal(&self, keyring: &Keyring) -> String {
        // Plain fields, and launch options that came from JSON, always become JSON.
        keyring.seal(Purpose::Ticket, &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what [`Ticket::seal`] wrote.
    ///
    /// # Errors
    /// When nobody with our secret wrote it.
    pub fn open(keyring: &Keyring, text: &str) -> Result<Self, TicketError> {
        if text.len() > LONGEST_TEXT {
            return Err(TicketError::Forged);
        }
        let json = keyring.open(Purpose::Ticket, text).ok_or(TicketError::Forged)?;
        serde_json::from_slice(&json).map_err(|_| TicketError::Malformed)
    }
}

/// A worker's gate: what it takes, and what it has taken.
#[derive(Debug)]
pub struct Gate {
    worker: WorkerId,
    instance: Instance,
    used: Once<(SessionId, u64)>,
}

impl Gate {
    /// The gate of this life of this worker.
    pub fn new(worker: WorkerId, instance: Instance) -> Self {
        Self { worker, instance, used: Once::new() }
    }

    /// Takes a ticket, once.
    ///
    /// # Errors
    /// Why it is not taken. Whatever the reason, a slot was not touched.
    pub fn take(
        &mut self,
        keyring: &Keyring,
        text: &str,
        routes: &[Route],
        uptime: Duration,
    ) -> Result<Ticket, TicketError> {
        let ticket = Ticket::open(keyring, text)?;
        if (&ticket.worker, &ticket.instance) != (&self.worker, &self.instance) {
            return Err(TicketError::Foreign);
        }
        if !routes.contains(&ticket.route) {
            return Err(TicketError::WrongRoute);
        }
        let now = millis(uptime);
        self.used.forget(now);
        if ticket.expires <= now {
            return Err(TicketError::Expired);
        }
        if ticket.expires - now > millis(LONGEST) {
            return Err(TicketError::TooLong);
        }
        match self.used.first((ticket.session.clone(), ticket.nonce), ticket.expires) {
            true => Ok(ticket),
            false => Err(TicketError::Replayed),
        }
    }

    /// Tickets that are remembered.
    pub fn remembered(&self) -> usize {
        self.used.len()
    }
}

/// Whole milliseconds, as tickets and adverts count a worker's uptime.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::BrowserKind;
    use crate::launch_options::LaunchPolicy;
    use crate::version::PlaywrightVersion;

    const RELAYED: &[Route] = &[Route::Relayed];

    fn ring() -> Keyring {
        Keyring::parse("the-secret-of-the-fleet").unwrap()
    }

    fn gate() -> Gate {
        Gate::new(WorkerId("w".into()), Instance("1".into()))
    }

    fn ticket() -> Ticket {
        Ticket {
            session: SessionId("s".into()),
            worker: WorkerId("w".into()),
            instance: Instance("1".into()),
            route: Route::Relayed,
            demand: Demand {
                kind: BrowserKind::Chromium,
                version: PlaywrightVersion { major: 1, minor: 65 },
                sharing: Sharing::Tenant("everybody".into()),
            },
            max_seconds: None,
            expires: 30_000,
            nonce: 7,
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_good_ticket_is_taken_once_and_forgotten_when_it_could_not_come_again() {
        let (mut gate, text) = (gate(), ticket().seal(&ring()));
        assert_eq!(gate.take(&ring(), &text, RELAYED, secs(10)), Ok(ticket()));
        let again = gate.take(&ring(), &text, RELAYED, secs(11));
        assert_eq!(again, Err(TicketError::Replayed));
        assert_eq!(gate.remembered(), 1);
        let late = gate.take(&ring(), &text, RELAYED, secs(30));
        assert_eq!(late, Err(TicketError::Expired));
        assert_eq!(gate.remembered(), 0);
    }

    #[test]
    fn a_clients_ticket_is_for_itself_and_tells_nothing_of_its_browser() {
        let secret = "user:password@proxy.example";
        let allowed = vec!["proxy".to_owned()];
        let policy = LaunchPolicy { headless: true, allowed, allowed_args: Vec::new() };
        let asked = format!(r#"{{"proxy":{{"server":"http://{secret}"}}}}"#);
        let options = policy.reduce(&asked).unwrap();
        let sharing = Sharing::Custom { options, expose_network: Some("<loopback>".into()) };
        let demand = Demand { sharing, ..ticket().demand };
        let reserved = Ticket { route: Route::Reserved, demand, ..ticket() };
        assert!(serde_json::to_string(&reserved).unwrap().contains(secret));
        let direct = reserved.for_client(20_000, 8);
        let json = serde_json::to_string(&direct).unwrap();
        assert!(!json.contains(secret) && !json.contains("loopback"), "{json}");

        let (mut gate, text) = (gate(), direct.seal(&ring()));
        assert!(text.len() < 400, "it stands in a client's log: {text}");
        let taken = gate.take(&ring(), &text, RELAYED, secs(10));
        assert_eq!(taken, Err(TicketError::WrongRoute));
        assert_eq!(gate.take(&ring(), &text, &[Route::Direct], secs(10)), Ok(direct));
        let again = gate.take(&ring(), &text, &[Route::Direct], secs(11));
        assert_eq!(again, Err(TicketError::Replayed));
    }

    #[test]
    fn a_ticket_that_is_not_for_here_and_now_is_not_taken() {
        let cases = [
            (Ticket { worker: WorkerId("v".into()), ..ticket() }, TicketError::Foreign),
            (Ticket { instance: Instance("0".into()), ..ticket() }, TicketError::Foreign),
            (Ticket { route: Route::Direct, ..ticket() }, TicketError::WrongRoute),
            (Ticket { expires: 1_000, ..ticket() }, TicketError::Expired),
            (Ticket { expires: 1_000_000, ..ticket() }, TicketError::TooLong),
        ];
        let mut gate = gate();
        for (ticket, error) in cases {
            let taken = gate.take(&ring(), &ticket.seal(&ring()), RELAYED, secs(10));
            assert_eq!(taken, Err(error));
        }
        let theirs = Keyring::parse("some-other-secret-of-theirs").unwrap();
        let forged = gate.take(&ring(), &ticket().seal(&theirs), RELAYED, secs(10));
        assert_eq!(forged, Err(TicketError::Forged));
        let unreadable = ring().seal(Purpose::Ticket, b"{}");
        let taken = gate.take(&ring(), &unreadable, RELAYED, secs(10));
        assert_eq!(taken, Err(TicketError::Malformed));
        assert_eq!(gate.remembered(), 0);
    }
}
