//! What ends a roll: each thing that it waits for has its time.

use super::failure::Failure;
use super::member::{Life, Member, Probe, overdue};
use super::{Rollout, Stage};
use crate::pool::Moment;

impl Rollout {
    /// Why the roll cannot go on, if that is so.
    pub(super) fn trouble(&self, now: Moment) -> Option<Failure> {
        if self.failed.is_some() {
            return None;
        }
        self.not_seen(now)
            .or_else(|| self.members.iter().find_map(|(who, m)| self.trouble_with(who, m, now)))
            .or_else(|| self.stuck(now))
    }

    /// Nothing can be seen, and for too long.
    pub(super) fn is_blind(&mut self, now: Moment, why: &str) {
        let within = self.plan.patience.start;
        if now.saturating_sub(self.last_look) >= within {
            self.fail(Failure::Blind { within, why: why.to_owned() }, now);
        }
    }

    fn not_seen(&self, now: Moment) -> Option<Failure> {
        let within = self.plan.patience.start;
        let late = self.pending.iter().find(|p| now.saturating_sub(p.since) >= within)?;
        Some(Failure::NotSeen { name: late.name.clone(), within })
    }

    fn trouble_with(&self, who: &Life, member: &Member, now: Moment) -> Option<Failure> {
        if member.seen.new {
            self.new_one(who, member, now)
        } else {
            self.old_one(who, member, now)
        }
    }

    fn new_one(&self, who: &Life, member: &Member, now: Moment) -> Option<Failure> {
        let (id, patience) = (who.id.clone(), &self.plan.patience);
        let late = |since: Moment, within| now.saturating_sub(since) >= within;
        if let Probe::Asked(at) = member.probe
            && late(at, patience.probe)
        {
            let why = format!("it was not over after {} s", patience.probe.as_secs_f64());
            return Some(Failure::ProbeFailed { id, why });
        }
        let (state, within) = (member.seen.state.as_str(), patience.start);
        let down = member.down.is_some_and(|since| late(since, within));
        down.then_some(Failure::NotAvailable { id, state, within })
    }

    fn old_one(&self, who: &Life, member: &Member, now: Moment) -> Option<Failure> {
        let (id, patience) = (who.id.clone(), &self.plan.patience);
        if let Some(why) = overdue(member.stop.as_ref(), patience.stop, now) {
            return Some(if why.is_empty() {
                Failure::NotStopped { id, within: patience.stop }
            } else {
                Failure::NotTold { id, order: "stop", why }
            });
        }
        if member.stop.is_some() {
            return None;
        }
        let why = overdue(member.drain.as_ref(), patience.drain, now)?;
        Some(match member.seen.sessions {
            _ if !why.is_empty() => Failure::NotTold { id, order: "drain", why },
            0 => Failure::NotTold { id, order: "drain", why: "it does not do so".to_owned() },
            sessions => Failure::StillInUse { id, sessions, within: patience.drain },
        })
    }

    /// Nothing is under way, nothing can be begun, and it is not done.
    fn stuck(&self, now: Moment) -> Option<Failure> {
        let waits = self.is_busy()
            || self.members.values().any(|m| m.down.is_some() || m.last_seen < now)
            || self.stage() != Stage::Rolling;
        if !self.has_looked(now) || waits || self.is_done() || self.last_look < now {
            return None;
        }
        let can_start = {
            let new = self.members.values().filter(|m| m.seen.new).count();
            new < self.plan.desired && self.members.len() < self.plan.ceiling()
        };
        if can_start || self.next_to_leave(now).is_some() {
            return None;
        }
        Some(Failure::Stuck {
            available: self.available().count(),
            slots: self.slots(),
            floor: self.plan.floor(),
            slots_floor: self.slots_floor,
        })
    }
}
