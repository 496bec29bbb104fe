//! A rolling update: which one is started, tried, drained and stopped next.
//!
//! New ones come first as far as the surge allows, and count when a session has passed on them. An
//! old one is stopped when, by its own word, it takes no sessions and has none. Everything follows
//! from what is seen, so a roll that was interrupted is continued by beginning again. What is seen
//! may be late: an order counts from when it was given, and what was started counts before it is
//! seen, so that being late costs time and never the promise.

mod failure;
mod giving_up;
mod look;
mod member;
mod next;
mod plan;
mod platform;
#[cfg(test)]
mod tests;
mod trouble;
mod words;

use crate::pool::Moment;
use std::collections::{BTreeMap, VecDeque};

pub use failure::Failure;
pub use member::{Life, Seen};
use member::{Member, Probe};
pub use plan::{InvalidPlan, Patience, Plan};
pub use platform::{Ended, Platform};
pub use words::{Action, Report, Stage, Standing};

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
}
