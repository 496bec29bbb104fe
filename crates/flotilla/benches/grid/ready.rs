//! From the start of the process to the line that says ready.

use flotilla_testkit::report::{Aim, median, number};

use crate::setup::Setup;
use crate::table::{Found, alone};

pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Found> {
    let took: Vec<f64> = (0..setup.rounds(9))
        .map(|_| {
            let grid = setup.grid().start();
            let took = grid.ready_after().as_secs_f64();
            grid.stop_and_check();
            took
        })
        .collect();
    let slowest = took.iter().copied().fold(0.0, f64::max);
    let figures = format!("median of {} starts, slowest {} s", took.len(), number(slowest));
    let aim = Some(Aim::AtMost(2.0));
    let row = alone("from start to ready", figures, median(&took), "s", aim);
    Ok(Found { rows: vec![row], charts: Vec::new() })
}
