//! One round trip to a page, and what the measurement itself can tell apart.
//!
//! A relay adds two wake-ups to a chain of four processes, which is less than two runs of the same
//! server may differ by. So two more sides take their turns: a second bare server, which says how
//! much of a difference means nothing, and HAProxy in the grid's place.

use anyhow::Context as _;
use flotilla_testkit::proxies::{Proxy, Upstream};
use flotilla_testkit::report::Aim;
use serde_json::json;

use crate::bare::Bare;
use crate::figures::Paired;
use crate::sessions::{BARE, Side};
use crate::setup::Setup;
use crate::table::{Beside, Found};

const EVALUATES: usize = 60;

pub(crate) fn measure(
    setup: &Setup,
    ours: &mut Side,
    theirs: &mut Side,
    bare: &Bare,
) -> anyhow::Result<Found> {
    let second = Bare::start(setup)?;
    let proxy = Proxy::haproxy(&Upstream::Tcp(bare.address()?.parse()?))?;
    let behind = bare.endpoint().replace(bare.address()?, &proxy.address().to_string());
    let mut second_side = Side::of(setup, second.endpoint(), second.pid())?;
    let mut behind = Side::of(setup, &behind, bare.pid())?;

    let sides = [ours, theirs, &mut second_side, &mut behind];
    let mut paired: [Paired; 3] = Default::default();
    for round in 0..setup.rounds(40) {
        let mut took = [0.0; 4];
        for turn in 0..sides.len() {
            let at = (round + turn) % sides.len();
            took[at] = sides[at].p50("evaluate", EVALUATES)?;
        }
        let [grid, bare, second, behind] = took;
        for (paired, one) in paired.iter_mut().zip([grid, second, behind]) {
            paired.push(one, bare);
        }
    }
    for side in sides {
        side.client.ask(&json!({"do": "release"})).context("closing the page")?;
    }
    Ok(found(&paired))
}

fn found([grid, second, behind]: &[Paired; 3]) -> Found {
    let beside = |what, name, paired| Beside { name, what, unit: "ms", against: BARE, paired };
    let grid = beside("evaluate", "grid", grid);
    let second = beside("evaluate, the same server twice", "a second one", second);
    let behind = beside("evaluate, HAProxy in the grid's place", "HAProxy", behind);
    Found {
        rows: vec![
            grid.difference(Some(Aim::AtMost(0.2))),
            behind.difference(None),
            second.difference(None),
        ],
        charts: vec![grid.chart()],
    }
}
