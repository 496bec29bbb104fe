//! Workers behind a network that fails: a cable out for a while, and packets lost one way.
//!
//! The clocks are set fast. Their ratios are the defaults': a ping every 20 s, an end that is
//! silent for 60 s is lost; a cable that is out for 10 s costs nothing, and one for 90 s its
//! sessions. `FLOTILLA_FULL_LENGTH=1` runs it with the defaults themselves, in five minutes.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use flotilla_core::status::Status;
use flotilla_testkit::fleet::{Fleet, Gateway, Worker};
use flotilla_testkit::hosts::{Host, Hosts};
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::Socket;
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::wait_equal;
use serde_json::json;

use super::clients::{Pending, closes, opens, works};
use super::truth::wait_true;
use super::{fleet, measured};
use crate::{NEWEST, SOON};

/// How long a gateway may try to reach a worker for a session.
const SELECT: Duration = Duration::from_secs(2);

/// What a busy machine adds.
const A_MOMENT: Duration = Duration::from_secs(1);

/// A minute of the defaults, as this test has it.
fn minute() -> Duration {
    let full = std::env::var_os("FLOTILLA_FULL_LENGTH").is_some();
    Duration::from_secs(if full { 60 } else { 3 })
}

/// A worker that can be asked how it is whatever its network does.
struct There {
    host: Host,
    worker: Worker,
}

// === impl There ===

impl There {
    fn start(hosts: &Hosts, fleet: &Fleet, name: &str) -> Self {
        let host = hosts.add(name);
        let worker = fleet.worker().env("FLOTILLA_WORKER_ID", name).at(&host).start();
        Self { host, worker }
    }

    fn status(&self) -> Status {
        self.host.run(|| self.worker.status())
    }

    fn wait_used(&self, used: u32, ceiling: Duration) {
        wait_equal("the worker's used slots", ceiling, &used, || self.status().slots.used);
    }
}

struct Parts {
    gateway: Gateway,
    /// The one whose network fails.
    victim: There,
    other: There,
    node: Program,
    redis: Redis,
    _hosts: Hosts,
}

// === impl Parts ===

impl Parts {
    fn start() -> Option<Self> {
        let hosts = Hosts::new_or_say()?;
        let redis = Redis::builder().at(&hosts.add("redis")).start();
        let millis = |duration: Duration| format!("{}ms", duration.as_millis());
        let fleet = fleet(&redis.url())
            .env("FLOTILLA_PING_INTERVAL", millis(minute() / 3))
            .env("FLOTILLA_PEER_TIMEOUT", millis(minute()))
            .env("WORKER_SELECT_TIMEOUT", millis(SELECT))
            .env("HEARTBEAT_INTERVAL", "500ms");
        let gateway = fleet.gateway().at(&hosts.add("gateway")).start();
        let [victim, other] = ["victim", "other"].map(|name| There::start(&hosts, &fleet, name));
        gateway.wait_workers(2, SOON);
        let node = Program::node(NEWEST, gateway.endpoint());
        opens(&node, "kept");
        wait_equal("where the first went", SOON, &1, || other.status().slots.used);
        Some(Self { gateway, victim, other, node, redis, _hosts: hosts })
    }

    /// A session on the worker whose network will fail.
    fn opens_on_victim(&self, name: &str) {
        opens(&self.node, name);
        self.victim.wait_used(1, SOON);
    }

    /// New sessions find the other worker: the longest that one of them took.
    fn elsewhere(&self) -> Duration {
        let mut slowest = Duration::ZERO;
        let open = |_| {
            let began = Instant::now();
            let session = self.gateway.open("/", &[]).expect("there is another worker");
            slowest = slowest.max(began.elapsed());
            session
        };
        let opened: Vec<_> = (0..3).map(open).collect();
        let sessions = self.gateway.status().sessions;
        let there = sessions.iter().filter(|session| session.worker == "other").count();
        assert_eq!(there, 4, "{sessions:?}");
        opened.into_iter().for_each(Socket::close);
        slowest
    }

    /// A session on the victim ends by the rule of silence, at both ends, while that goes on; and
    /// new ones go elsewhere.
    fn silence(&self, what: &str, fault: impl FnOnce(&Host)) {
        self.opens_on_victim("lost");
        let call = Pending::start(&self.node, "lost");
        let (began, since) = (Instant::now(), SystemTime::now());
        fault(&self.victim.host);
        let first = self.elsewhere();
        assert!(first < SELECT, "a session took {first:?} to go elsewhere");
        let (after, words) = call.told(since);
        assert!(words.contains("the worker of this session was lost"), "{words}");
        let silence = minute() / 2..minute() * 4 / 3 + A_MOMENT;
        assert!(silence.contains(&after), "told after {after:?}");
        self.victim.wait_used(0, silence.end.saturating_sub(began.elapsed()) + A_MOMENT);
        let freed = began.elapsed();
        let next = self.elsewhere();
        assert!(next < SELECT / 2, "the worker is known to be away: {next:?}");
        sleep((minute() * 3 / 2).saturating_sub(began.elapsed()));
        self.victim.host.mend();
        let mended = Instant::now();
        self.gateway.wait_workers(2, SOON);
        measured(format_args!(
            "{what}: elsewhere in {first:?}, then {next:?}; told after {after:?}; the slot is free \
             after {freed:?}; back {:?} after it is mended",
            mended.elapsed()
        ));
        self.exact();
    }

    /// What is counted is what there is: the session that was there from the beginning.
    fn exact(&self) {
        self.victim.wait_used(0, SOON);
        self.other.wait_used(1, SOON);
        self.gateway.wait_used(1, SOON);
        assert_eq!(self.gateway.status().sessions.len(), 1);
        wait_true(&self.redis, &[&self.victim.worker, &self.other.worker], SOON);
        works(&self.node, "kept");
    }

    fn stop(self) {
        closes(&self.node, "kept");
        self.gateway.stop_and_check();
        self.victim.worker.stop_and_check();
        self.other.worker.stop_and_check();
    }
}

#[test]
fn a_cable_out_for_ten_seconds_costs_nothing_and_for_ninety_its_own_sessions() {
    let Some(parts) = Parts::start() else { return };
    parts.opens_on_victim("held");
    let code = "return await s.held_page.evaluate(
        ms => new Promise(done => setTimeout(() => done('went on'), ms)), args.ms)";
    let out = minute() / 6;
    let call = parts.node.start(code, json!({"ms": (out * 2).as_millis()}));
    parts.victim.host.cut();
    sleep(out);
    parts.victim.host.mend();
    assert_eq!(call.outcome().unwrap(), "went on");
    works(&parts.node, "held");
    closes(&parts.node, "held");
    parts.gateway.wait_workers(2, SOON);
    parts.exact();

    parts.silence("a cable that is out", Host::cut);
    parts.silence("nothing comes in", Host::lose_incoming);
    parts.silence("nothing goes out", Host::lose_outgoing);
    let lost = parts.gateway.metric("flotilla_sessions_ended_total", &["cause=\"worker_lost\""]);
    assert_eq!(lost, Some(3.0));
    parts.stop();
}
