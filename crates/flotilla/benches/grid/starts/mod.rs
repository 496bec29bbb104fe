//! Session starts a second: a gateway with fake workers beside HAProxy, before the same server.

mod gateway;
mod load;
mod origin;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use flotilla_testkit::folder::Folder;
use flotilla_testkit::proxies::{Proxy, Upstream};
use flotilla_testkit::report::Aim;

use crate::cpu;
use crate::figures::Paired;
use crate::roles::Role;
use crate::setup::Setup;
use crate::table::{Beside, Found};

use load::Tally;

const HAPROXY: &str = "HAProxy";
const LANES: usize = 32;

/// Plays the part that the arguments name.
pub(crate) fn play(args: &[String]) -> anyhow::Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match args[..] {
        ["origin", socket] => runtime.block_on(origin::serve(Path::new(socket))),
        ["gateway", socket] => runtime.block_on(gateway::serve(Path::new(socket))),
        ["load", target, lanes, seconds] => {
            let seconds = Duration::from_secs_f64(seconds.parse()?);
            runtime.block_on(load::run(target.parse()?, lanes.parse()?, seconds))
        }
        _ => bail!("no such role: {args:?}"),
    }
}

/// What takes connections for the server: where, and in which process.
struct Front {
    address: SocketAddr,
    pid: u32,
}

pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Found> {
    let folder = Folder::new();
    let socket = folder.join("origin.sock");
    let socket = socket.to_str().context("the temporary folder has a readable name")?;
    let mut origin = Role::start(&["origin", socket])?;
    origin.line().context("the server did not start")?;
    let mut gateway = Role::start(&["gateway", socket])?;
    let ours = Front { address: gateway.line()?.parse()?, pid: gateway.pid() };
    let haproxy = Proxy::haproxy(&Upstream::Unix(socket.to_owned()))?;
    let theirs = Front { address: haproxy.address(), pid: haproxy.pid() };

    let seconds = if setup.quick { "0.5" } else { "2" };
    let (mut starts, mut cpu) = (Paired::default(), Paired::default());
    for front in [&ours, &theirs] {
        run(front, "0.5")?;
    }
    for _ in 0..setup.rounds(7) {
        let (a, b) = (run(&ours, seconds)?, run(&theirs, seconds)?);
        starts.push(a.per_second, b.per_second);
        cpu.push(a.cpu, b.cpu);
    }
    let starts = Beside {
        what: "session starts a second of one gateway",
        unit: "starts/s",
        name: "gateway",
        against: HAPROXY,
        paired: &starts,
    };
    let cpu = Beside {
        what: "CPU of a session start",
        unit: "ms",
        name: "gateway",
        against: HAPROXY,
        paired: &cpu,
    };
    Ok(Found {
        rows: vec![starts.ratio(Some(Aim::AtLeast(0.5))), cpu.ratio(None)],
        charts: vec![starts.chart()],
    })
}

struct Rate {
    per_second: f64,
    /// Milliseconds of processor time for a start, in the process in front alone.
    cpu: f64,
}

fn run(front: &Front, seconds: &str) -> anyhow::Result<Rate> {
    let before = cpu::seconds(front.pid);
    let target = front.address.to_string();
    let mut load = Role::start(&["load", &target, &LANES.to_string(), seconds])?;
    let tally: Tally = serde_json::from_str(&load.line()?)?;
    let used = cpu::seconds(front.pid) - before;
    if let Some(failure) = tally.failure {
        bail!("a session through {target} failed: {failure}");
    }
    let started = tally.started as f64;
    Ok(Rate { per_second: started / tally.seconds, cpu: used * 1000.0 / started })
}
