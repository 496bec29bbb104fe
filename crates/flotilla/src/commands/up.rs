//! `flotilla up`: the whole grid on this machine.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use flotilla_core::config::Loaded;
use flotilla_core::status::Status;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::stopping::Stopping;
use crate::grid::Grid;
use crate::printer::Printer;

/// How long the first browser may take.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Runs a grid until a signal stops it.
///
/// # Errors
/// When it cannot be started.
pub async fn run(loaded: &Loaded, json: bool, printer: Printer) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let signals = Signals::listen()?;
    for note in &loaded.notes {
        printer.note(format!("note: {note}"));
    }
    let grid = Grid::start(loaded).await?;
    let drain_timeout = loaded.config.timing.drain_timeout;
    let mut stopping = Stopping::new(signals, grid.leaving(), drain_timeout);
    let ready = tokio::select! {
        ready = grid.ready(READY_WITHIN) => ready,
        () = stopping.told() => {
            grid.stop(std::future::ready(())).await;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let Some(status) = ready else {
        grid.stop(std::future::ready(())).await;
        anyhow::bail!(
            "no browser came up in {} s. The log says why; `flotilla browsers list` shows what is installed",
            READY_WITHIN.as_secs()
        );
    };
    announce(printer, json, &grid, &status, began.elapsed())?;
    stopping.told().await;
    printer.note("Stopping: no new sessions, waiting for the live ones. A second signal hurries.");
    let stopped = grid.stop(stopping.patience()).await;
    match stopped.ended {
        0 => printer.note("Stopped; no session was cut."),
        n => printer.note(format!("Stopped; {n} live session(s) were ended with a reason.")),
    }
    Ok(ExitCode::SUCCESS)
}

fn announce(
    printer: Printer,
    json: bool,
    grid: &Grid,
    status: &Status,
    took: Duration,
) -> anyhow::Result<()> {
    let endpoint = grid.endpoint();
    if json {
        // An event is one line, for who reads lines.
        return printer.json_line(&serde_json::json!({
            "event": "ready",
            "endpoint": endpoint,
            "pid": std::process::id(),
            "ready_after_seconds": took.as_secs_f64(),
            "serves": status.pools,
            "slots": status.slots.total,
        }));
    }
    for pool in &status.pools {
        let default = if pool.default { "   (default)" } else { "" };
        printer.out(format!("Serves: {} for Playwright {}{default}", pool.browser, pool.version));
    }
    printer.out(format!("Slots: {}", status.slots.total));
    let page = endpoint.replacen("ws", "http", 1);
    printer.out(format!("Status: {page}/  (or: flotilla status --endpoint {endpoint})"));
    printer.out(format!("Ready: {endpoint}"));
    Ok(())
}

/// SIGTERM and SIGINT, whichever comes.
#[derive(Debug)]
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
