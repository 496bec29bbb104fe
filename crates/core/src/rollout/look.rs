//! Taking in what is seen: who has come, and who has gone.

use super::Rollout;
use super::failure::Failure;
use super::member::{Life, Member, Seen};
use crate::pool::Moment;
use crate::status::WorkerState;

impl Rollout {
    pub(super) fn look(&mut self, now: Moment, fleet: &[Seen]) {
        self.last_look = now;
        // Who is dead to everybody can neither be told anything nor come in anybody's way.
        for seen in fleet.iter().filter(|seen| seen.state != WorkerState::Dead) {
            match self.members.get_mut(&seen.who) {
                Some(member) => member.see(seen, now),
                None => self.meet(seen, now),
            }
        }
        let patience = self.plan.patience.clone();
        let is_gone = |m: &Member| m.is_gone(&patience, now);
        let gone: Vec<_> =
            self.members.iter().filter(|(_, m)| is_gone(m)).map(|(who, _)| who.clone()).collect();
        for who in gone {
            if let Some(member) = self.members.remove(&who) {
                self.miss(who, &member, now);
            }
        }
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
}
