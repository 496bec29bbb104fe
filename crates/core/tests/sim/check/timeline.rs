//! When what was up, reachable and running: the world's part of the history, by interval.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_core::pool::Moment;
use flotilla_core::refusal::Served;

use crate::history::{Fact, Sid};
use crate::net::{ConnId, Parting};
use crate::run::Outcome;
use crate::world::{Me, Name, Role};

pub(crate) const FOREVER: Moment = Moment::from_secs(1_000_000);

/// From when to when.
pub(crate) type Span = (Moment, Moment);

#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) lives: BTreeMap<Me, Life>,
    cuts: BTreeMap<(Name, Name), Vec<Span>>,
    slow: BTreeMap<(Name, Name), Vec<Span>>,
    pub(crate) pauses: BTreeMap<Name, Vec<Span>>,
    /// The machines of clients that share one.
    hosts: BTreeMap<Name, Name>,
    /// When connections were broken from outside.
    pub(crate) broken: BTreeMap<ConnId, Moment>,
    pub(crate) guests: BTreeMap<ConnId, Guest>,
    /// What became of connections between gateways and workers.
    pub(crate) visits: BTreeMap<ConnId, Visit>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) up: Moment,
    pub(crate) down: Moment,
    pub(crate) how: Option<Parting>,
}

/// A client's connection to its gateway.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) client: Me,
    pub(crate) gateway: Option<Me>,
    pub(crate) key: String,
    pub(crate) served: Option<Served>,
    pub(crate) entered: Moment,
    /// When it closed or left, by itself.
    pub(crate) left: Moment,
    pub(crate) told: Moment,
}

/// A connection on which a session was brought to a worker.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) worker: Me,
    pub(crate) session: Sid,
    pub(crate) admitted: Moment,
    pub(crate) browser: Option<String>,
    /// Whose it is; an intruder's has none.
    pub(crate) guest: Option<ConnId>,
    pub(crate) let_in: Option<Moment>,
    /// When its gateway, or whoever brought it, was done with it.
    pub(crate) given_up: Moment,
}

impl Timeline {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let mut time = Self::default();
        let mut asked = BTreeMap::new();
        for (n, client) in outcome.setup.clients.iter().enumerate() {
            if let Some(host) = client.host {
                time.hosts.insert(Name::new(Role::Client, n + 1), host);
            }
        }
        for (at, fact) in &outcome.history.facts {
            time.world(*at, fact);
            time.sessions(*at, fact, &mut asked);
        }
        time
    }

    fn world(&mut self, at: Moment, fact: &Fact) {
        match fact {
            Fact::Up { who } => {
                self.lives.insert(*who, Life { up: at, down: FOREVER, how: None });
            }
            Fact::Down { who, how } => {
                if let Some(life) = self.lives.get_mut(who) {
                    (life.down, life.how) = (at, Some(*how));
                }
                let pauses = self.pauses.get_mut(&who.name).into_iter().flatten();
                pauses.for_each(|span| span.1 = span.1.min(at));
            }
            Fact::Paused { who, until } => {
                self.pauses.entry(who.name).or_default().push((at, *until));
            }
            Fact::Cut { from, to } => {
                self.cuts.entry((*from, *to)).or_default().push((at, FOREVER));
            }
            Fact::Uncut { from, to } => close(self.cuts.get_mut(&(*from, *to)), at),
            Fact::Slowed { from, to, millis } => {
                let spans = self.slow.entry((*from, *to)).or_default();
                spans.iter_mut().filter(|span| span.1 == FOREVER).for_each(|span| span.1 = at);
                if *millis > 0 {
                    spans.push((at, FOREVER));
                }
            }
            Fact::Healed => {
                let all = self.cuts.values_mut().chain(self.slow.values_mut()).flatten();
                all.filter(|span| span.1 == FOREVER).for_each(|span| span.1 = at);
            }
            Fact::Broke { conn } => {
                self.broken.entry(*conn).or_insert(at);
            }
            _ => {}
        }
    }

    fn sessions(&mut self, at: Moment, fact: &Fact, asked: &mut BTreeMap<ConnId, ConnId>) {
        match fact {
            Fact::Arrived { client, guest, .. } => {
                let new = Guest {
                    client: *client,
                    gateway: None,
                    key: String::new(),
                    served: None,
                    entered: FOREVER,
                    left: FOREVER,
                    told: FOREVER,
                };
                self.guests.insert(*guest, new);
            }
            Fact::Entered { gateway, guest, key, served, .. } => {
                if let Some(found) = self.guests.get_mut(guest) {
                    found.gateway = Some(*gateway);
                    found.key.clone_from(key);
                    found.served = Some(*served);
                    found.entered = at;
                }
            }
            Fact::ClientCloses { guest, .. } | Fact::ClientLeaves { guest, .. } => {
                self.guest(*guest, |guest| guest.left = guest.left.min(at));
            }
            Fact::Told { guest, what, .. } if !matches!(what, crate::history::Told::In) => {
                self.guest(*guest, |guest| guest.told = guest.told.min(at));
            }
            Fact::Asked { guest, conn, .. } => {
                asked.insert(*conn, *guest);
            }
            Fact::Admitted { worker, conn, session, .. } => {
                let visit = Visit {
                    worker: *worker,
                    session: *session,
                    admitted: at,
                    browser: None,
                    guest: asked.get(conn).copied(),
                    let_in: None,
                    given_up: FOREVER,
                };
                self.visits.insert(*conn, visit);
            }
            Fact::Seated { conn, browser, .. } => {
                self.visit(*conn, |visit| visit.browser = Some(browser.clone()));
            }
            Fact::LetIn { conn, .. } => self.visit(*conn, |visit| visit.let_in = Some(at)),
            Fact::Missed { guest, .. }
            | Fact::Refused { guest, .. }
            | Fact::GaveUp { guest, .. }
            | Fact::Ended { guest, .. } => {
                let visits = self.visits.values_mut().filter(|visit| visit.guest == Some(*guest));
                visits.for_each(|visit| visit.given_up = visit.given_up.min(at));
            }
            Fact::Down { who, .. } if who.name.role == Role::Gateway => {
                let gateways: BTreeMap<_, _> =
                    self.guests.iter().map(|(conn, guest)| (*conn, guest.gateway)).collect();
                for visit in self.visits.values_mut() {
                    if visit.guest.and_then(|guest| gateways[&guest]) == Some(*who) {
                        visit.given_up = visit.given_up.min(at);
                    }
                }
            }
            _ => {}
        }
    }

    fn guest(&mut self, guest: ConnId, change: impl FnOnce(&mut Guest)) {
        if let Some(found) = self.guests.get_mut(&guest) {
            change(found);
        }
    }

    fn visit(&mut self, conn: ConnId, change: impl FnOnce(&mut Visit)) {
        if let Some(found) = self.visits.get_mut(&conn) {
            change(found);
        }
    }

    /// When a process was not there, or not running. Of a client others note when it leaves.
    pub(crate) fn absences(&self, name: Name) -> Vec<Span> {
        if name.role == Role::Client {
            return Vec::new();
        }
        let mut absent = self.pauses.get(&name).cloned().unwrap_or_default();
        let mut last = Moment::ZERO;
        for (_, life) in self.lives.iter().filter(|(me, _)| me.name == name) {
            absent.push((last, life.up));
            last = life.down;
        }
        absent.push((last, FOREVER));
        absent.retain(|(from, to)| from < to);
        absent
    }

    /// When two machines could not talk to each other as they should.
    pub(crate) fn bad_links(&self, a: Name, b: Name) -> Vec<Span> {
        let both = [(a, b), (b, a)];
        let cuts = both.iter().filter_map(|link| self.cuts.get(link)).flatten();
        let slow = both.iter().filter_map(|link| self.slow.get(link)).flatten();
        cuts.chain(slow).copied().collect()
    }

    /// When two processes could not talk to each other as they should.
    pub(crate) fn troubles(&self, a: Name, b: Name) -> Vec<Span> {
        let links = self.bad_links(self.host(a), self.host(b));
        [links, self.absences(a), self.absences(b)].concat()
    }

    fn host(&self, name: Name) -> Name {
        self.hosts.get(&name).copied().unwrap_or(name)
    }

    /// The life of a process at a moment.
    pub(crate) fn life(&self, name: Name, at: Moment) -> Option<Me> {
        let mut lives = self.lives.iter().filter(|(me, _)| me.name == name);
        lives.find(|(_, life)| life.up <= at && at <= life.down).map(|(me, _)| *me)
    }
}

/// Whether any of these touches that time.
pub(crate) fn touches(spans: &[Span], from: Moment, to: Moment) -> bool {
    spans.iter().any(|span| span.0 <= to && from <= span.1)
}

/// How much of that time they cover together.
pub(crate) fn covered(spans: &[Span], from: Moment, to: Moment) -> Duration {
    let clipped = spans.iter().map(|span| (span.0.max(from), span.1.min(to)));
    let ordered: BTreeSet<_> = clipped.filter(|(from, to)| from < to).collect();
    let (mut sum, mut end) = (Duration::ZERO, from);
    for (from, to) in ordered {
        let from = from.max(end);
        if to > from {
            sum += to - from;
            end = to;
        }
    }
    sum
}

/// The last one that is open ends here.
fn close(spans: Option<&mut Vec<Span>>, at: Moment) {
    let open = spans.and_then(|spans| spans.iter_mut().find(|span| span.1 == FOREVER));
    if let Some(span) = open {
        span.1 = at;
    }
}
