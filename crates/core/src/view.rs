//! What a gateway knows of the workers, and how sure it is.
//!
//! Adverts come from the registry, in any order and late; answers come from the workers
//! themselves. A worker is chosen only after it has been dialled back and has proved that it is
//! the one that was meant. No clock is compared with another machine's: ages are counted from
//! when something was heard here.

mod known;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::advert::Advert;
use crate::fleet::Fleet;
use crate::id::{Instance, WorkerId};
use crate::mutant::{self, Mutant};
use crate::pool::Moment;
use crate::refusal::Served;

pub use known::{Known, Standing};

/// How long a session's contexts usually take to be disposed.
const SOON: Duration = Duration::from_millis(100);
/// What ended within this before the registry was lost may not have been told through it: so long
/// it takes to see that it is gone.
const LATELY: Duration = Duration::from_secs(5);

/// The patience of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a worker counts as there after it was last heard.
    pub ttl: Duration,
    /// How often workers are asked directly while the registry cannot be reached.
    pub poll: Duration,
    /// How soon a worker that could not be reached is tried again; doubles up to `retry_most`.
    pub retry: Duration,
    /// The longest time between two tries.
    pub retry_most: Duration,
}

impl Patience {
    /// What follows from the settings.
    pub fn new(ttl: Duration, heartbeat: Duration) -> Self {
        Self {
            ttl,
            poll: heartbeat,
            retry: Duration::from_millis(250),
            retry_most: heartbeat.max(Duration::from_secs(1)),
        }
    }
}

/// A worker that is to be dialled back: who it says that it is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub id: WorkerId,
    /// The life that is expected there.
    pub instance: Instance,
    /// Where.
    pub endpoint: String,
}

/// What became of an advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is news, or the first of a worker.
    Taken,
    /// A newer one of the same life is known.
    Old,
    /// Another worker has this name. Whether it still lives is being asked.
    Contested,
}

/// What a view tells that somebody should log and count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A worker has proved itself, for the first time or again.
    Routable(WorkerId),
    /// A worker cannot be reached, and why.
    Unroutable(WorkerId, String),
    /// Nothing was heard of a worker for its TTL.
    Expired(WorkerId),
    /// A worker says that it is there less often than this gateway expects: it will expire while
    /// it is well.
    Mistimed {
        /// Which worker.
        id: WorkerId,
        /// How often it says so.
        heartbeat: Duration,
        /// How long that counts here.
        ttl: Duration,
    },
    /// Two live workers have one name: this one is not given sessions.
    Duplicate {
        /// The name.
        id: WorkerId,
        /// Where the one is that had it first.
        holder: String,
        /// Where the other is.
        rejected: String,
    },
}

/// A gateway's knowledge of the fleet.
#[derive(Debug)]
pub struct View {
    patience: Patience,
    fleet: Fleet,
    known: HashMap<WorkerId, Known>,
    /// How many workers offer each browser and version, whether or not they may be chosen now.
    offered: HashMap<Served, usize>,
    /// When workers are to be dialled back next.
    due: BTreeSet<(Moment, WorkerId)>,
    /// Browsers that a worker could not launch, and when it is asked for them again.
    ailing: BTreeSet<(Moment, WorkerId, Served)>,
    /// Since when the registry cannot be reached.
    blind: Option<Moment>,
    notices: Vec<Notice>,
}

impl View {
    /// Knows nobody.
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            fleet: Fleet::default(),
            known: HashMap::new(),
            offered: HashMap::new(),
            due: BTreeSet::new(),
            ailing: BTreeSet::new(),
            blind: None,
            notices: Vec::new(),
        }
    }

    /// Takes in an advert that came through the registry.
    pub fn heard(&mut self, advert: Advert, now: Moment) -> Heard {
        let advert = Arc::new(advert);
        let id = &advert.id;
        let Some(known) = self.known.get_mut(id) else {
            self.known.insert(id.clone(), Known::new(advert.clone(), now));
            self.check_timing(&advert);
            self.index(id);
            self.plan(id, now);
            return Heard::Taken;
        };
        if known.advert.instance == advert.instance {
            if !known.news(advert.clone(), now) {
                return Heard::Old;
            }
            if known.standing == Standing::Unproved {
                self.plan(id, now);
            }
            self.index(id);
            return Heard::Taken;
        }
        known.challenger = Some(advert.clone());
        let at = known.next_try.max(now);
        self.plan(id, at);
        Heard::Contested
    }

    /// The rule between timings (heartbeat < TTL), where the two are set on different machines.
    fn check_timing(&mut self, advert: &Advert) {
        let heartbeat = Duration::from_millis(advert.heartbeat_ms);
        let ttl = self.patience.ttl;
        if heartbeat >= ttl {
            self.notices.push(Notice::Mistimed { id: advert.id.clone(), heartbeat, ttl });
        }
    }

    /// Takes in what a worker said itself, in an answer to us.
    pub fn answered(&mut self, advert: Advert, now: Moment) {
        let advert = Arc::new(advert);
        if let Some(known) = self.known.get_mut(&advert.id)
            && known.advert.instance == advert.instance
            && known.news(advert.clone(), now)
        {
            self.index(&advert.id);
        }
    }

    /// A worker has said goodbye.
    pub fn left(&mut self, id: &WorkerId, instance: &Instance) {
        if self.known.get(id).is_some_and(|known| known.advert.instance == *instance) {
            self.forget(id);
        }
    }

    /// A session could not be brought to this life of a worker: nobody is sent there until it has
    /// answered again.
    pub fn failed(&mut self, id: &WorkerId, instance: &Instance, why: &str, now: Moment) {
        if let Some(known) = self.known.get_mut(id)
            && known.advert.instance == *instance
            && known.standing == Standing::Proved
        {
            known.standing = Standing::Unroutable(why.to_owned());
            self.notices.push(Notice::Unroutable(id.clone(), why.to_owned()));
            let at = known.back_off(&self.patience, now);
            self.index(id);
            self.plan(id, at);
        }
    }

    /// A worker could not launch this browser: others are asked for it until then. `false` when
    /// there are no others: then it is asked again.
    pub fn ailing(&mut self, id: &WorkerId, served: Served, until: Moment) -> bool {
        let others = self.fleet.has_another(id, served);
        if others {
            self.fleet.set_ailing(id, served, true);
            self.ailing.insert((until, id.clone(), served));
        }
        others
    }

    /// Workers that are to be dialled back now. Each must be followed by [`View::checked`].
    pub fn take_checks(&mut self, now: Moment) -> Vec<Check> {
        let mut checks = Vec::new();
        while let Some((at, id)) = self.due.first().cloned() {
            if at > now {
                break;
            }
            self.due.remove(&(at, id.clone()));
            if let Some(known) = self.known.get_mut(&id) {
                known.due = None;
                known.checking = true;
                checks.push(known.check());
            }
        }
        checks
    }

    /// What a worker answered that was dialled back.
    pub fn checked(&mut self, check: &Check, answer: Result<Advert, String>, now: Moment) {
        let id = &check.id;
        let Some(known) = self.known.get_mut(id) else { return };
        known.checking = false;
        if known.advert.instance != check.instance || known.advert.endpoint != check.endpoint {
            // It has moved meanwhile.
            self.plan(id, now);
            return;
        }
        match answer {
            Ok(advert)
                if advert.id == *id
                    && (advert.instance == check.instance
                        || mutant::is(Mutant::TakeAnybodysProof)) =>
            {
                self.proved(advert, now);
            }
            Ok(_) => self.not_there(id, "another worker answers at its address", now),
            Err(why) => self.not_there(id, &why, now),
        }
    }

    fn proved(&mut self, advert: Advert, now: Moment) {
        let id = advert.id.clone();
        let Some(known) = self.known.get_mut(&id) else { return };
        known.news(Arc::new(advert), now);
        known.failures = 0;
        if known.standing != Standing::Proved {
            known.standing = Standing::Proved;
            self.notices.push(Notice::Routable(id.clone()));
        }
        if let Some(challenger) = known.challenger.take() {
            known.next_try = now + self.patience.retry_most;
            self.notices.push(Notice::Duplicate {
                id: id.clone(),
                holder: known.advert.endpoint.clone(),
                rejected: challenger.endpoint.clone(),
            });
        }
        if self.blind.is_some() {
            known.pace = known.pace.saturating_mul(2).min(self.patience.poll);
            let at = now + known.pace;
            self.plan(&id, at);
        }
        self.index(&id);
    }

    fn not_there(&mut self, id: &WorkerId, why: &str, now: Moment) {
        let Some(known) = self.known.get_mut(id) else { return };
        let challenger = known.challenger.take();
        if let Some(successor) = challenger.filter(|_| !mutant::is(Mutant::NeverBelieveASuccessor))
        {
            known.succeed(successor, now);
            self.index(id);
            self.plan(id, now);
            return;
        }
        let at = known.back_off(&self.patience, now);
        if !matches!(known.standing, Standing::Unroutable(_)) {
            self.notices.push(Notice::Unroutable(id.clone(), why.to_owned()));
        }
        known.standing = Standing::Unroutable(why.to_owned());
        self.index(id);
        if !mutant::is(Mutant::NeverRetryTheUnroutable) {
            self.plan(id, at);
        }
    }

    /// The registry cannot be reached: nobody expires for that, and workers are asked directly.
    pub fn lost_registry(&mut self, now: Moment) {
        if self.blind.is_none() {
            self.blind = Some(now);
            let poll = self.patience.poll;
            let wait = |known: &mut Known| known.pace_without_registry(poll, now);
            let all: Vec<_> =
                self.known.iter_mut().map(|(id, known)| (id.clone(), wait(known))).collect();
            for (id, wait) in all {
                self.plan(&id, now + wait);
            }
        }
    }

    /// The registry can be reached again: workers get a whole TTL to be heard there.
    pub fn found_registry(&mut self, now: Moment) {
        if self.blind.take().is_some() {
            self.known.values_mut().for_each(|known| known.heard = known.heard.max(now));
        }
    }

    /// A slot of this worker is about to become free. Where the registry cannot tell, it is asked,
    /// again and again for a while. `true` when it is.
    pub fn ask_again(&mut self, id: &WorkerId, now: Moment) -> bool {
        let Some(known) = self.known.get_mut(id) else { return false };
        known.vacated = Some(now);
        if self.blind.is_some() {
            known.pace = SOON;
            self.plan(id, now + SOON);
        }
        self.blind.is_some()
    }

    /// A worker keeps its free slots for others: it is asked again after that.
    pub fn ask_after(&mut self, id: &WorkerId, wait: Duration, now: Moment) {
        self.plan(id, now + wait);
    }

    /// Since when the registry cannot be reached.
    pub fn blind_since(&self) -> Option<Moment> {
        self.blind
    }

    /// What time alone changes: workers that were not heard for their TTL take no new sessions,
    /// and are forgotten after another.
    pub fn tick(&mut self, now: Moment) {
        while let Some((until, id, served)) = self.ailing.first().cloned() {
            if until > now {
                break;
            }
            self.ailing.remove(&(until, id.clone(), served));
            self.fleet.set_ailing(&id, served, false);
        }
        if self.blind.is_some() && !mutant::is(Mutant::ExpireWhileBlind) {
            return;
        }
        let ttl = self.patience.ttl;
        let silent = |known: &Known| now.saturating_sub(known.heard) >= ttl;
        let (mut expired, mut forgotten) = (Vec::new(), Vec::new());
        for (id, known) in self.known.iter().filter(|(_, known)| silent(known)) {
            match known.standing {
                Standing::Expired if now.saturating_sub(known.heard) >= 2 * ttl => {
                    forgotten.push(id.clone());
                }
                Standing::Expired => {}
                _ => expired.push(id.clone()),
            }
        }
        forgotten.iter().for_each(|id| self.forget(id));
        for id in expired {
            if let Some(known) = self.known.get_mut(&id) {
                known.standing = Standing::Expired;
            }
            self.unplan(&id);
            self.index(&id);
            self.notices.push(Notice::Expired(id));
        }
    }

    /// When [`View::take_checks`] has something to give.
    pub fn next_check(&self) -> Option<Moment> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What is to be logged and counted.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The workers that may be chosen.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The same, to claim and settle.
    pub fn fleet_mut(&mut self) -> &mut Fleet {
        &mut self.fleet
    }

    /// What some worker offers that is there or may come back, in order: whoever wants it may
    /// wait for it.
    pub fn offered(&self) -> Vec<Served> {
        let mut offered: Vec<_> = self.offered.keys().copied().collect();
        offered.sort_unstable();
        offered
    }

    /// One worker.
    pub fn worker(&self, id: &WorkerId) -> Option<&Known> {
        self.known.get(id)
    }

    /// Every worker, in no order.
    pub fn workers(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// Puts a worker where its advert and its standing say.
    fn index(&mut self, id: &WorkerId) {
        let Some(known) = self.known.get_mut(id) else { return };
        if let Some((before, after)) = known.change_of_offer() {
            self.offer(&before, &after);
        }
        let Some(known) = self.known.get(id) else { return };
        if known.standing == Standing::Proved && !known.advert.starting {
            self.fleet.update(known.advert.clone());
        } else {
            self.fleet.remove(id);
        }
    }

    fn forget(&mut self, id: &WorkerId) {
        self.unplan(id);
        self.fleet.remove(id);
        if let Some(known) = self.known.remove(id) {
            self.offer(&known.offered, &[]);
        }
    }

    fn offer(&mut self, before: &[Served], after: &[Served]) {
        for served in after {
            *self.offered.entry(*served).or_default() += 1;
        }
        for served in before {
            if let Some(count) = self.offered.get_mut(served) {
                *count -= 1;
                if *count == 0 {
                    self.offered.remove(served);
                }
            }
        }
    }

    /// Has a worker dialled back at that time, or earlier if that is planned already.
    fn plan(&mut self, id: &WorkerId, at: Moment) {
        let Some(known) = self.known.get_mut(id) else { return };
        let sooner = known.due.is_some_and(|due| due <= at);
        if known.checking || sooner {
            return;
        }
        if let Some(due) = known.due.replace(at) {
            self.due.remove(&(due, id.clone()));
        }
        self.due.insert((at, id.clone()));
    }

    fn unplan(&mut self, id: &WorkerId) {
        if let Some(due) = self.known.get_mut(id).and_then(|known| known.due.take()) {
            self.due.remove(&(due, id.clone()));
        }
    }
}
