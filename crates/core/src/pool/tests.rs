//! The pool's rules, one by one, and then all of them under random histories.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const KIND: BrowserKind = BrowserKind::Chromium;
const V: PlaywrightVersion = PlaywrightVersion { major: 1, minor: 65 };

fn secs(s: u64) -> Moment {
    Duration::from_secs(s)
}

fn limits() -> Limits {
    Limits {
        slots: 5,
        browser_sessions: 50,
        margin: 0,
        browser_age: secs(3600),
        browser_memory: 0,
        warm: 0,
        idle: secs(600),
        launches: 2,
        refill_delay: Duration::from_millis(300),
        release_timeout: secs(30),
    }
}

fn shared(tenant: &str) -> Demand {
    Demand { kind: KIND, version: V, sharing: Sharing::Tenant(tenant.to_owned()) }
}

fn alone() -> Demand {
    Demand { kind: KIND, version: V, sharing: Sharing::Alone }
}

fn session(name: impl ToString) -> SessionId {
    SessionId(name.to_string())
}

/// Launches what is asked for and returns every effect, launches left out.
fn settle(pool: &mut Pool, now: Moment) -> Vec<Effect> {
    let mut seen = Vec::new();
    loop {
        let effects = pool.take_effects();
        if effects.is_empty() {
            return seen;
        }
        for effect in effects {
            match effect {
                Effect::Launch { browser, .. } => pool.launched(&browser, now),
                other => seen.push(other),
            }
        }
    }
}

fn granted(effects: &[Effect]) -> Vec<(SessionId, BrowserId)> {
    let grant = |e: &Effect| match e {
        Effect::Grant { session, browser } => Some((session.clone(), browser.clone())),
        _ => None,
    };
    effects.iter().filter_map(grant).collect()
}

fn admit(pool: &mut Pool, name: &str, demand: &Demand, now: Moment) -> BrowserId {
    pool.admit(session(name), demand, now).unwrap();
    let effects = settle(pool, now);
    granted(&effects).into_iter().find(|(s, _)| s.0 == name).expect("a grant").1
}

#[test]
fn a_session_that_comes_again_waits_until_its_first_contexts_are_gone() {
    let mut pool = Pool::new(limits());
    admit(&mut pool, "1", &shared("a"), secs(0));
    let again = pool.admit(session("1"), &shared("a"), secs(1));
    assert_eq!(again, Err(NotAdmitted::Present));
    pool.closed(&session("1"), secs(2));
    let again = pool.admit(session("1"), &shared("a"), secs(2));
    assert_eq!((again, pool.used()), (Err(NotAdmitted::Present), 1));
    pool.released(&session("1"), secs(3));
    assert_eq!(pool.admit(session("1"), &shared("a"), secs(3)), Ok(()));
}

#[test]
fn a_session_that_is_ended_while_it_waits_for_its_browser_leaves_at_once() {
    let mut pool = Pool::new(limits());
    pool.admit(session("1"), &alone(), secs(0)).unwrap();
    pool.take_effects();
    assert!(pool.end(&session("1"), &Ending::drained()));
    assert_eq!(pool.used(), 0);
    let ended = Effect::End { session: session("1"), ending: Ending::drained() };
    assert_eq!(pool.take_effects(), [ended]);
    assert!(!pool.end(&session("1"), &Ending::drained()));
}

#[test]
fn one_tenant_shares_a_browser_and_two_do_not() {
    let mut pool = Pool::new(limits());
    let first = admit(&mut pool, "1", &shared("a"), secs(0));
    assert_eq!(admit(&mut pool, "2", &shared("a"), secs(0)), first);
    assert_ne!(admit(&mut pool, "3", &shared("b"), secs(0)), first);
}

#[test]
fn a_slot_is_held_until_the_contexts_are_disposed() {
    let mut pool = Pool::new(Limits { slots: 1, ..limits() });
    let browser = admit(&mut pool, "1", &shared("a"), secs(0));
    pool.closed(&session(1), secs(1));
    let effects = pool.take_effects();
    assert_eq!(effects, [Effect::Release { session: session(1), browser }]);
    assert_eq!(pool.admit(session(2), &shared("a"), secs(1)), Err(NotAdmitted::Busy));
    pool.released(&session(1), secs(1));
    assert_eq!(pool.used(), 0);
    admit(&mut pool, "2", &shared("a"), secs(1));
}

#[test]
fn a_successor_is_up_before_the_old_browser_stops_taking_sessions() {
    let mut pool = Pool::new(Limits { browser_sessions: 2, margin: 0, ..limits() });
    let old = admit(&mut pool, "1", &shared("a"), secs(0));
    pool.admit(session(2), &shared("a"), secs(0)).unwrap();
    let effects = pool.take_effects();
    assert_eq!(granted(&effects)[0].1, old);
    let Some(Effect::Launch { browser: new, .. }) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(pool.browsers[&old].phase, Phase::Serving);
    // At its limit, with the successor on its way: the next session waits for that one.
    pool.admit(session(3), &shared("a"), secs(0)).unwrap();
    assert!(granted(&pool.take_effects()).is_empty());
    pool.launched(new, secs(1));
    assert_eq!(granted(&pool.take_effects()), [(session(3), new.clone())]);
    assert_eq!(pool.browsers[&old].phase, Phase::Retiring(ExitReason::LifetimeSessions));
    for name in [1, 2] {
        pool.closed(&session(name), secs(2));
        pool.released(&session(name), secs(2));
    }
    assert!(pool.take_effects().contains(&Effect::Close { browser: old.clone() }));
    pool.exited(&old, "exited with code 0", false, secs(2));
    assert_eq!(
        pool.take_effects(),
        [Effect::Gone { kind: KIND, reason: ExitReason::LifetimeSessions }]
    );
}

#[test]
fn age_and_memory_replace_a_browser_too() {
    let mut pool = Pool::new(Limits { browser_memory: 100, ..limits() });
    let first = admit(&mut pool, "1", &shared("a"), secs(0));
    pool.measured(&first, 100);
    pool.tick(secs(5));
    settle(&mut pool, secs(5));
    assert_eq!(pool.browsers[&first].phase, Phase::Retiring(ExitReason::LifetimeMemory));
    let second = admit(&mut pool, "2", &shared("a"), secs(6));
    assert_ne!(first, second);
    assert_eq!(pool.next_wake(secs(6)), Some(secs(6 + 600)), "it may have become idle by then");
    pool.tick(secs(5 + 3600));
    settle(&mut pool, secs(5 + 3600));
    assert_eq!(pool.browsers[&second].phase, Phase::Retiring(ExitReason::LifetimeAge));
}

#[test]
fn a_session_of_its_own_takes_a_warm_browser_and_the_pool_refills_later() {
    let mut pool = Pool::new(Limits { warm: 1, ..limits() });
    pool.keep_ready(KIND, V, "a", secs(0));
    settle(&mut pool, secs(0));
    pool.tick(secs(1));
    settle(&mut pool, secs(1));
    let warm: Vec<_> =
        pool.browsers().filter(|(_, b)| b.role == Role::Warm).map(|(id, _)| id.clone()).collect();
    assert_eq!(warm.len(), 1);
    let own = admit(&mut pool, "1", &alone(), secs(2));
    assert_eq!(own, warm[0]);
    assert!(!pool.browsers().any(|(_, b)| b.role == Role::Warm), "no refill in the session's way");
    pool.tick(secs(3));
    settle(&mut pool, secs(3));
    assert!(pool.browsers().any(|(_, b)| b.role == Role::Warm));
    pool.closed(&session(1), secs(4));
    assert!(pool.take_effects().contains(&Effect::Close { browser: own.clone() }));
    assert_eq!(pool.used(), 1, "the exit frees the slot, not the close");
    pool.exited(&own, "exited with code 0", false, secs(4));
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_crash_ends_only_its_own_sessions_and_a_replacement_follows() {
    let mut pool = Pool::new(limits());
    pool.keep_ready(KIND, V, "a", secs(0));
    settle(&mut pool, secs(0));
    let doomed = admit(&mut pool, "1", &shared("a"), secs(1));
    admit(&mut pool, "2", &shared("b"), secs(1));
    pool.exited(&doomed, "killed by SIGKILL", false, secs(20));
    let effects = settle(&mut pool, secs(20));
    let ended: Vec<_> = effects
        .iter()
        .filter_map(|e| match e {
            Effect::End { session, ending } => Some((session.0.clone(), ending.reason.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].0, "1");
    assert!(ended[0].1.contains("killed by SIGKILL"));
    assert_eq!(pool.used(), 1);
    assert!(
        pool.browsers()
            .any(|(_, b)| b.role == Role::Shared("a".into()) && b.phase == Phase::Serving)
    );
}

#[test]
fn launches_that_fail_are_spaced_out_and_then_refused_at_once() {
    let mut pool = Pool::new(limits());
    let mut now = secs(0);
    for turn in 0..8 {
        match pool.admit(session(turn), &shared("a"), now) {
            Ok(()) => {}
            Err(NotAdmitted::BackingOff { wait, why }) => {
                assert!(wait > secs(1) && why == "no display");
                return;
            }
            Err(other) => panic!("{other:?}"),
        }
        if let Some(at) = pool.next_wake(now) {
            now = now.max(at);
        }
        pool.tick(now);
        for effect in pool.take_effects() {
            if let Effect::Launch { browser, .. } = effect {
                pool.launch_failed(&browser, "no display", now);
            }
        }
        assert!(matches!(pool.take_effects()[0], Effect::Refuse { .. }));
        assert_eq!(pool.used(), 0);
    }
    panic!("eight failures in a row, and never a back-off");
}

#[test]
fn a_drain_admits_nobody_and_ends_when_the_last_session_has_left() {
    let mut pool = Pool::new(limits());
    pool.keep_ready(KIND, V, "a", secs(0));
    settle(&mut pool, secs(0));
    let browser = admit(&mut pool, "1", &shared("a"), secs(1));
    pool.drain(secs(2));
    assert_eq!(pool.admit(session(2), &shared("a"), secs(2)), Err(NotAdmitted::Draining));
    assert!(!pool.drained());
    pool.closed(&session(1), secs(3));
    pool.released(&session(1), secs(3));
    assert!(pool.take_effects().contains(&Effect::Close { browser: browser.clone() }));
    pool.exited(&browser, "exited with code 0", false, secs(3));
    assert!(pool.drained());
}

#[test]
fn a_drain_can_be_called_off_unless_the_worker_leaves() {
    let mut pool = Pool::new(limits());
    pool.keep_ready(KIND, V, "a", secs(0));
    settle(&mut pool, secs(0));
    pool.drain(secs(1));
    assert!(pool.undrain(secs(2)));
    settle(&mut pool, secs(2));
    admit(&mut pool, "1", &shared("a"), secs(3));
    pool.drain_for_good(secs(4));
    assert!(!pool.undrain(secs(5)), "a worker that leaves never comes back");
    assert_eq!(pool.admit(session(2), &shared("a"), secs(5)), Err(NotAdmitted::Draining));
    assert_eq!(pool.used(), 1, "who is there stays");
}

#[test]
fn contexts_that_will_not_go_cost_their_browser_not_the_slot() {
    let mut pool = Pool::new(limits());
    let browser = admit(&mut pool, "1", &shared("a"), secs(0));
    pool.closed(&session(1), secs(1));
    assert_eq!(pool.next_wake(secs(1)), Some(secs(31)));
    pool.tick(secs(31));
    assert_eq!(pool.used(), 0);
    assert_eq!(pool.browsers[&browser].phase, Phase::Closing(ExitReason::Stuck));
}

#[test]
fn unused_browsers_that_nobody_asked_to_keep_go_after_a_while() {
    let mut pool = Pool::new(limits());
    pool.keep_ready(KIND, V, "a", secs(0));
    settle(&mut pool, secs(0));
    let other = admit(&mut pool, "1", &shared("b"), secs(1));
    pool.closed(&session(1), secs(2));
    pool.released(&session(1), secs(2));
    pool.tick(secs(602));
    assert_eq!(pool.browsers[&other].phase, Phase::Closing(ExitReason::Idle));
    let kept = pool.browsers().filter(|(_, b)| b.phase == Phase::Serving).count();
    assert_eq!(kept, 1);
}

/// One input of a random history. Indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Input {
    Admit(u8),
    Launched(usize),
    Fail(usize),
    Close(usize),
    Release(usize),
    Exit(usize, bool),
    Measure(usize, u64),
    Wait(u16),
    Drain,
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        8 => any::<u8>().prop_map(Input::Admit),
        8 => any::<usize>().prop_map(Input::Launched),
        1 => any::<usize>().prop_map(Input::Fail),
        6 => any::<usize>().prop_map(Input::Close),
        6 => any::<usize>().prop_map(Input::Release),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(i, d)| Input::Exit(i, d)),
        1 => (any::<usize>(), 0..200u64).prop_map(|(i, m)| Input::Measure(i, m)),
        4 => any::<u16>().prop_map(Input::Wait),
        1 => Just(Input::Drain),
    ]
}

/// What the outside world knows: it carries out effects late and in any order.
#[derive(Default)]
struct World {
    now: Moment,
    next: u32,
    starting: Vec<BrowserId>,
    running: BTreeSet<BrowserId>,
    closing: Vec<BrowserId>,
    waiting: BTreeMap<SessionId, Demand>,
    live: BTreeMap<SessionId, (BrowserId, Demand)>,
    releasing: Vec<SessionId>,
    tenants_of: BTreeMap<BrowserId, BTreeSet<String>>,
    drained: bool,
}

fn pick<T: Clone>(from: &[T], index: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[index % from.len()].clone())
}

impl World {
    fn step(&mut self, pool: &mut Pool, input: Input) {
        match input {
            Input::Admit(what) => self.admit(pool, what),
            Input::Launched(i) => {
                if let Some(b) = pick(&self.starting, i) {
                    self.starting.retain(|x| *x != b);
                    self.running.insert(b.clone());
                    pool.launched(&b, self.now);
                }
            }
            Input::Fail(i) => {
                if let Some(b) = pick(&self.starting, i) {
                    self.starting.retain(|x| *x != b);
                    pool.launch_failed(&b, "failed", self.now);
                }
            }
            Input::Close(i) => {
                let all: Vec<_> = self.live.keys().chain(self.waiting.keys()).cloned().collect();
                if let Some(s) = pick(&all, i) {
                    self.live.remove(&s);
                    self.waiting.remove(&s);
                    pool.closed(&s, self.now);
                }
            }
            Input::Release(i) => {
                if let Some(s) = pick(&self.releasing, i) {
                    self.releasing.retain(|x| *x != s);
                    pool.released(&s, self.now);
                }
            }
            Input::Exit(i, driver) => {
                let running: Vec<_> = self.closing.iter().chain(&self.running).cloned().collect();
                if let Some(b) = pick(&running, i) {
                    self.running.remove(&b);
                    self.closing.retain(|x| *x != b);
                    pool.exited(&b, "gone", driver, self.now);
                }
            }
            Input::Measure(i, memory) => {
                let running: Vec<_> = self.running.iter().cloned().collect();
                if let Some(b) = pick(&running, i) {
                    pool.measured(&b, memory);
                }
            }
            Input::Wait(ms) => {
                self.now += Duration::from_millis(u64::from(ms));
                pool.tick(self.now);
            }
            Input::Drain => {
                self.drained = true;
                pool.drain(self.now);
            }
        }
        self.carry_out(pool);
        self.check(pool);
    }

    fn admit(&mut self, pool: &mut Pool, what: u8) {
        self.next += 1;
        let name = session(self.next);
        let sharing = match what % 6 {
            0..=2 => Sharing::Tenant("a".into()),
            3 => Sharing::Tenant("b".into()),
            4 => Sharing::Alone,
            _ => {
                Sharing::Custom { options: LaunchOptions::new(), expose_network: Some("*".into()) }
            }
        };
        let demand = Demand { kind: KIND, version: V, sharing };
        let known = self.live.keys().chain(self.waiting.keys()).next().filter(|_| what > 230);
        if let Some(known) = known {
            let refused = if self.drained { NotAdmitted::Draining } else { NotAdmitted::Present };
            assert_eq!(pool.admit(known.clone(), &demand, self.now), Err(refused));
            return;
        }
        match pool.admit(name.clone(), &demand, self.now) {
            Ok(()) => {
                assert!(!self.drained, "admitted after a drain began");
                self.waiting.insert(name, demand);
            }
            Err(NotAdmitted::Busy) => assert_eq!(pool.used(), pool.slots()),
            Err(NotAdmitted::Present) => panic!("no name is used twice here"),
            Err(NotAdmitted::Draining) => assert!(self.drained),
            Err(NotAdmitted::BackingOff { .. }) => {}
        }
    }

    fn carry_out(&mut self, pool: &mut Pool) {
        for effect in pool.take_effects() {
            match effect {
                Effect::Launch { browser, .. } => self.starting.push(browser),
                Effect::Close { browser } => {
                    assert!(self.running.remove(&browser), "closes what does not run");
                    self.closing.push(browser);
                }
                Effect::Release { session, .. } => self.releasing.push(session),
                Effect::Grant { session, browser } => {
                    let demand = self.waiting.remove(&session).expect("granted once");
                    assert!(self.running.contains(&browser), "granted a browser that does not run");
                    let tenant = match &demand.sharing {
                        Sharing::Tenant(tenant) => tenant.clone(),
                        _ => session.0.clone(),
                    };
                    self.tenants_of.entry(browser.clone()).or_default().insert(tenant);
                    self.live.insert(session, (browser, demand));
                }
                Effect::Refuse { session, .. } => {
                    self.waiting.remove(&session).expect("refused once");
                }
                Effect::End { session, .. } => {
                    self.live.remove(&session).expect("ended once");
                }
                Effect::Gone { .. } => {}
            }
        }
    }

    fn check(&self, pool: &Pool) {
        assert!(pool.used() <= pool.slots(), "oversold");
        assert!(
            self.live.len() + self.waiting.len() <= pool.used(),
            "a live session without a slot"
        );
        for (browser, tenants) in &self.tenants_of {
            assert_eq!(tenants.len(), 1, "{browser} was shared between strangers: {tenants:?}");
        }
    }

    /// Everything that is under way comes to its end; then nothing may be left.
    fn finish(&mut self, pool: &mut Pool) {
        for _ in 0..200 {
            for i in [0usize, 0, 0] {
                self.step(pool, Input::Launched(i));
                self.step(pool, Input::Close(i));
                self.step(pool, Input::Release(i));
            }
            while let Some(b) = self.closing.first().cloned() {
                self.closing.remove(0);
                pool.exited(&b, "gone", false, self.now);
                self.carry_out(pool);
            }
            self.step(pool, Input::Wait(500));
        }
        assert_eq!(pool.used(), 0, "slots leaked: {:?}", pool.sessions);
        assert!(self.waiting.is_empty(), "admitted, and never answered: {:?}", self.waiting);
        if self.drained {
            assert!(pool.drained(), "a drain that never ends: {:?}", pool.browsers);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn every_history_keeps_the_rules(
        inputs in prop::collection::vec(input(), 1..120),
        slots in 1usize..6, sessions in 1u32..5, margin in 0u32..3, warm in 0usize..3,
    ) {
        let mut pool = Pool::new(Limits {
            slots, browser_sessions: sessions, margin, warm, browser_memory: 150, browser_age: secs(60), ..limits()
        });
        pool.keep_ready(KIND, V, "a", secs(0));
        let mut world = World::default();
        world.carry_out(&mut pool);
        for input in inputs {
            world.step(&mut pool, input);
        }
        world.finish(&mut pool);
    }
}
