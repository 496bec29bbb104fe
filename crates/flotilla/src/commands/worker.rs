//! `flotilla worker`: owns browsers, for the gateways of a fleet.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use flotilla_core::config::Loaded;

use super::stopping::Stopping;
use super::up::Signals;
use crate::printer::Printer;
use crate::roles::WorkerRole;

/// How long the first browser may take.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Runs a worker until a signal or a command stops it.
///
/// # Errors
/// When it cannot be started.
pub async fn run(loaded: &Loaded, json: bool, printer: Printer) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let signals = Signals::listen()?;
    for note in &loaded.notes {
        printer.note(format!("note: {note}"));
    }
    let worker = WorkerRole::start(loaded).await?;
    let drain_timeout = loaded.config.timing.drain_timeout;
    let mut stopping = Stopping::new(signals, worker.leaving(), drain_timeout);
    let ready = tokio::select! {
        ready = worker.ready(READY_WITHIN) => ready,
        () = stopping.told() => {
            worker.stop(std::future::ready(())).await;
            return Ok(ExitCode::SUCCESS);
        }
    };
    if !ready {
        worker.stop(std::future::ready(())).await;
        anyhow::bail!(
            "no browser came up in {} s. The log says why; `flotilla browsers list` shows what is installed",
            READY_WITHIN.as_secs()
        );
    }
    if json {
        printer.json_line(&serde_json::json!({
            "event": "ready",
            "role": "worker",
            "id": worker.id(),
            "endpoint": worker.endpoint(),
            "pid": std::process::id(),
            "ready_after_seconds": began.elapsed().as_secs_f64(),
        }))?;
    } else {
        printer.out(format!("Ready: worker {} at {}", worker.id(), worker.endpoint()));
    }
    stopping.told().await;
    printer.note("Stopping: no new sessions, waiting for the live ones. A second signal hurries.");
    let stopped = worker.stop(stopping.patience()).await;
    match stopped.ended {
        0 => printer.note("Stopped; no session was cut."),
        n => printer.note(format!("Stopped; {n} live session(s) were ended with a reason.")),
    }
    Ok(ExitCode::SUCCESS)
}
