//! A worker's own door, asked by somebody who knows the fleet's secret: who it is, what it is
//! told, and a session that goes the very way that clients' sessions go.

use std::io;
use std::time::Duration;

use flotilla_core::keyring::{Keyring, Purpose};
use flotilla_core::order::{Deed, Order, Outcome};
use flotilla_core::pool::{Demand, Sharing};
use flotilla_core::refusal::Served;
use flotilla_core::ticket::{Route, Ticket, millis};
use flotilla_core::{Advert, SessionId, wire};
use flotilla_gateway::EVERYBODY;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::parts::random;
use crate::probe::{self, Answer, Endpoint, HttpError, ProbeReport, Target};

/// How long a worker may take to answer. One that is well answers at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long what is signed is good for. It is used at once; the rest is for a slow network.
const GOOD_FOR: Duration = Duration::from_secs(20);

/// A worker's door.
#[derive(Debug)]
pub(super) struct Door<'a> {
    address: &'a str,
    endpoint: Endpoint,
    keyring: &'a Keyring,
}

/// Why a worker did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum DoorError {
    /// Nobody listens there: no process.
    #[error("{0}")]
    Closed(String),
    /// It cannot be reached, or does not answer as a worker does.
    #[error("{0}")]
    Other(String),
}

impl DoorError {
    fn other(why: impl ToString) -> Self {
        Self::Other(why.to_string())
    }

    fn of(error: HttpError) -> Self {
        match error.is_nobody() {
            true => Self::Closed(error.to_string()),
            false => Self::other(error),
        }
    }
}

impl<'a> Door<'a> {
    /// The door at that address, `HOST:PORT`.
    pub(super) fn at(address: &'a str, keyring: &'a Keyring) -> Result<Self, DoorError> {
        let endpoint = format!("ws://{address}").parse().map_err(DoorError::other)?;
        Ok(Self { address, endpoint, keyring })
    }

    /// What the worker says of itself, with its proof that it is of the fleet.
    pub(super) async fn hello(&self) -> Result<Advert, DoorError> {
        let nonce = format!("{:032x}", u128::from_le_bytes(fresh()?));
        let target = format!("{}{nonce}", wire::HELLO_PATH);
        let answer = self.within(probe::get(&self.endpoint, &target, &[])).await?;
        let body = answer.text();
        let (proof, sealed) =
            body.trim_end().split_once(' ').ok_or_else(|| DoorError::other("it is no worker"))?;
        if !self.keyring.verify(Purpose::Proof, format!("{nonce} {sealed}").as_bytes(), proof) {
            return Err(DoorError::other("it could not prove that it knows the fleet's secret"));
        }
        Advert::open(self.keyring, sealed).map_err(DoorError::other)
    }

    /// Gives an order to the life that said this of itself.
    pub(super) async fn order(&self, advert: &Advert, deed: Deed) -> Result<Outcome, DoorError> {
        let order = Order {
            worker: advert.id.clone(),
            instance: advert.instance.clone(),
            deed,
            expires: advert.uptime_ms + millis(GOOD_FOR),
            nonce: u64::from_le_bytes(fresh()?),
        };
        let target = format!("{}{}", wire::ORDER_PATH, order.seal(self.keyring));
        let answer = self.within(probe::post(&self.endpoint, &target, &[], b"")).await?;
        if !answer.is_success() {
            let (status, words) = (answer.status, answer.text());
            return Err(DoorError::other(format!("it answered {status}: {}", words.trim())));
        }
        let signature = answer.header(wire::OUTCOME_HEADER).unwrap_or_default();
        Outcome::open(self.keyring, order.nonce, answer.text().trim(), signature)
            .ok_or_else(|| DoorError::other("its answer is not signed with the fleet's secret"))
    }

    /// Has a whole session there, as a gateway would bring it.
    pub(super) async fn session(
        &self,
        advert: &Advert,
        served: Served,
        within: Duration,
    ) -> Result<ProbeReport, DoorError> {
        let (kind, version) = served;
        let ticket = Ticket {
            session: SessionId::from_random(fresh()?),
            worker: advert.id.clone(),
            instance: advert.instance.clone(),
            route: Route::Relayed,
            demand: Demand { kind, version, sharing: Sharing::Tenant(EVERYBODY.to_owned()) },
            max_seconds: Some(within.as_secs() + 1),
            expires: advert.uptime_ms + millis(GOOD_FOR),
            nonce: u64::from_le_bytes(fresh()?),
        };
        let path = format!("{}{}", wire::SESSION_PATH, ticket.seal(self.keyring));
        let endpoint = format!("ws://{}{path}", self.address).parse().map_err(DoorError::other)?;
        let target = Target { endpoint, kind, version, headers: Vec::new() };
        Ok(probe::check(&target, within).await)
    }

    /// Whether somebody listens.
    pub(super) async fn is_open(&self) -> bool {
        let address = (self.endpoint.host(), self.endpoint.port());
        let connected = timeout(ANSWER_WITHIN, TcpStream::connect(address)).await;
        !matches!(connected, Ok(Err(why)) if why.kind() == io::ErrorKind::ConnectionRefused)
    }

    async fn within(
        &self,
        answer: impl Future<Output = Result<Answer, HttpError>>,
    ) -> Result<Answer, DoorError> {
        let answered = timeout(ANSWER_WITHIN, answer).await;
        let late = |_| DoorError::other(format!("no answer within {ANSWER_WITHIN:?}"));
        answered.map_err(late)?.map_err(DoorError::of)
    }
}

fn fresh<const N: usize>() -> Result<[u8; N], DoorError> {
    random().map_err(DoorError::other)
}
