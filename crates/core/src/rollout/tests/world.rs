//! A world of processes that start late or never, die, and are seen late; every history keeps the
//! promise.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::status::WorkerState::{Available, Draining, Starting};

const TICK: u64 = 100;
/// Longer than every patience together could make it.
const LONGEST: u64 = 3_600_000;

/// How bad the world is: chances in a thousand, of each thing or each tick.
#[derive(Clone, Copy, Debug)]
struct Ills {
    start: u32,
    probe: u32,
    order: u32,
    death: u32,
    blindness: u32,
    crash: u32,
    pause: u32,
    interrupt: u32,
}

#[derive(Clone, Debug)]
struct Process {
    new: bool,
    slots: usize,
    serves_at: Option<u64>,
    draining: bool,
    /// When its sessions end.
    sessions: Vec<u64>,
    proved: bool,
    /// It has said goodbye, and ends then.
    exits_at: Option<u64>,
}

struct World {
    random: u64,
    ills: Ills,
    now: u64,
    new_slots: usize,
    processes: BTreeMap<Life, Process>,
    /// What is on its way: orders to each arrive in the order in which they were given.
    mail: Vec<(u64, Action)>,
    reports: Vec<(u64, Report)>,
    /// What was to be seen at each tick; the roll sees one of the last few.
    past: Vec<Vec<Seen>>,
    lag: usize,
    /// Deaths, which are not the roll's doing.
    lost: usize,
    lost_slots: usize,
    /// Drained by a roll that crashed: nobody owes them anything.
    excused: BTreeSet<Life>,
    stopped: BTreeSet<Life>,
}

impl World {
    fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// xorshift64*: the same history for the same seed.
    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn snapshot(&self) -> Vec<Seen> {
        let seen = |(who, p): (&Life, &Process)| Seen {
            who: who.clone(),
            new: p.new,
            state: match p.serves_at {
                _ if p.draining => Draining,
                Some(at) if at <= self.now => Available,
                _ => Starting,
            },
            slots: p.slots,
            sessions: p.sessions.len(),
            oldest: Duration::ZERO,
        };
        self.processes.iter().filter(|(_, p)| p.exits_at.is_none()).map(seen).collect()
    }

    /// Time passes: sessions end and begin, processes die.
    fn tick(&mut self) {
        self.now += TICK;
        let now = self.now;
        for who in self.processes.keys().cloned().collect::<Vec<_>>() {
            let comes = self.chance(100);
            let lasts = self.below(8_000);
            let dies = self.chance(self.ills.death);
            let Some(process) = self.processes.get_mut(&who) else { continue };
            process.sessions.retain(|end| *end > now);
            let serves = process.serves_at.is_some_and(|at| at <= now) && !process.draining;
            if serves && comes && process.sessions.len() < process.slots {
                process.sessions.push(now + lasts);
            }
            if process.exits_at.is_some_and(|at| at <= now) && process.sessions.is_empty() {
                self.processes.remove(&who);
                self.stopped.insert(who.clone());
                self.tell(Report::Stopped(who));
            } else if dies {
                self.lost += 1;
                self.lost_slots += process.slots;
                self.processes.remove(&who);
            }
        }
        self.deliver();
        self.past.push(self.snapshot());
    }

    fn deliver(&mut self) {
        let due = |at: &u64| *at <= self.now;
        let (arrived, still) = std::mem::take(&mut self.mail).into_iter().partition(|m| due(&m.0));
        self.mail = still;
        let arrived: Vec<(u64, Action)> = arrived;
        arrived.into_iter().for_each(|(_, action)| self.carry_out(action));
    }

    fn carry_out(&mut self, action: Action) {
        let fails = self.chance(self.ills.order);
        match action {
            Action::Start { name, .. } => self.start(name),
            Action::Discard { .. } => {}
            Action::Probe(who) => {
                let passes = !self.chance(self.ills.probe);
                let Some(process) = self.processes.get_mut(&who) else { return };
                // It served well in the eyes of a roll that crashed.
                let lost = process.proved && !passes;
                self.lost += usize::from(lost);
                self.lost_slots += if lost { process.slots } else { 0 };
                process.proved = passes;
                let result = passes.then_some(()).ok_or_else(|| "no page".to_owned());
                self.tell(Report::Probed(who, result));
            }
            Action::Stop(who) if !self.processes.contains_key(&who) => {
                self.tell(Report::Stopped(who));
            }
            Action::Drain(who) | Action::Undrain(who) | Action::Stop(who)
                if fails || !self.processes.contains_key(&who) =>
            {
                self.tell(Report::NotTold(who, "no route".into()));
            }
            Action::Drain(who) => self.set_draining(&who, true),
            Action::Undrain(who) => self.set_draining(&who, false),
            Action::Stop(who) => {
                // A roll that begins again cannot know of it: it looks for longer than that.
                let longest = if self.ills.crash > 0 { 900 } else { 5_000 };
                let exits_at = self.now + self.below(longest);
                let process = self.processes.get_mut(&who).unwrap();
                let done = process.draining && process.sessions.is_empty();
                // A new one may have become of use just now: it ends with its last session.
                assert!(done || (process.new && !process.proved), "a session was cut");
                process.draining = true;
                process.exits_at = process.exits_at.or(Some(exits_at));
            }
        }
    }

    fn start(&mut self, name: String) {
        if self.chance(self.ills.start) {
            if self.chance(500) {
                self.tell(Report::NotStarted { name, why: "no such image".into() });
            }
            return;
        }
        let never = self.chance(self.ills.start);
        let after = self.below(5_000);
        let process = Process {
            new: true,
            slots: self.new_slots,
            serves_at: (!never).then_some(self.now + after),
            draining: false,
            sessions: Vec::new(),
            proved: false,
            exits_at: None,
        };
        self.processes.insert(Life { id: name, life: 1 }, process);
    }

    fn set_draining(&mut self, who: &Life, draining: bool) {
        if let Some(process) = self.processes.get_mut(who) {
            process.draining = draining;
        }
    }

    fn tell(&mut self, report: Report) {
        let at = self.now + self.below(500);
        self.reports.push((at, report));
    }

    /// Steps the roll on what it sees now, which is older than what is.
    fn drive(&mut self, roll: &mut Rollout) {
        self.lag = (self.lag + 1).min(self.below(10) as usize);
        let now = ms(self.now);
        let due: Vec<_> = self.reports.extract_if(.., |(at, _)| *at <= self.now).collect();
        due.into_iter().for_each(|(_, report)| roll.report(report, now));
        let view = self.past[self.past.len() - 1 - self.lag.min(self.past.len() - 1)].clone();
        let blind = self.chance(self.ills.blindness);
        let actions = roll.step(now, if blind { Err("no answer") } else { Ok(&view) });
        for action in actions {
            // Never overtaken by what was sent to the same one before.
            let before = self.mail.iter().map(|m| m.0).max().unwrap_or(0);
            let at = (self.now + self.below(500)).max(before);
            self.mail.push((at, action));
        }
    }

    /// What can be counted on in truth, and its slots.
    fn available(&self) -> (usize, usize) {
        let counts = |p: &&Process| {
            !p.draining && p.serves_at.is_some_and(|at| at <= self.now) && (!p.new || p.proved)
        };
        let all = self.processes.values().filter(counts);
        all.fold((0, 0), |(n, slots), p| (n + 1, slots + p.slots))
    }

    fn check(&self, plan: &Plan, slots_floor: usize, at_first: usize) {
        let running = self.processes.len();
        assert!(running <= plan.ceiling().max(at_first), "{running} run: {self:?}");
        let (available, slots) = self.available();
        let floor = plan.floor().min(at_first);
        assert!(available + self.lost >= floor, "{available} of {floor} at {} ms", self.now);
        assert!(slots + self.lost_slots >= slots_floor, "{slots} of {slots_floor} slots");
    }

    fn check_end(&self, stage: &Stage, plan: &Plan) {
        match stage {
            Stage::Done => {
                assert!(self.processes.values().all(|p| p.new && p.proved), "{self:?}");
                assert!(self.processes.len() + self.lost >= plan.desired, "{self:?}");
            }
            Stage::Failed(why) => {
                assert!(!why.to_string().is_empty());
                let left = self
                    .processes
                    .iter()
                    .filter(|(who, p)| !p.new && p.draining && !self.excused.contains(who));
                let stopping =
                    |who: &Life| self.mail.iter().any(|(_, a)| *a == Action::Stop(who.clone()));
                let left: Vec<_> = left.filter(|(who, _)| !stopping(who)).collect();
                assert!(left.is_empty(), "not given back: {left:?}");
            }
            stage => panic!("it does not end: {stage:?} {self:?}"),
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (now, lost) = (self.now, self.lost);
        f.debug_struct("World")
            .field("now", &now)
            .field("lost", &lost)
            .field("processes", &self.processes)
            .finish()
    }
}

fn world(seed: u64, ills: Ills, old: usize, slots: usize, new_slots: usize) -> World {
    let process = |n: usize| {
        let process = Process {
            new: false,
            slots,
            serves_at: Some(0),
            draining: false,
            sessions: vec![500 * n as u64],
            proved: false,
            exits_at: None,
        };
        (Life { id: format!("old-{n}"), life: 1 }, process)
    };
    let mut world = World {
        random: seed | 1,
        ills,
        now: 0,
        new_slots,
        processes: (0..old).map(process).collect(),
        mail: Vec::new(),
        reports: Vec::new(),
        past: Vec::new(),
        lag: 0,
        lost: 0,
        lost_slots: 0,
        excused: BTreeSet::new(),
        stopped: BTreeSet::new(),
    };
    world.past.push(world.snapshot());
    world
}

/// What an operator may do meanwhile: pause, go on, interrupt, or lose the roll and begin again.
fn meddle(world: &mut World, roll: &mut Rollout, plan: &Plan) {
    if world.chance(world.ills.pause) {
        roll.pause();
    } else if world.chance(200) {
        roll.resume();
    }
    if world.chance(world.ills.interrupt) {
        roll.interrupt(ms(world.now));
    }
    if world.chance(world.ills.crash) && matches!(roll.stage(), Stage::Rolling | Stage::Paused) {
        let prefix = format!("new-{}-", world.now);
        let slots_floor = roll.began.map(|_| roll.slots_floor()).or(roll.plan.slots_floor);
        *roll = Rollout::new(Plan { prefix, slots_floor, ..plan.clone() }).unwrap();
        // What was on its way to others still comes; nobody listens to what they say.
        world.reports.clear();
        let of = |a: &Action| match a {
            Action::Drain(who) => Some(who.clone()),
            _ => None,
        };
        let coming = world.mail.iter().filter_map(|(_, action)| of(action));
        let drained =
            world.processes.iter().filter(|(_, p)| p.draining).map(|(who, _)| who.clone());
        world.excused = coming.chain(drained).chain(world.excused.clone()).collect();
    }
}

fn run(mut world: World, plan: &Plan) -> (Stage, World) {
    let at_first = world.processes.len();
    let slots_floor = {
        let slots = world.processes.values().map(|p| p.slots).min().unwrap_or(0);
        slots * plan.floor().min(at_first)
    };
    let mut roll = Rollout::new(plan.clone()).unwrap();
    while !matches!(roll.stage(), Stage::Done | Stage::Failed(_)) && world.now < LONGEST {
        world.tick();
        world.check(plan, slots_floor, at_first);
        world.drive(&mut roll);
        meddle(&mut world, &mut roll, plan);
    }
    let stage = roll.stage();
    world.ills.death = 0;
    for _ in 0..20 {
        world.tick();
        world.check(plan, slots_floor, at_first);
    }
    world.check_end(&stage, plan);
    (stage, world)
}

fn ills() -> impl Strategy<Value = Ills> {
    let mostly = |most: u32| prop_oneof![3 => Just(0), 1 => 0..most];
    let all = (
        (mostly(200), mostly(200), mostly(400), mostly(6)),
        (mostly(300), mostly(20), mostly(50), mostly(3)),
    );
    all.prop_map(|((start, probe, order, death), (blindness, crash, pause, interrupt))| Ills {
        start,
        probe,
        order,
        death,
        blindness,
        crash,
        pause,
        interrupt,
    })
}

const NONE: Ills =
    Ills { start: 0, probe: 0, order: 0, death: 0, blindness: 0, crash: 0, pause: 0, interrupt: 0 };

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_the_promise_and_comes_to_an_end(
        seed in any::<u64>(), ills in ills(), old in 1usize..8,
        away in 0usize..4, surge in 0usize..4, batch in 1usize..4,
        slots in 1usize..6, new_slots in 1usize..6,
    ) {
        let plan = plan(old, away, surge, batch);
        prop_assume!(plan.check().is_ok());
        run(world(seed, ills, old, slots, new_slots), &plan);
    }

    #[test]
    fn where_nothing_goes_wrong_everything_is_new_in_the_end(
        seed in any::<u64>(), old in 1usize..8, away in 0usize..4, surge in 0usize..4,
        batch in 1usize..4, slots in 1usize..6, more in 0usize..3,
    ) {
        let plan = plan(old, away, surge, batch);
        prop_assume!(plan.check().is_ok());
        let (stage, world) = run(world(seed, NONE, old, slots, slots + more), &plan);
        prop_assert_eq!(stage, Stage::Done);
        prop_assert_eq!(world.processes.len(), old);
        prop_assert_eq!(world.stopped.len(), old);
    }

    #[test]
    fn more_or_fewer_may_be_wanted_than_there_are(
        seed in any::<u64>(), ills in ills(), old in 0usize..6, desired in 1usize..6,
        away in 0usize..2, surge in 0usize..3,
    ) {
        let plan = plan(desired, away, surge, 2);
        prop_assume!(plan.check().is_ok());
        run(world(seed, ills, old, 2, 2), &plan);
    }
}
