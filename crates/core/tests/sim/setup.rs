//! What a seed decides beforehand: the fleet, its settings, its clients, and what will go wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_core::launch_options::LaunchOptions;
use flotilla_core::pool::{Demand, Limits, Moment, Sharing};
use flotilla_core::refusal::Served;
use flotilla_core::{BrowserKind, PlaywrightVersion};

use crate::fault::{self, Fault};
use crate::rng::Rng;
use crate::world::{Name, Role};

pub(crate) const V: PlaywrightVersion = PlaywrightVersion { major: 1, minor: 65 };
const TENANTS: [&str; 4] = ["ann", "bob", "eve", "zoe"];

#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) timing: Timing,
    pub(crate) gateways: usize,
    pub(crate) workers: Vec<WorkerSetup>,
    pub(crate) queue_limit: usize,
    pub(crate) starts: Vec<(Moment, Name)>,
    pub(crate) clients: Vec<ClientSetup>,
    pub(crate) faults: Vec<(Moment, Fault)>,
    /// When machines' wall clocks jump, and by how many seconds.
    pub(crate) jumps: Vec<(Moment, Name, i64)>,
    /// Everything that is broken is repaired.
    pub(crate) heal_at: Moment,
    /// From here nothing is left of the faults.
    pub(crate) calm_from: Moment,
    pub(crate) end_at: Moment,
}

#[derive(Clone, Debug)]
pub(crate) struct Timing {
    pub(crate) heartbeat: Duration,
    pub(crate) ttl: Duration,
    pub(crate) ping: Duration,
    pub(crate) peer_timeout: Duration,
    pub(crate) select_timeout: Duration,
    pub(crate) launch_timeout: Duration,
    pub(crate) queue_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) max_duration: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct WorkerSetup {
    pub(crate) limits: Limits,
    pub(crate) serves: Vec<Served>,
    pub(crate) keep_ready: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct ClientSetup {
    pub(crate) at: Moment,
    pub(crate) host: Option<Name>,
    pub(crate) gateway: Name,
    pub(crate) key: String,
    pub(crate) demand: Demand,
    /// How long it is ready to wait.
    pub(crate) patience: Duration,
    pub(crate) hold: Duration,
    pub(crate) leaves: Leaves,
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// With a close frame.
    Closes,
    /// Its process is killed.
    Dies,
    /// Its machine is gone.
    Vanishes,
}

/// What kinds of trouble a run may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Calm,
    Random,
}

impl Setup {
    pub(crate) fn of(seed: u64, weather: Weather) -> Self {
        let mut rng = Rng::stream(seed, 1);
        let timing = Timing::random(&mut rng);
        let (gateways, workers) = (1 + rng.index(3), 2 + rng.index(3));
        let active = if timing.is_fast() { rng.secs(30..70) } else { rng.secs(80..200) };
        let heal_at = Duration::from_secs(5) + active;
        // The longest that anything takes to be over: silence, a TTL, a launch's back-off.
        let settling = (timing.ttl + timing.peer_timeout).max(Duration::from_secs(40));
        let calm_from = heal_at + settling + Duration::from_secs(10);
        let mut setup = Self {
            seed,
            gateways,
            workers: (0..workers).map(|_| WorkerSetup::random(&mut rng)).collect(),
            queue_limit: if rng.chance(200) { 3 } else { 100 },
            starts: Vec::new(),
            clients: Vec::new(),
            faults: Vec::new(),
            jumps: Vec::new(),
            heal_at,
            calm_from,
            end_at: calm_from
                + timing.queue_timeout
                + 2 * timing.peer_timeout
                + Duration::from_secs(120),
            timing,
        };
        setup.plan_starts(&mut rng);
        setup.plan_clients(&mut rng);
        if weather == Weather::Random {
            setup.faults = fault::schedule(&mut rng, &setup);
        }
        setup.plan_jumps();
        setup
    }

    pub(crate) fn slots(&self) -> usize {
        self.workers.iter().map(|worker| worker.limits.slots).sum()
    }

    pub(crate) fn gateway_names(&self) -> Vec<Name> {
        (1..=self.gateways).map(|n| Name::new(Role::Gateway, n)).collect()
    }

    pub(crate) fn worker_names(&self) -> Vec<Name> {
        (1..=self.workers.len()).map(|n| Name::new(Role::Worker, n)).collect()
    }

    /// Every machine but those of single clients.
    pub(crate) fn hosts(&self) -> Vec<Name> {
        let clients = [1, 2].map(|n| Name::new(Role::Clients, n));
        let others = [Name::REDIS, Name::OPERATOR, Name::INTRUDER];
        let fleet = self.gateway_names().into_iter().chain(self.worker_names());
        fleet.chain(clients).chain(others).collect()
    }

    /// The settings of a worker, by any name of it.
    pub(crate) fn worker(&self, name: Name) -> &WorkerSetup {
        &self.workers[usize::from(name.number - 1) % 100 % self.workers.len()]
    }

    /// In any order, within a few seconds.
    fn plan_starts(&mut self, rng: &mut Rng) {
        let all = [self.gateway_names(), self.worker_names(), vec![Name::REDIS]].concat();
        self.starts = all.into_iter().map(|name| (rng.secs(0..4), name)).collect();
    }

    fn plan_clients(&mut self, rng: &mut Rng) {
        let slots = self.slots() as u64;
        let load = rng.number(300..1500);
        let gap = |load: u64| 6_000 * 1000 / (slots * load);
        let mut at = Duration::from_secs(1);
        while at < self.heal_at {
            at += rng.millis(0..2 * gap(load));
            let client = self.client(at, rng, true);
            self.clients.push(client);
        }
        let (mut at, load) = (self.calm_from, rng.number(300..900));
        while at < self.calm_from + Duration::from_secs(20) {
            at += rng.millis(0..2 * gap(load));
            let client = self.client(at, rng, false);
            self.clients.push(client);
        }
    }

    fn client(&self, at: Moment, rng: &mut Rng, rough: bool) -> ClientSetup {
        let offered: BTreeMap<_, _> =
            self.workers.iter().flat_map(|worker| &worker.serves).map(|s| (*s, ())).collect();
        let offered: Vec<_> = offered.into_keys().collect();
        let (kind, version) = *rng.pick(&offered);
        let key = rng.pick(&TENANTS).to_string();
        let sharing = match rng.number(0..10) {
            0 | 1 => Sharing::Alone,
            2 => Sharing::Custom { options: options(), expose_network: None },
            _ => Sharing::Tenant(key.clone()),
        };
        let leaves = match rng.number(0..20) {
            0 | 1 => Leaves::Dies,
            2 if rough => Leaves::Vanishes,
            _ => Leaves::Closes,
        };
        let hasty = rough && rng.chance(80);
        let long = rough && rng.chance(60);
        ClientSetup {
            at,
            host: (leaves != Leaves::Vanishes).then(|| Name::new(Role::Clients, 1 + rng.index(2))),
            gateway: *rng.pick(&self.gateway_names()),
            key,
            demand: Demand { kind, version, sharing },
            patience: if hasty { rng.millis(1..4000) } else { Duration::from_secs(10_000) },
            hold: if long { rng.secs(20..100) } else { rng.millis(10..15_000) },
            leaves,
        }
    }

    /// From a stream of its own: with and without them everything else is the same.
    fn plan_jumps(&mut self) {
        let mut rng = Rng::stream(self.seed, 3);
        let hosts = self.hosts();
        for _ in 0..rng.number(0..6) {
            let at = rng.secs(0..self.heal_at.as_secs());
            let by = rng.number(0..2_000_000) as i64 - 1_000_000;
            self.jumps.push((at, *rng.pick(&hosts), by));
        }
    }
}

impl Timing {
    fn random(rng: &mut Rng) -> Self {
        let secs = Duration::from_secs;
        let fast = rng.chance(700);
        let max_duration = rng.chance(150).then(|| rng.secs(3..12));
        let pick = |a, b| secs(if fast { a } else { b });
        Self {
            heartbeat: pick(1, 5),
            ttl: pick(6, 60),
            ping: pick(2, 20),
            peer_timeout: pick(6, 60),
            select_timeout: pick(2, 5),
            launch_timeout: pick(4, 30),
            queue_timeout: pick(20, 60),
            drain_timeout: pick(5, 30),
            max_duration,
        }
    }

    pub(crate) fn is_fast(&self) -> bool {
        self.heartbeat == Duration::from_secs(1)
    }
}

impl WorkerSetup {
    fn random(rng: &mut Rng) -> Self {
        let secs = Duration::from_secs;
        let firefox = (BrowserKind::Firefox, V);
        let mut serves = vec![(BrowserKind::Chromium, V)];
        if rng.chance(300) {
            serves.push(firefox);
        }
        Self {
            limits: Limits {
                slots: 1 + rng.index(4),
                browser_sessions: rng.number(2..12) as u32,
                margin: rng.number(0..2) as u32,
                browser_age: if rng.chance(200) { secs(20) } else { secs(3600) },
                browser_memory: 0,
                warm: rng.index(2),
                idle: secs(30),
                launches: 1 + rng.index(2),
                refill_delay: Duration::from_millis(300),
                release_timeout: secs(5),
            },
            serves,
            keep_ready: rng.chance(600).then(|| TENANTS[0].to_owned()),
        }
    }
}

fn options() -> LaunchOptions {
    let mut options = LaunchOptions::new();
    options.insert("slowMo".to_owned(), serde_json::json!(1));
    options
}
