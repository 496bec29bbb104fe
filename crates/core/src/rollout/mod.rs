//! A rolling update: which one is started, tried, drained and stopped next.
//!
//! New ones come first as far as the surge allows, and count when a session has passed on them. An
//! old one is stopped when, by its own word, it takes no sessions and has none. Everything follows
//! from what is seen, so a roll that was interrupted is continued by beginning again. What is seen
//! may be late: an order counts from when it was given, and what was started counts before it is
//! seen, so that being late costs time and never the promise.

mod failure;
mod giving_up;
mod member;
mod plan;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::pool::Moment;
use crate::status::WorkerState;

pub use failure::Failure;
pub use member::{Life, Seen};
use member::{Member, Probe};
pub use plan::{InvalidPlan, Patience, Plan};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a new one.
    Start {
        /// What it is to be called.
        name: String,
        /// The one that has gone and whose place it takes; none while that one still runs.
        replaces: Option<String>,
    },
    /// End what was started under that name, and has not been seen.
    Discard {
        /// Its name.
        name: String,
    },
    /// Have a session on this new one.
    Probe(Life),
    /// Tell this one to take no more sessions.
    Drain(Life),
    /// Tell this one to take sessions again.
    Undrain(Life),
    /// End this one: it takes no sessions and has none.
    Stop(Life),
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A new one could not be started.
    NotStarted {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// How the session on a new one went.
    Probed(Life, Result<(), String>),
    /// An order could not be delivered.
    NotTold(Life, String),
    /// The process of one that was told to stop has ended, as far as the platform can tell.
    Stopped(Life),
}

/// How far a roll is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It goes on.
    Rolling,
    /// It begins nothing, and finishes what it has begun.
    Paused,
    /// It failed, and gives back what it can.
    GivingUp(Failure),
    /// It failed. What it did not come to is as it was.
    Failed(Failure),
    /// Everything is new.
    Done,
}

/// How a roll stands, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many are wanted.
    pub desired: usize,
    /// New ones that have proved themselves.
    pub proved: usize,
    /// New ones that have not yet, those among them that are not to be seen yet.
    pub coming: usize,
    /// Old ones that were not told anything yet.
    pub old: usize,
    /// Old ones that are leaving.
    pub leaving: usize,
    /// Sessions on those.
    pub sessions_leaving: usize,
    /// The oldest of these.
    pub oldest_leaving: Duration,
    /// How many can be counted on.
    pub available: usize,
    /// Their slots.
    pub slots: usize,
}

/// A new one that was started and has not been seen.
#[derive(Clone, Debug)]
struct Pending {
    name: String,
    replaces: Option<String>,
    since: Moment,
}

/// A rolling update.
#[derive(Debug)]
pub struct Rollout {
    plan: Plan,
    members: BTreeMap<Life, Member>,
    pending: Vec<Pending>,
    numbered: u32,
    /// Old ones that have gone, and whose place nobody has taken.
    vacant: VecDeque<String>,
    /// New ones that were started before somebody made room.
    ahead: usize,
    began: Option<Moment>,
    last_look: Moment,
    slots_floor: usize,
    paused: bool,
    failed: Option<(Failure, Moment)>,
    discarded: bool,
    over: bool,
}

impl Rollout {
    /// A roll that has not begun.
    ///
    /// # Errors
    /// When the plan cannot be kept, or cannot end.
    pub fn new(plan: Plan) -> Result<Self, InvalidPlan> {
        plan.check()?;
        Ok(Self {
            plan,
            members: BTreeMap::new(),
            pending: Vec::new(),
            numbered: 0,
            vacant: VecDeque::new(),
            ahead: 0,
            began: None,
            last_look: Moment::ZERO,
            slots_floor: 0,
            paused: false,
            failed: None,
            discarded: false,
            over: false,
        })
    }

    /// These are places of old ones that were gone before the roll began: somebody is started there
    /// first.
    pub fn with_vacant(mut self, places: impl IntoIterator<Item = String>) -> Self {
        self.vacant.extend(places);
        self
    }

    /// Takes in what is seen now, and says what is to be done. `Err` says why nothing can be seen.
    pub fn step(&mut self, now: Moment, fleet: Result<&[Seen], &str>) -> Vec<Action> {
        if self.over {
            return Vec::new();
        }
        match fleet {
            Ok(fleet) => self.look(now, fleet),
            Err(why) => self.is_blind(now, why),
        }
        if let Some(failure) = self.trouble(now) {
            self.fail(failure, now);
        }
        let actions = if self.failed.is_some() {
            self.give_up(now)
        } else if fleet.is_ok() {
            self.go_on(now)
        } else {
            Vec::new()
        };
        self.over = self.failed.is_none() && self.is_done() || self.over;
        actions
    }

    /// Takes in what became of an action.
    pub fn report(&mut self, report: Report, now: Moment) {
        match report {
            Report::NotStarted { name, why } => self.fail(Failure::NotStarted { name, why }, now),
            Report::Probed(who, result) => self.probed(&who, result, now),
            Report::NotTold(who, why) => {
                let again = now + self.plan.patience.retry;
                let Some(member) = self.members.get_mut(&who) else { return };
                let given = [&mut member.stop, &mut member.undrain, &mut member.drain];
                if let Some(last) = given.into_iter().flatten().next() {
                    last.failed = Some((why, again));
                }
            }
            Report::Stopped(who) => {
                if let Some(member) = self.members.get_mut(&who) {
                    member.stopped = true;
                }
            }
        }
    }

    /// Begins nothing until [`Rollout::resume`]. What has begun is finished.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on.
    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// Gives up.
    pub fn interrupt(&mut self, now: Moment) {
        self.fail(Failure::Interrupted, now);
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        match (&self.failed, self.over, self.paused) {
            (Some((failure, _)), false, _) => Stage::GivingUp(failure.clone()),
            (Some((failure, _)), true, _) => Stage::Failed(failure.clone()),
            (None, true, _) => Stage::Done,
            (None, false, true) => Stage::Paused,
            (None, false, false) => Stage::Rolling,
        }
    }

    /// Whether something that it began is not finished.
    pub fn is_busy(&self) -> bool {
        let under_way = |m: &Member| m.is_on_trial() || (!m.seen.new && m.is_leaving());
        !self.pending.is_empty() || self.members.values().any(under_way)
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        let count = |is: fn(&Member) -> bool| self.members.values().filter(|m| is(m)).count();
        let leaving = || self.members.values().filter(|m| !m.seen.new && m.is_leaving());
        Standing {
            desired: self.plan.desired,
            proved: count(Member::is_proved),
            coming: count(Member::is_on_trial) + self.pending.len(),
            old: count(|m| !m.seen.new && !m.is_leaving()),
            leaving: leaving().count(),
            sessions_leaving: leaving().map(|m| m.seen.sessions).sum(),
            oldest_leaving: leaving().map(|m| m.seen.oldest).max().unwrap_or_default(),
            available: self.available().count(),
            slots: self.slots(),
        }
    }

    /// How many slots stay available at every instant; known when the fleet has been seen.
    pub fn slots_floor(&self) -> usize {
        self.slots_floor
    }

    fn look(&mut self, now: Moment, fleet: &[Seen]) {
        self.last_look = now;
        // Who is dead to everybody can neither be told anything nor come in anybody's way.
        for seen in fleet.iter().filter(|seen| seen.state != WorkerState::Dead) {
            match self.members.get_mut(&seen.who) {
                Some(member) => member.see(seen, now),
                None => self.meet(seen, now),
            }
        }
        let patience = self.plan.patience.clone();
        let gone: Vec<_> = self.members.extract_if(.., |_, m| m.is_gone(&patience, now)).collect();
        gone.into_iter().for_each(|(who, member)| self.miss(who, &member, now));
        if self.began.is_none() {
            self.began = Some(now);
            self.slots_floor = self.plan.slots_floor.unwrap_or_else(|| self.promised_slots());
        }
    }

    /// Sees somebody for the first time.
    fn meet(&mut self, seen: &Seen, now: Moment) {
        let mut member = Member::new(seen.clone(), now);
        member.ours = seen.new && self.expected(&seen.who.id);
        self.members.insert(seen.who.clone(), member);
    }

    /// Whether it is one that we started.
    fn expected(&mut self, id: &str) -> bool {
        let by_name = self.pending.iter().position(|p| p.name == id);
        let by_place = || self.pending.iter().position(|p| p.replaces.as_deref() == Some(id));
        let any = (!self.pending.is_empty()).then_some(0);
        let found = by_name.or_else(by_place).or(any);
        found.inspect(|at| drop(self.pending.remove(*at))).is_some()
    }

    /// Somebody is not there any more.
    fn miss(&mut self, who: Life, member: &Member, now: Moment) {
        if member.seen.new {
            if member.stop.is_none() {
                self.fail(Failure::Lost { id: who.id }, now);
            }
        } else if self.ahead > 0 {
            self.ahead -= 1;
        } else {
            self.vacant.push_back(who.id);
        }
    }

    /// The slots that stay when the largest are away that may be.
    fn promised_slots(&self) -> usize {
        let mut slots: Vec<_> = self.members.values().map(|m| m.seen.slots).collect();
        slots.sort_unstable();
        slots.iter().take(self.plan.floor()).sum()
    }

    fn probed(&mut self, who: &Life, result: Result<(), String>, now: Moment) {
        let Some(member) = self.members.get_mut(who) else { return };
        match result {
            Ok(()) => member.probe = Probe::Passed,
            Err(why) => self.fail(Failure::ProbeFailed { id: who.id.clone(), why }, now),
        }
    }

    fn fail(&mut self, failure: Failure, now: Moment) {
        if !self.over {
            self.failed.get_or_insert((failure, now));
        }
    }

    fn is_done(&self) -> bool {
        let proved = self.members.values().filter(|m| m.is_proved()).count();
        self.pending.is_empty()
            && proved >= self.plan.desired
            && self.members.values().all(Member::is_proved)
    }

    fn available(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|m| m.is_available(self.last_look))
    }

    fn slots(&self) -> usize {
        self.available().map(|m| m.seen.slots).sum()
    }

    /// The next actions of a roll that goes on.
    fn go_on(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        for (who, member) in &mut self.members {
            if member.seen.new {
                if member.probe == Probe::NotYet && member.seen.serves() {
                    member.probe = Probe::Asked(now);
                    actions.push(Action::Probe(who.clone()));
                }
            } else if member.seen.is_done() || member.stop.is_some() {
                if Member::order(&mut member.stop, now) {
                    actions.push(Action::Stop(who.clone()));
                }
            } else if member.drain.is_some() && Member::order(&mut member.drain, now) {
                actions.push(Action::Drain(who.clone()));
            }
        }
        if !self.paused && self.has_looked(now) {
            self.drain_next(now, &mut actions);
            self.start_next(now, &mut actions);
        }
        actions
    }

    /// What another roll ordered before it was interrupted is to be seen by now.
    fn has_looked(&self, now: Moment) -> bool {
        self.began.is_some_and(|at| now.saturating_sub(at) >= self.plan.patience.settle)
    }

    /// Drains as many old ones as the promise and the batch allow.
    fn drain_next(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let leaving = self.members.values().filter(|m| !m.seen.new && m.is_leaving()).count();
        for _ in leaving..self.plan.batch {
            let Some(who) = self.next_to_leave(now) else { return };
            if let Some(member) = self.members.get_mut(&who) {
                Member::order(&mut member.drain, now);
            }
            actions.push(Action::Drain(who));
        }
    }

    /// Who costs nothing leaves first, then who has the fewest and youngest sessions.
    fn next_to_leave(&self, now: Moment) -> Option<Life> {
        let (available, slots) = (self.available().count(), self.slots());
        let can_go = |member: &Member| {
            !member.is_available(now)
                || (available > self.plan.floor() && slots - member.seen.slots >= self.slots_floor)
        };
        self.members
            .iter()
            .filter(|(_, member)| !member.seen.new && !member.is_leaving() && can_go(member))
            .min_by_key(|(_, m)| (m.is_available(now), m.seen.sessions, m.seen.oldest))
            .map(|(who, _)| who.clone())
    }

    /// Starts as many new ones as the surge and the batch allow.
    fn start_next(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let pending = self.pending.len();
        let new = self.members.values().filter(|m| m.seen.new).count() + pending;
        let trying = self.members.values().filter(|m| m.is_on_trial()).count() + pending;
        let wanted = self.plan.desired.saturating_sub(new);
        let room = self.plan.ceiling().saturating_sub(self.members.len() + pending);
        for _ in 0..wanted.min(room).min(self.plan.batch.saturating_sub(trying)) {
            actions.push(self.start(now));
        }
    }

    fn start(&mut self, now: Moment) -> Action {
        self.numbered += 1;
        let name = format!("{}{}", self.plan.prefix, self.numbered);
        let replaces = self.vacant.pop_front();
        if replaces.is_none() {
            self.ahead += 1;
        }
        self.pending.push(Pending { name: name.clone(), replaces: replaces.clone(), since: now });
        Action::Start { name, replaces }
    }
}
