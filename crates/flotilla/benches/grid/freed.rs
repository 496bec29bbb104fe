//! From a client's close to its slot being free.

use crate::client::Client;
use crate::figures::quantile;
use crate::outcome::Outcome;
use crate::setup::Setup;

pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Vec<Outcome>> {
    let grid = setup.grid().start();
    let mut client = Client::new(setup, grid.endpoint())?;
    let mut took = |query: &str| -> anyhow::Result<Vec<f64>> {
        (0..setup.rounds(20)).map(|_| client.once("freed", query)).collect()
    };
    let (shared, own) = (took("")?, took("?isolation=session")?);
    drop(client);
    grid.stop_and_check();
    let slowest = |took: &[f64]| quantile(took, 1.0) / 1000.0;
    Ok(vec![
        Outcome::alone("slot free after a close, slowest of 20", "s", slowest(&shared), Some(1.0)),
        Outcome::alone("the same for a browser of one's own", "s", slowest(&own), Some(1.0)),
    ])
}
