//! One run: processes that start, hear, wait and die, one event after another, until all is quiet.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_core::pool::Moment;

use crate::client::Client;
use crate::errand::Errands;
use crate::gateway::Gateway;
use crate::history::{Fact, History};
use crate::net::{ConnId, Parting};
use crate::redis::Redis;
use crate::setup::Setup;
use crate::worker::{self, Worker};
use crate::world::{Act, Event, Heard, Me, Name, Proc, Role, Timer, World};

/// More events than this at one moment, or in all, are no progress.
const CIRCLES: u32 = 20_000;
const EVENTS: u32 = 3_000_000;

pub(crate) enum Node {
    Redis(Redis),
    Gateway(Box<Gateway>),
    Worker(Box<Worker>),
    Client(Box<Client>),
    Errands(Errands),
}

pub(crate) struct Run {
    pub(crate) world: World,
    pub(crate) nodes: BTreeMap<Name, Node>,
    /// Where each worker listens; it may move.
    pub(crate) endpoints: BTreeMap<Name, String>,
    pub(crate) healed: bool,
    struck: Vec<&'static str>,
}

/// What came of a seed.
pub(crate) struct Outcome {
    pub(crate) setup: Setup,
    pub(crate) history: History,
    pub(crate) events: u32,
    /// The faults that struck something, each as often.
    pub(crate) struck: Vec<&'static str>,
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
        Self {
            world,
            nodes: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            healed: false,
            struck: Vec::new(),
        }
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
        let Self { world, struck, .. } = self;
        Outcome { setup: world.setup, history: world.history, events, struck }
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
    pub(crate) fn reap(&mut self, me: Me) {
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
                let kind = fault.kind();
                if self.strike(fault) {
                    self.struck.push(kind);
                }
            }
            Act::Undo(fault) if !self.healed => self.undo(fault),
            Act::Fault(_) | Act::Undo(_) => {}
            Act::Heal => self.heal(),
        }
    }

    pub(crate) fn start_later(&mut self, name: Name, wait: Duration) {
        let at = self.world.now + wait;
        self.world.push(at, Event::Act(Act::Start(name)));
    }

    pub(crate) fn start(&mut self, name: Name) {
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

    /// A process ends, whatever it was doing; `false` when it was not running.
    pub(crate) fn stop(&mut self, name: Name, parting: Parting) -> bool {
        let Some(me) = self.world.me(name) else { return false };
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
        true
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
