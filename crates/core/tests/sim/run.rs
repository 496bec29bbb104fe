//! One run: processes that start, hear, wait and die, one event after another, until all is quiet.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_core::keyring::Keyring;
use flotilla_core::pool::Moment;

use crate::client::Client;
use crate::errand::Errands;
use crate::fault::{Attack, Fault, Lie};
use crate::gateway::Gateway;
use crate::history::{Fact, History, Slip};
use crate::msg::{Msg, Order};
use crate::net::{ConnId, Parting};
use crate::redis::{self, Redis};
use crate::setup::Setup;
use crate::worker::{self, Worker};
use crate::world::{Act, Died, Event, Heard, Me, Name, Proc, Role, Timer, World};

/// More events than this at one moment, or in all, are no progress.
const CIRCLES: u32 = 20_000;
const EVENTS: u32 = 3_000_000;

enum Node {
    Redis(Redis),
    Gateway(Box<Gateway>),
    Worker(Box<Worker>),
    Client(Box<Client>),
    Errands(Errands),
}

pub(crate) struct Run {
    world: World,
    nodes: BTreeMap<Name, Node>,
    /// Where each worker listens; it may move.
    endpoints: BTreeMap<Name, String>,
    healed: bool,
}

/// What came of a seed.
pub(crate) struct Outcome {
    pub(crate) setup: Setup,
    pub(crate) history: History,
    pub(crate) events: u32,
    pub(crate) faults: Vec<&'static str>,
}

impl Run {
    pub(crate) fn new(setup: Setup, trace: bool) -> Self {
        let mut world = World::new(setup, trace);
        for (at, name) in world.setup.starts.clone() {
            world.push(at, Event::Act(Act::Start(name)));
        }
        for n in 0..world.setup.clients.len() {
            let at = world.setup.clients[n].at;
            world.push(at, Event::Act(Act::Client(n)));
        }
        for n in 0..world.setup.faults.len() {
            let at = world.setup.faults[n].0;
            world.push(at, Event::Act(Act::Fault(n)));
        }
        let heal_at = world.setup.heal_at;
        world.push(heal_at, Event::Act(Act::Heal));
        Self { world, nodes: BTreeMap::new(), endpoints: BTreeMap::new(), healed: false }
    }

    pub(crate) fn go(mut self) -> Outcome {
        for name in [Name::OPERATOR, Name::INTRUDER] {
            self.start(name);
        }
        let (mut events, mut circles, mut moment) = (0, 0, Moment::ZERO);
        while self.world.next_at().is_some_and(|at| at <= self.world.setup.end_at) {
            let Some(event) = self.world.pop() else { break };
            events += 1;
            circles = if self.world.now == moment { circles + 1 } else { 0 };
            moment = self.world.now;
            if circles > CIRCLES || events > EVENTS {
                let who = Me { name: Name::OPERATOR, life: 0 };
                self.world.note(Fact::Spins { who });
                break;
            }
            self.happen(event);
        }
        self.rest();
        let faults = self.world.setup.faults.iter().map(|(_, fault)| fault.kind()).collect();
        Outcome { setup: self.world.setup, history: self.world.history, events, faults }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Timer { me, timer } => self.timer(me, timer),
            Event::Net { me, conn, heard } => self.net(me, conn, heard),
            Event::Syn { conn, tries } => self.world.syn(conn, tries),
            Event::Pump { conn, from } => self.world.pump(conn, from),
            Event::Rst { conn, to } => self.world.rst(conn, to),
            Event::Refuse { conn } => self.world.refuse(conn),
            Event::Act(act) => self.act(act),
        }
    }

    fn timer(&mut self, me: Me, timer: Timer) {
        if !self.world.is_alive(me) {
            return;
        }
        let paused = self.world.paused_until(me);
        if paused > self.world.now {
            return self.world.timer(me, paused, timer);
        }
        let world = &mut self.world;
        match (self.nodes.get_mut(&me.name), timer) {
            (Some(Node::Gateway(gateway)), timer) => gateway.due(world, timer),
            (Some(Node::Worker(worker)), timer) => worker.due(world, timer),
            (Some(Node::Client(client)), Timer::Step(step)) => {
                if let Some(parting) = client.due(world, step) {
                    self.stop(me.name, parting);
                }
            }
            (Some(Node::Errands(errands)), Timer::Late(conn, _)) => errands.late(world, conn),
            _ => {}
        }
        self.reap(me);
    }

    fn net(&mut self, me: Me, conn: ConnId, heard: Heard) {
        if !self.world.is_alive(me) {
            return;
        }
        let world = &mut self.world;
        match self.nodes.get_mut(&me.name) {
            Some(Node::Redis(redis)) => redis.heard(world, conn, heard),
            Some(Node::Gateway(gateway)) => gateway.heard(world, conn, heard),
            Some(Node::Worker(worker)) => worker.heard(world, conn, heard),
            Some(Node::Client(client)) => client.heard(world, heard),
            Some(Node::Errands(errands)) => errands.heard(world, conn, heard),
            None => {}
        }
        self.reap(me);
    }

    /// A process that is done ends, and its supervisor starts it again.
    fn reap(&mut self, me: Me) {
        let done = match self.nodes.get(&me.name) {
            Some(Node::Gateway(gateway)) => gateway.done,
            Some(Node::Worker(worker)) => worker.done,
            _ => false,
        };
        if done {
            self.stop(me.name, Parting::Closed);
            self.start_later(me.name, Duration::from_millis(500));
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Start(name) => self.start(name),
            Act::Client(n) => self.start_client(n),
            Act::Fault(n) if !self.healed => {
                let fault = self.world.setup.faults[n].1.clone();
                self.strike(fault);
            }
            Act::Undo(fault) if !self.healed => self.undo(fault),
            Act::Fault(_) | Act::Undo(_) => {}
            Act::Heal => self.heal(),
        }
    }

    fn start_later(&mut self, name: Name, wait: Duration) {
        let at = self.world.now + wait;
        self.world.push(at, Event::Act(Act::Start(name)));
    }

    fn start(&mut self, name: Name) {
        let now = self.world.now;
        let host = self.world.procs.get(&name).map_or(name, |proc| proc.host);
        let life = self.world.procs.get(&name).map_or(1, |proc| proc.life + 1);
        if self.world.me(name).is_some() {
            return;
        }
        self.world.host_up(host);
        let proc = Proc { host, life, up: true, since: now, paused_until: Moment::ZERO };
        self.world.procs.insert(name, proc);
        let me = Me { name, life };
        self.world.note(Fact::Up { who: me });
        let world = &mut self.world;
        let node = match name.role {
            Role::Redis => Node::Redis(Redis::start(me, world)),
            Role::Gateway => Node::Gateway(Box::new(Gateway::start(me, world))),
            Role::Worker => {
                let endpoint =
                    self.endpoints.entry(name).or_insert_with(|| format!("{name:?}:3131"));
                Node::Worker(Box::new(Worker::start(me, world, endpoint)))
            }
            _ => Node::Errands(Errands::start(me)),
        };
        self.nodes.insert(name, node);
    }

    fn start_client(&mut self, n: usize) {
        let plan = self.world.setup.clients[n].clone();
        let name = Name::new(Role::Client, n + 1);
        let host = plan.host.unwrap_or(name);
        let (now, life) = (self.world.now, 1);
        let proc = Proc { host, life, up: true, since: now, paused_until: Moment::ZERO };
        self.world.procs.insert(name, proc);
        let client = Client::start(Me { name, life }, &mut self.world, plan);
        self.nodes.insert(name, Node::Client(Box::new(client)));
    }

    /// A process ends, whatever it was doing.
    fn stop(&mut self, name: Name, parting: Parting) {
        let Some(me) = self.world.me(name) else { return };
        self.nodes.remove(&name);
        self.world.note(Fact::Down { who: me, how: parting });
        self.world.part_all(me, parting);
        if let Some(proc) = self.world.procs.get_mut(&name) {
            proc.up = false;
            let host = proc.host;
            if parting == Parting::Silent && host == name {
                self.world.host_down(host);
            }
        }
    }

    fn undo_later(&mut self, fault: Fault, wait: Duration) {
        let at = self.world.now + wait;
        self.world.push(at, Event::Act(Act::Undo(fault)));
    }

    fn strike(&mut self, fault: Fault) {
        let now = self.world.now;
        match fault.clone() {
            Fault::Kill { name, parting, back, moved } => {
                if moved && name.role == Role::Worker {
                    let port = 3132 + self.world.rng.number(0..100);
                    self.endpoints.insert(name, format!("{name:?}:{port}"));
                }
                self.stop(name, parting);
                self.start_later(name, back);
            }
            Fault::PowerOff { name, back } => {
                self.stop(name, Parting::Silent);
                self.start_later(name, back);
            }
            Fault::Pause { name, lasts } => self.pause(name, lasts),
            Fault::Cut { from, to, both, lasts } => {
                self.cut(from, to);
                if both {
                    self.cut(to, from);
                }
                self.undo_later(fault, lasts);
            }
            Fault::Isolate { name, lasts } => {
                for other in self.others(name) {
                    self.cut(name, other);
                    self.cut(other, name);
                }
                self.undo_later(fault, lasts);
            }
            Fault::Slow { from, to, by, lasts } => {
                let millis = by.as_millis() as u64;
                self.world.note(Fact::Slowed { from, to, millis });
                self.world.slow_down(from, to, by);
                self.undo_later(fault, lasts);
            }
            Fault::Break { number, both } => self.break_conn(number, both),
            Fault::Wipe => self.wipe(),
            Fault::BrowserDies { worker, number } => self.browser_dies(worker, number),
            Fault::DriverDies { worker } => {
                if let Some(Node::Worker(node)) = self.nodes.get_mut(&worker) {
                    node.driver_dies(&mut self.world);
                }
            }
            Fault::LaunchesFail { worker, lasts } => {
                let until = now + lasts;
                self.world.note(Fact::LaunchesFail { worker, until });
                self.world.troubles.launches_fail.insert(worker, until);
            }
            Fault::LaunchesSlow { worker, lasts } => {
                let until = now + lasts;
                self.world.note(Fact::LaunchesSlow { worker, until });
                self.world.troubles.launches_slow.insert(worker, until);
            }
            Fault::DisposalHangs { worker, lasts } => {
                let until = now + lasts;
                self.world.note(Fact::DisposalHangs { worker, until });
                self.world.troubles.disposal_hangs.insert(worker, until);
            }
            Fault::Operator { worker, order } => self.order(worker, order),
            Fault::Restart { gateway, .. } => {
                if let Some(Node::Gateway(node)) = self.nodes.get_mut(&gateway) {
                    node.drain(&mut self.world);
                }
                if let Some(me) = self.world.me(gateway) {
                    self.reap(me);
                }
            }
            Fault::Twin { worker, lasts } => {
                self.start(twin(worker));
                self.undo_later(fault, lasts);
            }
            Fault::Attack { worker, how } => self.attack(worker, how),
            Fault::Lie { how, number } => self.lie(how, number),
        }
    }

    fn undo(&mut self, fault: Fault) {
        match fault {
            Fault::Cut { from, to, both, .. } => {
                self.uncut(from, to);
                if both {
                    self.uncut(to, from);
                }
            }
            Fault::Isolate { name, .. } => {
                for other in self.others(name) {
                    self.uncut(name, other);
                    self.uncut(other, name);
                }
            }
            Fault::Slow { from, to, .. } => {
                self.world.note(Fact::Slowed { from, to, millis: 0 });
                self.world.slow_down(from, to, Duration::ZERO);
            }
            Fault::Twin { worker, .. } => self.stop(twin(worker), Parting::Closed),
            _ => {}
        }
    }

    fn others(&self, name: Name) -> Vec<Name> {
        self.world.setup.hosts().into_iter().filter(|other| *other != name).collect()
    }

    fn cut(&mut self, from: Name, to: Name) {
        self.world.note(Fact::Cut { from, to });
        self.world.cut(from, to);
    }

    fn uncut(&mut self, from: Name, to: Name) {
        self.world.note(Fact::Uncut { from, to });
        self.world.uncut(from, to);
    }

    fn pause(&mut self, name: Name, lasts: Duration) {
        let until = (self.world.now + lasts).min(self.world.setup.heal_at);
        let Some(who) = self.world.me(name) else { return };
        let Some(proc) = self.world.procs.get_mut(&name) else { return };
        // What waits for it to run again keeps its order, so one pause is not made longer.
        if proc.paused_until <= self.world.now {
            proc.paused_until = until;
            self.world.note(Fact::Paused { who, until });
        }
    }

    fn break_conn(&mut self, number: u64, both: bool) {
        let conns = self.world.established();
        if !conns.is_empty() {
            let conn = conns[number as usize % conns.len()];
            self.world.note(Fact::Broke { conn });
            self.world.break_conn(conn, both);
        }
    }

    fn wipe(&mut self) {
        if let Some(Node::Redis(redis)) = self.nodes.get_mut(&Name::REDIS) {
            self.world.note(Fact::Wiped);
            redis.wipe();
        }
    }

    fn browser_dies(&mut self, worker: Name, number: u64) {
        let Some(Node::Worker(node)) = self.nodes.get_mut(&worker) else { return };
        if let (Some(browser), Some(me)) = (node.some_browser(number), self.world.me(worker)) {
            let timer = Timer::Exited(browser, Died::Crashed);
            self.world.timer(me, self.world.now, timer);
        }
    }

    fn errands(&mut self, name: Name, address: &str, msg: Msg) {
        if let Some(Node::Errands(errands)) = self.nodes.get_mut(&name) {
            errands.run(&mut self.world, address, msg);
        }
    }

    fn order(&mut self, worker: Name, order: Order) {
        if let Some(endpoint) = self.endpoints.get(&worker).cloned() {
            self.errands(Name::OPERATOR, &endpoint, Msg::Order(order));
        }
    }

    fn attack(&mut self, worker: Name, how: Attack) {
        let Some(endpoint) = self.endpoints.get(&worker).cloned() else { return };
        let tickets = &self.world.leaked.tickets;
        // The last ones are still good for something; older ones should not be.
        let recent = tickets.len().saturating_sub(1 + self.world.rng.index(6));
        let Some(leaked) = tickets.get(recent).cloned() else { return };
        let (ticket, how) = match how {
            Attack::NoTicket => ("let-me-in".to_owned(), "without a ticket"),
            Attack::Forged => (self.forge(&leaked, worker), "with a forged ticket"),
            Attack::Replayed => (leaked, "with somebody else's ticket"),
        };
        self.world.note(Fact::Attacked { worker, how, ticket: Slip::of(&ticket) });
        self.errands(Name::INTRUDER, &endpoint, Msg::Session { ticket });
    }

    /// A ticket that says all the right things, signed with another secret.
    fn forge(&self, leaked: &str, worker: Name) -> String {
        let theirs = Keyring::parse("the-secret-of-somebody-else").unwrap();
        let mut ticket = flotilla_core::ticket::Ticket::open(&self.world.keyring, leaked).unwrap();
        ticket.worker = worker::id(worker);
        if let Some(Node::Worker(node)) = self.nodes.get(&worker) {
            ticket.instance = node.instance.clone();
        }
        let me = self.world.me(worker);
        let uptime = me.map_or(Duration::ZERO, |me| self.world.uptime(me));
        ticket.expires = flotilla_core::ticket::millis(uptime + Duration::from_secs(20));
        ticket.nonce ^= 1;
        ticket.seal(&theirs)
    }

    fn lie(&mut self, how: Lie, number: u64) {
        let adverts = &self.world.leaked.adverts;
        if adverts.is_empty() {
            return;
        }
        let leaked = adverts[number as usize % adverts.len()].clone();
        let (advert, how) = match how {
            Lie::Garbage => ("\u{1}not an advert".into(), "garbage"),
            Lie::Forged => (leaked.replace("\"used\":", "\"used\":0").into(), "a changed advert"),
            Lie::Stale => (leaked, "an old advert"),
        };
        self.world.note(Fact::Lied { how });
        let worker = Name::new(Role::Worker, 1 + number as usize % self.world.setup.workers.len());
        let (key, ttl) = (worker::id(worker).0, self.world.setup.timing.ttl);
        self.errands(Name::INTRUDER, redis::ADDRESS, Msg::Tell { key, advert, ttl });
    }

    /// Everything works again, and everybody is there.
    fn heal(&mut self) {
        self.healed = true;
        self.world.note(Fact::Healed);
        self.world.heal_net();
        self.world.troubles = Default::default();
        for worker in self.world.setup.worker_names() {
            self.stop(twin(worker), Parting::Closed);
        }
        let setup = &self.world.setup;
        let all = [setup.gateway_names(), setup.worker_names(), vec![Name::REDIS]].concat();
        for name in all {
            self.start(name);
        }
        for worker in self.world.setup.worker_names() {
            self.order(worker, Order::Undrain);
        }
    }

    fn rest(&mut self) {
        let mut alive = Vec::new();
        for name in self.world.setup.worker_names() {
            if let Some(Node::Worker(worker)) = self.nodes.get(&name) {
                alive.push((worker::id(name), worker.instance.0.clone()));
            }
        }
        let workers = self.world.setup.workers.len();
        for node in self.nodes.values_mut() {
            match node {
                Node::Redis(redis) => redis.rest(&mut self.world, workers),
                Node::Gateway(gateway) => gateway.rest(&mut self.world, &alive),
                Node::Worker(worker) => worker.rest(&mut self.world),
                Node::Client(_) | Node::Errands(_) => {}
            }
        }
    }
}

/// Another worker with the same name.
fn twin(worker: Name) -> Name {
    Name { number: worker.number + 100, ..worker }
}
