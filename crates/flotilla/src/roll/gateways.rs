//! Gateways as a roll sees and handles them: each asked itself, each replaced in its place.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flotilla_core::keyring::Keyring;
use flotilla_core::refusal::Served;
use flotilla_core::rollout::{Ended, Life, Patience, Platform, Seen};
use flotilla_core::status::{GridState, Status, WorkerState};
use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::hands::Hands;
use super::workers::now;
use crate::operator::{Operator, OperatorError};
use crate::probe::{self, Endpoint, Target};

/// How long a gateway may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Two starts that are farther apart are two lives.
const SAME: f64 = 1.0;
const AGAIN: Duration = Duration::from_millis(50);

/// Eyes and hands for gateways.
#[derive(Debug)]
pub struct GatewayHands<P> {
    gateways: Vec<Endpoint>,
    keyring: Keyring,
    platform: P,
    since: f64,
    served: Served,
    patience: Patience,
    /// When each started, as first seen, and how many lives of it there were.
    // A std mutex: held for a look, never across an await.
    lives: Mutex<HashMap<String, (f64, u64)>>,
}

impl<P: Platform> GatewayHands<P> {
    /// These gateways; those are old that started before `since`.
    pub fn new(
        gateways: Vec<Endpoint>,
        keyring: Keyring,
        platform: P,
        since: f64,
        served: Served,
        patience: Patience,
    ) -> Self {
        let lives = Mutex::default();
        Self { gateways, keyring, platform, since, served, patience, lives }
    }

    /// What they are called.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.gateways.iter().map(Endpoint::authority)
    }

    fn find(&self, who: &str) -> Result<&Endpoint, String> {
        let found = self.gateways.iter().find(|gateway| gateway.authority() == who);
        found.ok_or_else(|| format!("{who} is none of the gateways"))
    }

    fn seen(&self, name: String, status: &Status) -> Seen {
        let started = now() - status.uptime_seconds;
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lives.entry(name.clone()).or_insert((started, 0));
        if (known.0 - started).abs() > SAME {
            *known = (started, known.1 + 1);
        }
        let oldest = status.sessions.iter().map(|session| session.age_seconds).fold(0.0, f64::max);
        Seen {
            new: known.0 >= self.since,
            who: Life { id: name, life: known.1 },
            state: state(status),
            slots: 0,
            sessions: status.sessions.len() + status.queue.depth as usize,
            oldest: Duration::from_secs_f64(oldest),
        }
    }

    fn operator(&self, who: &Life) -> Result<Operator, String> {
        let gateway = self.find(&who.id)?.clone();
        Ok(Operator::new(gateway, Some(self.keyring.clone()), ANSWER_WITHIN))
    }

    /// Waits until nobody listens there any more.
    async fn closed(&self, who: &str) -> Result<(), String> {
        let gateway = self.find(who)?;
        let deadline = Instant::now() + self.patience.stop;
        while listens(gateway).await {
            if Instant::now() >= deadline {
                return Err("it still runs".to_owned());
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }
}

impl<P: Platform> Hands for GatewayHands<P> {
    async fn look(&self) -> Result<Vec<Seen>, String> {
        let ask = |gateway: &Endpoint| {
            let gateway = gateway.clone();
            async move { (gateway.authority(), probe::status(&gateway, ANSWER_WITHIN).await) }
        };
        let answers = join_all(self.gateways.iter().map(ask)).await;
        // Who does not answer is away, for the balancer too.
        let there = answers.into_iter().filter_map(|(name, answer)| Some((name, answer.ok()?)));
        Ok(there.map(|(name, status)| self.seen(name, &status)).collect())
    }

    fn counters(&self) -> Vec<Endpoint> {
        Vec::new()
    }

    async fn start(&self, name: &str, replaces: Option<&str>) -> Result<(), String> {
        match replaces {
            Some(place) => self.platform.start(name, Some(place)).await,
            None => {
                Err("there is no place for it: gateways are replaced where they are".to_owned())
            }
        }
    }

    async fn discard(&self, _: &str) -> Result<(), String> {
        Err("whatever its start command started is left as it is".to_owned())
    }

    async fn probe(&self, who: &Life) -> Result<String, String> {
        let (kind, version) = self.served;
        let endpoint = self.find(&who.id)?.clone();
        let target = Target { endpoint, kind, version, headers: Vec::new() };
        let report = probe::check(&target, self.patience.probe).await;
        match report.failure {
            None => Ok(format!("{kind} {version} in {:.0} ms", report.total_ms)),
            Some(failure) => Err(failure.message),
        }
    }

    async fn drain(&self, who: &Life) -> Result<(), String> {
        let told = self.operator(who)?.drain_gateway().await;
        told.map(drop).map_err(|why| why.to_string())
    }

    async fn undrain(&self, who: &Life) -> Result<(), String> {
        let told = self.operator(who)?.undrain_gateway().await;
        told.map(drop).map_err(|why| why.to_string())
    }

    async fn stop(&self, who: &Life) -> Result<(), String> {
        if self.platform.stop(&who.id, &who.id).await? == Ended::NotHere {
            match self.operator(who)?.shut_gateway_down().await {
                Ok(_) => {}
                Err(OperatorError::Http(why)) if why.is_nobody() => {}
                Err(why) => return Err(why.to_string()),
            }
        }
        self.closed(&who.id).await
    }
}

fn state(status: &Status) -> WorkerState {
    match status.state {
        GridState::Draining => WorkerState::Draining,
        GridState::Ready if status.available_workers() > 0 => WorkerState::Available,
        GridState::Ready | GridState::Starting => WorkerState::Starting,
    }
}

async fn listens(gateway: &Endpoint) -> bool {
    let connected = timeout(ANSWER_WITHIN, TcpStream::connect((gateway.host(), gateway.port())));
    let refused = std::io::ErrorKind::ConnectionRefused;
    !matches!(connected.await, Ok(Err(why)) if why.kind() == refused)
}
