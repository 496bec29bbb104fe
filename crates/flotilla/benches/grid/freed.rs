//! From a client's close to its slot being free.

use flotilla_testkit::report::{Aim, Row, median, number};

use crate::client::Client;
use crate::setup::Setup;
use crate::table::{Found, alone};

pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Found> {
    let grid = setup.grid().start();
    let mut client = Client::new(setup, grid.endpoint())?;
    let mut took = |query: &str| -> anyhow::Result<Vec<f64>> {
        (0..setup.rounds(20)).map(|_| client.once("freed", query)).collect()
    };
    let (shared, own) = (took("")?, took("?isolation=session")?);
    drop(client);
    grid.stop_and_check();
    let rows = vec![
        row("slot free after a close, slowest", &shared),
        row("the same in a browser of one's own", &own),
    ];
    Ok(Found { rows, charts: Vec::new() })
}

fn row(what: &str, took: &[f64]) -> Row {
    let slowest = took.iter().copied().fold(0.0, f64::max);
    let figures = format!("{} closes, median {} ms", took.len(), number(median(took)));
    alone(what, figures, slowest / 1000.0, "s", Some(Aim::AtMost(1.0)))
}
