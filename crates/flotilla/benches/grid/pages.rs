//! To the first page: in a browser of one's own, in a shared one, and with `launch()`.

use std::time::Duration;

use flotilla_testkit::grid::Grid;
use flotilla_testkit::report::{Aim, Bar};
use flotilla_testkit::wait::wait_until;

use crate::client::Client;
use crate::figures::Paired;
use crate::setup::Setup;
use crate::table::{Beside, Found};

const OWN: &str = "?isolation=session";
const SOON: Duration = Duration::from_secs(30);
/// What a browser does after its start, and the last one at its end, is nobody's first page.
const QUIET: Duration = Duration::from_millis(250);

pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Found> {
    let grid = setup.grid().start();
    let mut client = Client::new(setup, grid.endpoint())?;
    let mut launcher = Client::new(setup, grid.endpoint())?;
    let (mut shared, mut launched) = (Paired::default(), Paired::default());
    let warm_up = 2;
    for round in 0..warm_up + setup.rounds(20) {
        settled(&grid);
        let in_shared = client.once("firstPage", "")?;
        settled(&grid);
        let in_own = client.once("firstPage", OWN)?;
        settled(&grid);
        let by_launch = launcher.once("launch", "")?;
        if round >= warm_up {
            shared.push(in_own, in_shared);
            launched.push(in_own, by_launch);
        }
    }
    drop((client, launcher));
    grid.stop_and_check();
    Ok(found(&shared, &launched))
}

fn found(shared: &Paired, launched: &Paired) -> Found {
    let what = "first page in a browser of one's own";
    let beside_shared =
        Beside { what, unit: "ms", name: "grid", against: "in a shared browser", paired: shared };
    let beside_launch = Beside { against: "launch()", paired: launched, ..beside_shared };
    let mut chart = beside_shared.chart();
    chart.title = "first page".to_owned();
    chart.bars[0].label = "browser of one's own".to_owned();
    chart.bars[1] = Bar::ours("shared browser", shared.theirs());
    chart.bars.push(Bar::new("launch()", launched.theirs()));
    Found {
        rows: vec![
            beside_shared.ratio(Some(Aim::AtMost(1.15))),
            beside_launch.ratio(Some(Aim::AtMost(0.65))),
        ],
        charts: vec![chart],
    }
}

/// Waits until a warm browser stands ready, and none is coming or going.
fn settled(grid: &Grid) {
    wait_until("a warm browser", SOON, || {
        !grid.browsers("warm").is_empty()
            && grid.browsers("own").is_empty()
            && grid.status().workers.iter().flat_map(|w| &w.browsers).all(|b| b.pid.is_some())
    });
    std::thread::sleep(QUIET);
}
