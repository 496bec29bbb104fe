//! A session through the grid beside one at a bare `launchServer`: connect, evaluate, CPU.

use std::time::Duration;

use flotilla_testkit::grid::Grid;
use flotilla_testkit::report::{Aim, median};

use crate::bare::Bare;
use crate::client::Client;
use crate::cpu;
use crate::evaluate;
use crate::figures::Paired;
use crate::setup::Setup;
use crate::table::{Beside, Found};

pub(crate) const BARE: &str = "bare launchServer";
const CONNECTS: usize = 20;
const SESSIONS: usize = 10;
/// After the last close the contexts are still being disposed: that belongs to the session too.
const SETTLED: Duration = Duration::from_millis(200);

/// Where sessions go: a client of its own, and the process whose tree serves it.
pub(crate) struct Side {
    pub(crate) client: Client,
    root: u32,
}

impl Side {
    pub(crate) fn of(setup: &Setup, endpoint: &str, root: u32) -> anyhow::Result<Self> {
        let mut client = Client::new(setup, endpoint)?;
        // Code that is not warm yet would be measured more often on the side that comes first.
        client.times("sessions", setup.rounds(10))?;
        Ok(Self { client, root })
    }

    pub(crate) fn p50(&mut self, what: &str, times: usize) -> anyhow::Result<f64> {
        Ok(median(&self.client.times(what, times)?))
    }

    /// Milliseconds of processor time for a session.
    fn cpu(&mut self) -> anyhow::Result<f64> {
        let before = cpu::seconds(self.root);
        self.client.times("sessions", SESSIONS)?;
        std::thread::sleep(SETTLED);
        Ok((cpu::seconds(self.root) - before) * 1000.0 / SESSIONS as f64)
    }
}

pub(crate) fn measure(setup: &Setup) -> anyhow::Result<Found> {
    // No browser is replaced meanwhile: the bare server's never is either.
    let lasting = setup.grid().env("MAX_LIFETIME_SESSIONS", 1_000_000).start();
    let usual = setup.grid().start();
    let bare = Bare::start(setup)?;
    let mut ours = Side::of(setup, lasting.endpoint(), lasting.pid())?;
    let mut theirs = Side::of(setup, bare.endpoint(), bare.pid())?;
    let connect =
        in_turns(setup.rounds(20), &mut ours, &mut theirs, |side| side.p50("connect", CONNECTS))?;
    let mut found = evaluate::measure(setup, &mut ours, &mut theirs, &bare)?;
    let cpu = in_turns(setup.rounds(32), &mut ours, &mut theirs, Side::cpu)?;
    let mut replacing = Side::of(setup, usual.endpoint(), usual.pid())?;
    let replaced = in_turns(setup.rounds(10), &mut replacing, &mut theirs, Side::cpu)?;
    drop((ours, theirs, replacing));
    [lasting, usual].into_iter().for_each(Grid::stop_and_check);
    let beside = |what, paired| Beside { what, unit: "ms", name: "grid", against: BARE, paired };
    let connect = beside("connect", &connect);
    let cpu = beside("CPU of a session", &cpu);
    let replaced = beside("the same, with a new browser for every 50 sessions", &replaced);
    found.rows.insert(0, connect.difference(Some(Aim::AtMost(2.0))));
    found.rows.extend([cpu.ratio(Some(Aim::AtMost(1.03))), replaced.ratio(None)]);
    found.charts.insert(0, connect.chart());
    found.charts.push(cpu.chart());
    Ok(found)
}

/// The two in turns; who begins a round changes from round to round.
pub(crate) fn in_turns(
    rounds: usize,
    ours: &mut Side,
    theirs: &mut Side,
    mut measure: impl FnMut(&mut Side) -> anyhow::Result<f64>,
) -> anyhow::Result<Paired> {
    let mut paired = Paired::default();
    for round in 0..rounds {
        if round % 2 == 0 {
            let (a, b) = (measure(ours)?, measure(theirs)?);
            paired.push(a, b);
        } else {
            let (b, a) = (measure(theirs)?, measure(ours)?);
            paired.push(a, b);
        }
    }
    Ok(paired)
}
