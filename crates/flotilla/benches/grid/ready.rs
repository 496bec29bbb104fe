//! From the start of the process to the line that says ready.

use crate::figures::median;
use crate::outcome::Outcome;
use crate::setup::Setup;

pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Vec<Outcome>> {
    let took: Vec<f64> = (0..setup.rounds(9))
        .map(|_| {
            let grid = setup.grid().start();
            let took = grid.ready_after().as_secs_f64();
            grid.stop_and_check();
            took
        })
        .collect();
    Ok(vec![Outcome::alone("from start to ready", "s", median(&took), Some(2.0))])
}
