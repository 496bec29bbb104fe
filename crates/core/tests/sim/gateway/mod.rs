//! A gateway: the production's view, line, tickets and book, and around them what its tasks do.

mod feed;
mod line;
mod prove;
mod relay;
mod tries;

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_core::attempt::Target;
use flotilla_core::book::Book;
use flotilla_core::pool::{Demand, Moment};
use flotilla_core::queue::Place;
use flotilla_core::refusal::Served;
use flotilla_core::turns::Turns;
use flotilla_core::view::{Patience, Standing, View};
use flotilla_core::{SessionId, WorkerId};

use crate::history::{Fact, Sid};
use crate::msg::Msg;
use crate::net::ConnId;
use crate::world::{Heard, Me, Timer, World};

use feed::Feed;
use prove::Asking;

/// How often the view is looked at when nothing happens.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) struct Gateway {
    me: Me,
    view: View,
    turns: Turns<ConnId>,
    book: Book<ConnId>,
    guests: BTreeMap<ConnId, Guest>,
    /// Whose connection to a worker is whose.
    upstreams: BTreeMap<ConnId, ConnId>,
    asking: BTreeMap<ConnId, Asking>,
    feed: Feed,
    draining: bool,
    looks_at: Option<Moment>,
    /// What was noted of what the view knows.
    noted: BTreeMap<String, Noted>,
    pub(crate) done: bool,
}

/// What was noted of a worker.
#[derive(Default)]
struct Noted {
    instance: String,
    seq: u64,
    standing: Option<Standing>,
}

/// A client, as its gateway sees it.
struct Guest {
    session: SessionId,
    key: String,
    demand: Demand,
    served: Served,
    place: Option<Place>,
    phase: Phase,
    /// Its deadline has passed while it was being tried.
    late: bool,
}

enum Phase {
    Waiting,
    /// It goes back to its place in a moment.
    Pausing,
    Trying(Try),
    Live {
        upstream: ConnId,
        since: Moment,
    },
}

/// A try to have the session opened on a worker.
struct Try {
    conn: ConnId,
    target: Target,
    ticket: String,
    connected: bool,
    /// It counts as trying, and as on its way, until the worker has answered.
    permit: bool,
}

impl Gateway {
    pub(crate) fn start(me: Me, world: &mut World) -> Self {
        world.listen(me, &format!("{:?}:8080", me.name));
        let timing = world.setup.timing.clone();
        let mut view = View::new(Patience::new(timing.ttl, timing.heartbeat));
        view.lost_registry(Moment::ZERO);
        world.timer(me, world.now, Timer::Look);
        world.timer(me, world.now, Timer::Feed);
        Self {
            me,
            view,
            turns: Turns::new(world.setup.queue_limit),
            book: Book::new(),
            guests: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            asking: BTreeMap::new(),
            feed: Feed::default(),
            draining: false,
            looks_at: None,
            noted: BTreeMap::new(),
            done: false,
        }
    }

    pub(crate) fn heard(&mut self, world: &mut World, conn: ConnId, heard: Heard) {
        if self.feed.is(conn) {
            self.feed_heard(world, conn, heard);
        } else if self.asking.contains_key(&conn) {
            self.proof_heard(world, conn, heard);
        } else if let Some(guest) = self.upstreams.get(&conn).copied() {
            match self.guests.get(&guest).map(|guest| &guest.phase) {
                Some(Phase::Trying(_)) => self.worker_answers(world, guest, heard),
                Some(Phase::Live { .. }) => self.upstream_heard(world, guest, heard),
                _ => {}
            }
        } else {
            self.client_heard(world, conn, heard);
        }
        self.finish(world);
    }

    fn client_heard(&mut self, world: &mut World, conn: ConnId, heard: Heard) {
        match heard {
            Heard::Said(Msg::Want { key, demand }) => self.enter(world, conn, key, demand),
            Heard::Said(Msg::Close { .. }) => self.client_closes(world, conn),
            Heard::Said(Msg::Ping) => world.send(self.me, conn, Msg::Pong),
            Heard::Eof | Heard::Reset => self.client_leaves(world, conn),
            _ => {}
        }
    }

    pub(crate) fn due(&mut self, world: &mut World, timer: Timer) {
        match timer {
            Timer::Look => {
                let now = self.now(world);
                self.view.tick(now);
                self.changed(world);
                world.after(self.me, LOOK, Timer::Look);
            }
            Timer::Check => {
                self.looks_at = None;
                self.prove(world);
            }
            Timer::Feed => self.feed_due(world),
            Timer::SnapshotDue => self.snapshot_due(world),
            Timer::Late(conn, stage) => self.late(world, conn, stage),
            Timer::Deadline(guest) => self.deadline(world, guest),
            Timer::Again(guest) => self.again(world, guest),
            Timer::Limit(guest) => self.over_limit(world, guest),
            Timer::Ping(guest) => self.look_after(world, guest),
            Timer::DrainOver => self.drain_over(world),
            _ => {}
        }
        self.finish(world);
    }

    fn late(&mut self, world: &mut World, conn: ConnId, stage: u32) {
        if self.feed.is(conn) {
            self.feed_late(world, conn, stage);
        } else if self.asking.contains_key(&conn) {
            self.proof_failed(world, conn, "no answer came in time");
        } else if let Some(guest) = self.upstreams.get(&conn).copied() {
            self.try_late(world, guest, conn, stage);
        }
    }

    fn now(&self, world: &World) -> Moment {
        world.uptime(self.me)
    }

    /// The view has changed: whoever is to be dialled back is, and whoever can be called is called.
    fn changed(&mut self, world: &mut World) {
        self.note_view(world);
        self.prove(world);
        self.call_next(world);
    }

    fn note_view(&mut self, world: &mut World) {
        self.view.take_notices();
        let mut known: Vec<_> = self.view.workers().collect();
        known.sort_by(|a, b| a.advert.id.cmp(&b.advert.id));
        let gateway = self.me;
        for known in known {
            let worker = known.advert.id.0.clone();
            let noted = self.noted.entry(worker.clone()).or_default();
            if (&noted.instance, noted.seq) != (&known.advert.instance.0, known.advert.seq) {
                (noted.instance, noted.seq) = (known.advert.instance.0.clone(), known.advert.seq);
                let (worker, instance) = (worker.clone(), noted.instance.clone());
                world.note(Fact::Knows { gateway, worker, instance, seq: noted.seq });
            }
            if noted.standing.as_ref() != Some(&known.standing) {
                noted.standing = Some(known.standing.clone());
                world.note(Fact::Stands { gateway, worker, how: format!("{:?}", known.standing) });
            }
        }
    }

    /// An orderly stop: nobody comes in, and who is in gets some time.
    pub(crate) fn drain(&mut self, world: &mut World) {
        world.note(Fact::Draining { who: self.me });
        self.draining = true;
        let waiting: Vec<_> = self.guests.iter().filter(|(_, guest)| guest.waits()).collect();
        let waiting: Vec<_> = waiting.into_iter().map(|(conn, _)| *conn).collect();
        for guest in waiting {
            self.refuse(world, guest, "draining");
        }
        world.after(self.me, world.setup.timing.drain_timeout, Timer::DrainOver);
        self.finish(world);
    }

    fn finish(&mut self, _: &World) {
        self.done = self.draining && self.guests.is_empty();
    }

    /// What is left when everything is quiet, given who lives.
    pub(crate) fn rest(&self, world: &mut World, alive: &[(WorkerId, String)]) {
        let waiting: usize = self.turns.waiting().map(|(_, count)| count).sum();
        let trying = self.turns.trying();
        let pending = self.view.fleet().pending();
        let what = format!(
            "{} guests, {waiting} waiting, {trying} trying, {pending} pending, blind: {}",
            self.guests.len(),
            self.view.blind_since().is_some()
        );
        let ok = self.guests.is_empty()
            && (waiting, trying, pending) == (0, 0, 0)
            && self.view.blind_since().is_none()
            && self.book.is_empty();
        world.note(Fact::Rest { who: self.me, what, ok });
        for (id, instance) in alive {
            let known = self.view.worker(id);
            let is_proved = known.is_some_and(|known| {
                known.standing == Standing::Proved && known.advert.instance.0 == *instance
            });
            let what =
                format!("{instance}: {:?}", known.map(|k| (&k.advert.instance, &k.standing)));
            world.note(Fact::Rest { who: self.me, what, ok: is_proved });
        }
        let free: usize = self.view.fleet().workers().map(|advert| advert.free()).sum();
        let what = format!("{free} free of {}", world.setup.slots());
        world.note(Fact::Rest { who: self.me, what, ok: free == world.setup.slots() });
        let others = self.view.workers().filter(|known| known.standing == Standing::Proved).count();
        let what = format!("{others} proved of {}", alive.len());
        world.note(Fact::Rest { who: self.me, what, ok: others == alive.len() });
    }

    fn session_of(&self, guest: ConnId) -> Sid {
        self.guests.get(&guest).map_or(Sid(0), |guest| Sid::of(&guest.session))
    }
}

impl Guest {
    fn waits(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Pausing)
    }
}
