//! `flotilla gateway`: lets clients in to the workers of a fleet.

use std::process::ExitCode;

use flotilla_core::config::Loaded;
use flotilla_gateway::handover::HandedOver;

use super::up::Signals;
use crate::printer::Printer;
use crate::roles::{GatewayRole, TakenOver};

/// Runs a gateway until a signal stops it or another takes its place.
///
/// # Errors
/// When it cannot be started.
pub async fn run(
    loaded: &Loaded,
    take_over: bool,
    json: bool,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    for note in &loaded.notes {
        printer.note(format!("note: {note}"));
    }
    let (mut gateway, taken) = if take_over {
        let (gateway, taken) = GatewayRole::take_over(loaded).await?;
        (gateway, Some(taken))
    } else {
        (GatewayRole::start(loaded).await?, None)
    };
    if json {
        printer.json_line(&serde_json::json!({
            "event": "ready",
            "role": "gateway",
            "endpoint": gateway.endpoint(),
            "pid": std::process::id(),
            "taken_over": taken.map(|taken| serde_json::json!({
                "pid": taken.pid,
                "sessions": taken.sessions,
                "left": taken.left,
                "seconds": taken.took.as_secs_f64(),
            })),
        }))?;
    } else {
        if let Some(TakenOver { pid, sessions, took, .. }) = taken {
            let took = took.as_secs_f64() * 1000.0;
            printer
                .out(format!("Took over {sessions} session(s) from process {pid} in {took:.0} ms"));
        }
        printer.out(format!("Ready: {}", gateway.endpoint()));
    }
    let told = gateway.told_to_stop();
    tokio::select! {
        () = signals.next() => {}
        handed = gateway.handed_over() => {
            gateway.leave();
            let HandedOver { sessions, pid } = handed;
            printer.note(format!("Handed over {sessions} session(s) to process {pid}."));
            return Ok(ExitCode::SUCCESS);
        }
        () = told => {}
    }
    printer.note("Stopping: no new sessions, waiting for the live ones. A second signal hurries.");
    let stopped = gateway.stop(signals.next()).await;
    match stopped.ended {
        0 => printer.note("Stopped; no session was cut."),
        n => printer.note(format!("Stopped; {n} live session(s) were ended with a reason.")),
    }
    Ok(ExitCode::SUCCESS)
}
