//! The simulated world: one clock, one queue of events, one source of chance. No threads, no sockets.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use flotilla_core::keyring::Keyring;
use flotilla_core::launcher::BrowserId;
use flotilla_core::pool::Moment;

use crate::fault::Fault;
use crate::history::{Fact, History};
use crate::msg::Msg;
use crate::net::{ConnId, Net};
use crate::rng::Rng;
use crate::setup::Setup;

/// What a process is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    Redis,
    Gateway,
    Worker,
    Client,
    Operator,
    Intruder,
    /// A machine that clients share.
    Clients,
}

/// A process's name; also its machine's, where it has one of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub(crate) role: Role,
    pub(crate) number: u16,
}

/// One life of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Me {
    pub(crate) name: Name,
    pub(crate) life: u32,
}

/// What a process waits for.
#[derive(Clone, Debug)]
pub(crate) enum Timer {
    /// A gateway looks at its view, a worker at its pool.
    Look,
    /// A gateway dials back whoever is due.
    Check,
    /// A gateway's connections to Redis.
    Feed,
    SnapshotDue,
    /// Something on this connection takes too long.
    Late(ConnId, u32),
    /// A client has waited as long as one may.
    Deadline(ConnId),
    /// A client comes back to its place.
    Again(ConnId),
    /// A session is as old as one may be.
    Limit(ConnId),
    /// Both ends of a session are pinged, and looked after.
    Ping(ConnId),
    /// A drain's time is over.
    DrainOver,
    /// A worker tells Redis.
    Tell,
    TellLate(u32),
    Launched(BrowserId),
    Exited(BrowserId, Died),
    Disposed(ConnId),
    Dialled(ConnId),
    /// A client does what it was going to do next.
    Step(u32),
}

/// How a browser's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Died {
    Closed,
    Crashed,
    WithDriver,
}

/// What a process hears from the network.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Accepted,
    Connected,
    /// Nobody listens there.
    Refused,
    Said(Msg),
    /// The peer has closed; everything it said before has been heard.
    Eof,
    Reset,
}

/// What happens next.
#[derive(Debug)]
pub(crate) enum Event {
    Timer { me: Me, timer: Timer },
    Net { me: Me, conn: ConnId, heard: Heard },
    Syn { conn: ConnId, tries: u32 },
    Pump { conn: ConnId, from: usize },
    Rst { conn: ConnId, to: usize },
    Refuse { conn: ConnId },
    Act(Act),
}

/// What the seed has planned.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Start(Name),
    Fault(usize),
    Undo(Fault),
    Heal,
    Client(usize),
}

#[derive(Debug)]
pub(crate) struct Proc {
    pub(crate) host: Name,
    pub(crate) life: u32,
    pub(crate) up: bool,
    pub(crate) since: Moment,
    pub(crate) paused_until: Moment,
}

/// Everything but the processes' own state.
pub(crate) struct World {
    pub(crate) now: Moment,
    pub(crate) setup: Setup,
    pub(crate) rng: Rng,
    pub(crate) net: Net,
    pub(crate) procs: BTreeMap<Name, Proc>,
    pub(crate) history: History,
    pub(crate) keyring: Keyring,
    /// Tickets and adverts that somebody wrote down on their way.
    pub(crate) leaked: Leaked,
    /// How far each machine's wall clock is off, in seconds.
    pub(crate) wall: BTreeMap<Name, i64>,
    pub(crate) troubles: Troubles,
    queue: BinaryHeap<Entry>,
    pushed: u64,
}

/// What the faults of now do to browsers, by worker.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    pub(crate) launches_fail: BTreeMap<Name, Moment>,
    pub(crate) launches_slow: BTreeMap<Name, Moment>,
    pub(crate) disposal_hangs: BTreeMap<Name, Moment>,
}

/// What an intruder has written down.
#[derive(Debug, Default)]
pub(crate) struct Leaked {
    pub(crate) tickets: Vec<String>,
    pub(crate) adverts: Vec<Rc<str>>,
}

impl World {
    pub(crate) fn new(setup: Setup, trace: bool) -> Self {
        Self {
            now: Moment::ZERO,
            rng: Rng::stream(setup.seed, 2),
            net: Net::default(),
            procs: BTreeMap::new(),
            history: History::new(trace),
            keyring: Keyring::parse("the-secret-of-the-simulated-fleet").unwrap(),
            leaked: Leaked::default(),
            wall: BTreeMap::new(),
            troubles: Troubles::default(),
            queue: BinaryHeap::new(),
            pushed: 0,
            setup,
        }
    }

    pub(crate) fn push(&mut self, at: Moment, event: Event) {
        self.pushed += 1;
        self.queue.push(Entry { at, order: self.pushed, event });
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let entry = self.queue.pop()?;
        self.now = self.now.max(entry.at);
        Some(entry.event)
    }

    pub(crate) fn next_at(&self) -> Option<Moment> {
        self.queue.peek().map(|entry| entry.at)
    }

    pub(crate) fn timer(&mut self, me: Me, at: Moment, timer: Timer) {
        self.push(at.max(self.now), Event::Timer { me, timer });
    }

    pub(crate) fn after(&mut self, me: Me, wait: Duration, timer: Timer) {
        self.timer(me, self.now + wait, timer);
    }

    pub(crate) fn note(&mut self, fact: Fact) {
        self.history.note(self.now, fact);
    }

    pub(crate) fn is_alive(&self, me: Me) -> bool {
        self.procs.get(&me.name).is_some_and(|proc| proc.up && proc.life == me.life)
    }

    pub(crate) fn me(&self, name: Name) -> Option<Me> {
        let proc = self.procs.get(&name).filter(|proc| proc.up)?;
        Some(Me { name, life: proc.life })
    }

    /// Until when this process does not run; it is in the past for one that does.
    pub(crate) fn paused_until(&self, me: Me) -> Moment {
        self.procs.get(&me.name).map_or(Moment::ZERO, |proc| proc.paused_until)
    }

    /// How long a process has been running.
    pub(crate) fn uptime(&self, me: Me) -> Duration {
        self.procs.get(&me.name).map_or(Duration::ZERO, |proc| self.now - proc.since)
    }
}

#[derive(Debug)]
struct Entry {
    at: Moment,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest: a heap gives its greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl Name {
    pub(crate) const REDIS: Self = Self { role: Role::Redis, number: 1 };
    pub(crate) const OPERATOR: Self = Self { role: Role::Operator, number: 1 };
    pub(crate) const INTRUDER: Self = Self { role: Role::Intruder, number: 1 };

    pub(crate) fn new(role: Role, number: usize) -> Self {
        Self { role, number: number as u16 }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Redis => return f.pad("redis"),
            Role::Operator => return f.pad("operator"),
            Role::Intruder => return f.pad("intruder"),
            Role::Gateway => "gateway",
            Role::Worker => "worker",
            Role::Client => "client",
            Role::Clients => "clients",
        };
        f.pad(&format!("{role}-{}", self.number))
    }
}

impl fmt::Debug for Me {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.life {
            1 => write!(f, "{:?}", self.name),
            life => write!(f, "{:?}/{life}", self.name),
        }
    }
}
