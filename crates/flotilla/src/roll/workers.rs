//! Workers as a roll sees and handles them: seen by a gateway, handled at their own doors.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flotilla_core::Advert;
use flotilla_core::keyring::Keyring;
use flotilla_core::order::{Deed, Outcome};
use flotilla_core::refusal::Served;
use flotilla_core::rollout::{Ended, Life, Patience, Platform, Seen};
use flotilla_core::status::{GridState, Status, WorkerStatus};
use tokio::time::Instant;

use super::door::{Door, DoorError};
use super::hands::Hands;
use crate::probe::{self, Endpoint};

/// How long a gateway may take to tell what it knows.
const STATUS_WITHIN: Duration = Duration::from_secs(2);
/// A gateway that has just started may not have heard of everybody yet.
const TOO_YOUNG: f64 = 3.0;
/// How often one looks whether a process has ended, or a slot has come free.
const AGAIN: Duration = Duration::from_millis(100);

/// What a worker must be to be what the roll wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// It started after this, in seconds since 1970 on this machine.
    pub since: f64,
    /// Or it runs this release, which new ones must run.
    pub release: Option<String>,
    /// What a new one is tried with; everything that it serves where this is none.
    pub probe: Option<Served>,
}

/// Where a worker is.
#[derive(Debug)]
struct Address {
    /// `HOST:PORT`; empty where that is not known.
    at: String,
    /// Whether it was there at the last look.
    there: bool,
}

/// Eyes and hands for workers.
#[derive(Debug)]
pub struct WorkerHands<P> {
    gateway: Endpoint,
    keyring: Keyring,
    platform: P,
    target: Target,
    patience: Patience,
    // A std mutex: held for a look, never across an await.
    addresses: Mutex<HashMap<Life, Address>>,
}

impl<P: Platform> WorkerHands<P> {
    /// Sees workers as this gateway does.
    pub fn new(
        gateway: Endpoint,
        keyring: Keyring,
        platform: P,
        target: Target,
        patience: Patience,
    ) -> Self {
        let addresses = Mutex::default();
        Self { gateway, keyring, platform, target, patience, addresses }
    }

    fn seen(
        &self,
        worker: &WorkerStatus,
        status: &Status,
        addresses: &mut HashMap<Life, Address>,
    ) -> Seen {
        let who = Life { id: worker.id.clone(), life: worker.started_at };
        let mine = status.sessions.iter().filter(|session| session.worker == worker.id);
        let oldest = mine.map(|session| session.age_seconds).fold(0.0, f64::max);
        addresses.insert(who.clone(), Address { at: worker.endpoint.clone(), there: true });
        Seen {
            who,
            new: self.target.is_met_by(worker),
            state: worker.state,
            slots: worker.slots as usize,
            sessions: worker.used as usize,
            oldest: Duration::from_secs_f64(oldest),
        }
    }

    fn address(&self, who: &Life) -> Result<String, String> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let found = addresses.get(who).filter(|address| !address.at.is_empty());
        found.map(|address| address.at.clone()).ok_or_else(|| "nobody knows where it is".to_owned())
    }

    /// Has this life do something.
    async fn tell(&self, who: &Life, deed: Deed) -> Result<Outcome, DoorError> {
        let address = self.address(who).map_err(DoorError::Other)?;
        let door = Door::at(&address, &self.keyring)?;
        let advert = door.hello().await?;
        if (&advert.id.0, advert.started_at) != (&who.id, who.life) {
            let words = "another worker is at its address";
            return Err(DoorError::Other(words.to_owned()));
        }
        door.order(&advert, deed).await
    }

    /// Waits until nobody listens there any more.
    async fn closed(&self, who: &Life) -> Result<(), String> {
        let address = self.address(who)?;
        let door = Door::at(&address, &self.keyring).map_err(|why| why.to_string())?;
        let deadline = Instant::now() + self.patience.stop;
        while door.is_open().await {
            if Instant::now() >= deadline {
                return Err("it still runs".to_owned());
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }

    /// A session for each browser that is to be tried.
    async fn try_out(&self, door: &Door<'_>, advert: &Advert) -> Result<String, String> {
        let deadline = Instant::now() + self.patience.probe;
        let all = || advert.serves.clone();
        let first = |served: Served| match advert.serves.contains(&served) {
            true => vec![served],
            false => advert.serves.iter().copied().take(1).collect(),
        };
        let mut told = Vec::new();
        for served in self.target.probe.map_or_else(all, first) {
            told.push(session(door, served, deadline).await?);
        }
        match told.is_empty() {
            true => Err("it serves no browser".to_owned()),
            false => Ok(told.join(", ")),
        }
    }
}

impl Target {
    fn is_met_by(&self, worker: &WorkerStatus) -> bool {
        let started = now() - worker.uptime_seconds;
        started >= self.since || self.release.as_ref() == Some(&worker.release)
    }
}

impl<P: Platform> Hands for WorkerHands<P> {
    async fn look(&self) -> Result<Vec<Seen>, String> {
        let status = probe::status(&self.gateway, STATUS_WITHIN).await;
        let status = status.map_err(|why| why.to_string())?;
        check(&status)?;
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.values_mut().for_each(|address| address.there = false);
        let mut seen = |worker| self.seen(worker, &status, &mut addresses);
        Ok(status.workers.iter().map(&mut seen).collect())
    }

    fn counters(&self) -> Vec<Endpoint> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let there = addresses.values().filter(|address| address.there);
        there.filter_map(|address| format!("http://{}", address.at).parse().ok()).collect()
    }

    async fn start(&self, name: &str, replaces: Option<&str>) -> Result<(), String> {
        self.platform.start(name, replaces).await
    }

    async fn discard(&self, name: &str) -> Result<(), String> {
        match self.platform.stop(name, "").await? {
            Ended::Yes => Ok(()),
            Ended::NotHere => Err("there is no stop command".to_owned()),
        }
    }

    async fn probe(&self, who: &Life) -> Result<String, String> {
        let address = self.address(who)?;
        let words = |why: DoorError| why.to_string();
        let door = Door::at(&address, &self.keyring).map_err(words)?;
        let advert = door.hello().await.map_err(words)?;
        if let Some(wanted) = &self.target.release
            && *wanted != advert.release
        {
            return Err(format!("it runs release {} where {wanted} is wanted", advert.release));
        }
        self.try_out(&door, &advert).await
    }

    async fn drain(&self, who: &Life) -> Result<(), String> {
        self.tell(who, Deed::Drain).await.map(drop).map_err(|why| why.to_string())
    }

    async fn undrain(&self, who: &Life) -> Result<(), String> {
        match self.tell(who, Deed::Undrain).await {
            Ok(Outcome::Leaving) => Err("it was told to end".to_owned()),
            Ok(_) => Ok(()),
            Err(why) => Err(why.to_string()),
        }
    }

    async fn stop(&self, who: &Life) -> Result<(), String> {
        let address = self.address(who)?;
        if self.platform.stop(&who.id, &address).await? == Ended::Yes {
            return self.closed(who).await;
        }
        match self.tell(who, Deed::Shutdown { within_seconds: None }).await {
            Ok(_) => self.closed(who).await,
            Err(DoorError::Closed(_)) => Ok(()),
            Err(why) => Err(why.to_string()),
        }
    }
}

/// One session, and what it was like. A worker that has no slot for it is tried again.
async fn session(door: &Door<'_>, served: Served, deadline: Instant) -> Result<String, String> {
    loop {
        let advert = door.hello().await.map_err(|why| why.to_string())?;
        let left = deadline.saturating_duration_since(Instant::now());
        if advert.free() > 0 && !left.is_zero() {
            let report =
                door.session(&advert, served, left).await.map_err(|why| why.to_string())?;
            let Some(failure) = report.failure else {
                return Ok(format!("{} {} in {:.0} ms", served.0, served.1, report.total_ms));
            };
            // Somebody was faster.
            if !failure.message.starts_with("refused with 503") {
                return Err(format!("{} {}: {}", served.0, served.1, failure.message));
            }
        }
        if left.is_zero() {
            return Err("it had no free slot for it".to_owned());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether what a gateway tells can be relied on.
fn check(status: &Status) -> Result<(), String> {
    if !status.registry.reachable {
        return Err("the gateway cannot reach the registry".to_owned());
    }
    if status.uptime_seconds < TOO_YOUNG {
        return Err("the gateway has just started".to_owned());
    }
    match status.state {
        GridState::Draining => Err("the gateway is draining".to_owned()),
        _ => Ok(()),
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    // A clock before 1970 is as wrong as any other.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
