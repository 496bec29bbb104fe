//! A roll that failed gives back what it can: old ones that it drained take sessions again, and
//! new ones of its own that have not proved themselves go. Whatever else is there may be in use.

use std::time::Duration;

use super::member::{Life, Member, Order};
use super::{Action, Rollout};
use crate::pool::Moment;

impl Rollout {
    pub(super) fn give_up(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = self.discard();
        let (looks, settle) = (self.last_look == now, self.plan.patience.settle);
        for (who, member) in self.members.iter_mut().filter(|_| looks) {
            actions.extend(if member.is_on_trial() && member.ours {
                send_away(who, member, now)
            } else if member.seen.new {
                None
            } else if member.stop.is_some() {
                let again = Member::order(&mut member.stop, now);
                again.then(|| Action::Stop(who.clone()))
            } else {
                take_back(who, member, settle, now)
            });
        }
        let since = self.failed.as_ref().map_or(now, |(_, at)| *at);
        let patience = &self.plan.patience;
        let longest = patience.drain + patience.stop;
        self.over = self.has_given_back(looks, now) || now.saturating_sub(since) >= longest;
        actions
    }

    /// What was started and never seen may yet come.
    fn discard(&mut self) -> Vec<Action> {
        if std::mem::replace(&mut self.discarded, true) {
            return Vec::new();
        }
        self.pending.iter().map(|p| Action::Discard { name: p.name.clone() }).collect()
    }

    fn has_given_back(&self, looks: bool, now: Moment) -> bool {
        let back = |m: &Member| match (m.seen.new, &m.stop) {
            (true, _) => m.is_proved() || !m.ours,
            (false, Some(_)) => false,
            (false, None) => m.drain.is_none(),
        };
        let patience = self.plan.patience.stop;
        // Whom nobody can tell anything is left as he is.
        let deaf = |m: &Member| {
            let given = [&m.stop, &m.undrain, &m.drain].into_iter().flatten().next();
            given.is_some_and(|order| order.failed.is_some() && order.since + patience <= now)
        };
        looks && self.members.values().all(|m| back(m) || deaf(m))
    }
}

/// A new one that did not prove itself: no session is cut for that either. One that takes none, and
/// has none, may be one that cannot even be told.
fn send_away(who: &Life, member: &mut Member, now: Moment) -> Option<Action> {
    let unused = member.seen.sessions == 0 && !member.seen.serves();
    if member.stop.is_some() || unused {
        let first = Member::order(&mut member.stop, now);
        return first.then(|| Action::Stop(who.clone()));
    }
    Member::order(&mut member.drain, now).then(|| Action::Drain(who.clone()))
}

/// An old one that we drained. It was given back when it takes sessions a while after it was told
/// to: what is seen before that may be older than the drain.
fn take_back(who: &Life, member: &mut Member, settle: Duration, now: Moment) -> Option<Action> {
    member.drain.as_ref()?;
    let told = |order: &Order| order.failed.is_none() && now.saturating_sub(order.told) >= settle;
    if member.seen.serves() && member.undrain.as_ref().is_some_and(told) {
        member.drain = None;
        return None;
    }
    if !Member::order(&mut member.undrain, now) {
        return None;
    }
    Some(Action::Undrain(who.clone()))
}
