//! The next steps: who proves itself, leaves, ends, and who is started.

use super::member::{Life, Member, Probe};
use super::{Action, Pending, Rollout};
use crate::pool::Moment;

impl Rollout {
    /// The next actions of a roll that goes on.
    pub(super) fn go_on(&mut self, now: Moment) -> Vec<Action> {
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
    pub(super) fn has_looked(&self, now: Moment) -> bool {
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
    pub(super) fn next_to_leave(&self, now: Moment) -> Option<Life> {
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
