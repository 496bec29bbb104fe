//! A session on a fleet whose client went to the worker by itself, beside one that a gateway relays.

use std::time::Duration;

use flotilla_testkit::fleet::Fleet;
use flotilla_testkit::redis::Redis;
use serde_json::json;

use crate::sessions::{Side, in_turns};
use crate::setup::Setup;
use crate::table::{Beside, Found};

const CONNECTS: usize = 20;
const EVALUATES: usize = 60;
const SOON: Duration = Duration::from_secs(30);

pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Found> {
    let redis = Redis::start();
    // One browser for both sides, and for as long as it takes.
    let fleet = Fleet::new(env!("CARGO_BIN_EXE_flotilla"))
        .redis(&redis.url())
        .env("FLOTILLA_PUBLIC_ENDPOINT", "ws://127.0.0.1:{port}")
        .env("MAX_LIFETIME_SESSIONS", 1_000_000);
    let (gateway, worker) = (fleet.gateway().start(), fleet.worker().start());
    gateway.wait_workers(1, SOON);
    let mut direct = Side::of(setup, &gateway.ws("/?route=direct"), worker.pid())?;
    let mut relayed = Side::of(setup, &gateway.ws("/?route=relay"), worker.pid())?;
    let connect = in_turns(setup.rounds(20), &mut direct, &mut relayed, |side| {
        side.p50("connect", CONNECTS)
    })?;
    let evaluate = in_turns(setup.rounds(40), &mut direct, &mut relayed, |side| {
        side.p50("evaluate", EVALUATES)
    })?;
    for side in [&mut direct, &mut relayed] {
        side.client.ask(&json!({"do": "release"}))?;
    }
    drop((direct, relayed));
    worker.stop_and_check();
    gateway.stop_and_check();
    let beside =
        |what, paired| Beside { what, unit: "ms", name: "direct", against: "relayed", paired };
    let connect = beside("connect to a fleet, directly", &connect);
    let evaluate = beside("evaluate on a fleet, directly", &evaluate);
    Ok(Found {
        rows: vec![connect.difference(None), evaluate.difference(None)],
        charts: vec![connect.chart(), evaluate.chart()],
    })
}
