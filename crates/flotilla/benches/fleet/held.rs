//! As many real sessions on one gateway as its open files allow, and as many clients in its line.

use std::time::{Duration, Instant};

use anyhow::ensure;
use flotilla_testkit::meter;
use flotilla_testkit::report::Samples;
use serde::{Deserialize, Serialize};

use crate::clients::Order;
use crate::stage::Stage;
use crate::workers::SLOTS;

/// Enough workers for as many sessions as 20,000 open files allow.
const WORKERS: usize = 2_000;
/// Open files that are left for everything that is no session.
const SPARE: usize = 500;

/// What many sessions came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Held {
    /// How many there were.
    pub(crate) sessions: f64,
    /// Bytes of the gateway's memory for each.
    pub(crate) session_bytes: f64,
    /// Open files of the gateway for each.
    pub(crate) session_files: f64,
    /// Processor time of the gateway while all are silent and only pinged: parts of a core.
    pub(crate) silent: f64,
    /// Milliseconds from a client's connecting to its 101, while all are there.
    pub(crate) connect_p50: f64,
    pub(crate) connect_p99: f64,
    /// Bytes of the gateway's memory for each client that waits.
    pub(crate) waiting_bytes: f64,
}

pub(crate) fn run(period: Duration) -> anyhow::Result<Held> {
    let mut stage = Stage::set(WORKERS)?;
    let sessions = meter::sessions_that_fit(WORKERS * SLOTS).saturating_sub(SPARE / 2);
    let files = open_files(&stage)?;
    let memory = stage.memory()?;
    let held: usize = stage.clients(Order::Hold { clients: sessions })?;
    ensure!(held == sessions, "{held} came in");
    let (session_bytes, session_files) =
        ((stage.memory()? - memory) / held as f64, (open_files(&stage)? - files) / held as f64);
    let (cpu, began) = (meter::cpu(stage.gateway.pid()), Instant::now());
    std::thread::sleep(period);
    let cpu = (meter::cpu(stage.gateway.pid()) - cpu).as_secs_f64();
    let silent = cpu / began.elapsed().as_secs_f64();
    let took: Vec<f64> = stage.clients(Order::Connect { clients: 100 })?;
    let took: Samples = took.into_iter().map(|seconds| seconds * 1000.0).collect();
    let () = stage.clients(Order::Leave)?;
    let waiting_bytes = waiting(&mut stage, sessions)?;
    stage.end()?;
    Ok(Held {
        sessions: held as f64,
        session_bytes,
        session_files,
        silent,
        connect_p50: took.p50(),
        connect_p99: took.p99(),
        waiting_bytes,
    })
}

/// What each client holds that waits, in a gateway that has not had any.
fn waiting(stage: &mut Stage, clients: usize) -> anyhow::Result<f64> {
    stage.leave_free(0, 0)?;
    let before = stage.memory()?;
    let () = stage.clients(Order::Wait { clients })?;
    stage.wait_queued(clients)?;
    let bytes = (stage.memory()? - before) / clients as f64;
    let () = stage.clients(Order::Leave)?;
    Ok(bytes)
}

fn open_files(stage: &Stage) -> anyhow::Result<f64> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", stage.gateway.pid()))?.count() as f64)
}
