//! One round over one size of fleet: what is measured, in order.

use std::time::{Duration, Instant};

use anyhow::ensure;
use flotilla_testkit::proxies::{Proxy, Upstream};
use flotilla_testkit::report::Samples;
use flotilla_testkit::{http, meter};
use serde::{Deserialize, Serialize};

use crate::Plan;
use crate::clients::{self, Starts, Turns};
use crate::stage::{Stage, wait};
use crate::workers::{self, SLOTS};

/// Sessions that are held while others take turns, and clients that wait behind them.
const HELD: usize = 50;
const WAITING: usize = 100;
/// Clients that start sessions beside each other.
const LANES: usize = 32;

/// What one round came to. Times are in milliseconds where the name says nothing else.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) workers: f64,
    pub(crate) announced_seconds: f64,
    pub(crate) known_seconds: f64,
    pub(crate) memory_bytes: f64,
    pub(crate) idle: Idle,
    pub(crate) connect_p50: f64,
    pub(crate) connect_p99: f64,
    /// For a session that starts and ends.
    pub(crate) session_commands: f64,
    pub(crate) session_bytes_in: f64,
    pub(crate) session_bytes_out: f64,
    /// From a worker's giving back a slot to the next client's 101.
    pub(crate) free_p50: f64,
    pub(crate) free_p99: f64,
    /// From a client's leaving to the next client's 101.
    pub(crate) turn_p50: f64,
    pub(crate) turn_p99: f64,
    pub(crate) starts: Rate,
    pub(crate) haproxy: Rate,
    pub(crate) ready_page: f64,
    pub(crate) metrics_page: f64,
    pub(crate) status_page: f64,
    pub(crate) blind: Blind,
}

/// What heartbeats alone cost, a second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Idle {
    /// Processor time: parts of a core.
    pub(crate) gateway: f64,
    pub(crate) redis: f64,
    pub(crate) commands: f64,
    pub(crate) bytes_in: f64,
    pub(crate) bytes_out: f64,
}

/// Session starts, or a proxy's connections.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    /// Milliseconds of processor time of the process in front, for each.
    pub(crate) cpu: f64,
}

/// Without Redis.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Blind {
    /// Processor time of the gateway: parts of a core.
    pub(crate) gateway: f64,
    /// From Redis' return to everybody's being in it again.
    pub(crate) back_seconds: f64,
}

pub(crate) fn run(workers: usize, plan: &Plan) -> anyhow::Result<Round> {
    let mut stage = Stage::set(workers)?;
    let mut round = Round {
        workers: workers as f64,
        announced_seconds: stage.announced.as_secs_f64(),
        known_seconds: stage.known.as_secs_f64(),
        ..Round::default()
    };
    round.idle = idle(&stage, plan.idle);
    round.memory_bytes = stage.memory()?;
    pages(&stage, &mut round)?;
    connect(&mut stage, plan, &mut round)?;
    turns(&mut stage, workers, plan, &mut round)?;
    starts(&mut stage, workers, plan, &mut round)?;
    round.blind = blind(&mut stage, workers, plan.idle)?;
    stage.end()?;
    Ok(round)
}

fn idle(stage: &Stage, period: Duration) -> Idle {
    let (cpu, traffic, began) = (stage.cpu(), stage.traffic(), Instant::now());
    std::thread::sleep(period);
    let (cpu_after, seconds) = (stage.cpu(), began.elapsed().as_secs_f64());
    let traffic = stage.traffic().since(traffic).per(seconds);
    Idle {
        gateway: (cpu_after.0 - cpu.0) / seconds,
        redis: (cpu_after.1 - cpu.1) / seconds,
        commands: traffic.commands,
        bytes_in: traffic.bytes_in,
        bytes_out: traffic.bytes_out,
    }
}

/// How long pages take.
fn pages(stage: &Stage, round: &mut Round) -> anyhow::Result<()> {
    let page = |path: &str| -> anyhow::Result<f64> {
        let mut took = Vec::new();
        for _ in 0..10 {
            let began = Instant::now();
            let answer = http::get(stage.gateway.address(), path, &[])?;
            took.push(began.elapsed().as_secs_f64() * 1000.0);
            ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
        }
        Ok(took.into_iter().collect::<Samples>().p50())
    };
    round.ready_page = page("/readyz")?;
    round.metrics_page = page("/metrics")?;
    round.status_page = page("/status.json")?;
    Ok(())
}

fn connect(stage: &mut Stage, plan: &Plan, round: &mut Round) -> anyhow::Result<()> {
    let (traffic, began) = (stage.traffic(), Instant::now());
    let took: Vec<f64> = stage.clients(clients::Order::Connect { clients: plan.connects })?;
    // The last one's end is told in no time.
    let seconds = began.elapsed().as_secs_f64();
    let sessions = stage.traffic().since(traffic);
    let idle = |per_second: f64| per_second * seconds;
    let took: Samples = took.into_iter().map(|seconds| seconds * 1000.0).collect();
    (round.connect_p50, round.connect_p99) = (took.p50(), took.p99());
    let number = plan.connects as f64;
    round.session_commands = (sessions.commands - idle(round.idle.commands)) / number;
    round.session_bytes_in = (sessions.bytes_in - idle(round.idle.bytes_in)) / number;
    round.session_bytes_out = (sessions.bytes_out - idle(round.idle.bytes_out)) / number;
    Ok(())
}

/// All slots are taken, and clients wait: one leaves, and the next comes in.
fn turns(stage: &mut Stage, workers: usize, plan: &Plan, round: &mut Round) -> anyhow::Result<()> {
    let some = workers.min(HELD);
    stage.leave_free(some, HELD / some)?;
    let held: usize = stage.clients(clients::Order::Hold { clients: HELD })?;
    ensure!(held == HELD, "{held} came in");
    let () = stage.clients(clients::Order::Wait { clients: WAITING })?;
    stage.wait_queued(WAITING)?;
    let _: Vec<f64> = stage.workers.ask(&workers::Order::Freed)?;
    let turns: Turns = stage.clients(clients::Order::Turn { times: plan.turns })?;
    let freed: Vec<f64> = stage.workers.ask(&workers::Order::Freed)?;
    ensure!(freed.len() == plan.turns, "{} slots were freed", freed.len());
    let between = |from: &[f64]| -> Samples {
        turns.entered.iter().zip(from).map(|(entered, from)| (entered - from) * 1000.0).collect()
    };
    let (free, turn) = (between(&freed), between(&turns.left));
    (round.free_p50, round.free_p99) = (free.p50(), free.p99());
    (round.turn_p50, round.turn_p99) = (turn.p50(), turn.p99());
    let () = stage.clients(clients::Order::Leave)?;
    stage.wait_queued(0)
}

fn starts(stage: &mut Stage, workers: usize, plan: &Plan, round: &mut Round) -> anyhow::Result<()> {
    stage.leave_free(workers, SLOTS)?;
    let haproxy = Proxy::haproxy(&Upstream::Tcp(stage.origin))?;
    let gateway = (stage.gateway.address().parse()?, stage.gateway.pid());
    let mut rate = |(at, pid), seconds| -> anyhow::Result<Rate> {
        let before = meter::cpu(pid);
        let lanes = clients::Order::Start { lanes: LANES, seconds, at };
        let starts: Starts = stage.clients(lanes)?;
        let cpu = (meter::cpu(pid) - before).as_secs_f64() * 1000.0;
        let sessions = starts.sessions as f64;
        Ok(Rate { per_second: sessions / starts.seconds, cpu: cpu / sessions })
    };
    let theirs = (haproxy.address(), haproxy.pid());
    // What is done for the first time takes longer.
    rate(gateway, 0.3)?;
    rate(theirs, 0.3)?;
    round.starts = rate(gateway, plan.starts.as_secs_f64())?;
    round.haproxy = rate(theirs, plan.starts.as_secs_f64())?;
    stage.wait_free(workers * SLOTS)
}

/// Redis is killed, and comes back without what it knew.
fn blind(stage: &mut Stage, workers: usize, period: Duration) -> anyhow::Result<Blind> {
    stage.redis.kill9();
    // The first workers are asked after a heartbeat.
    std::thread::sleep(Duration::from_secs(5));
    let (before, began) = (meter::cpu(stage.gateway.pid()), Instant::now());
    std::thread::sleep(period);
    let used = (meter::cpu(stage.gateway.pid()) - before).as_secs_f64();
    let gateway = used / began.elapsed().as_secs_f64();
    stage.redis.restart();
    let began = Instant::now();
    let in_redis = || stage.redis.cli(&["HLEN", "flotilla:workers"]) == workers.to_string();
    wait("all workers to be in Redis again", in_redis)?;
    Ok(Blind { gateway, back_seconds: began.elapsed().as_secs_f64() })
}
