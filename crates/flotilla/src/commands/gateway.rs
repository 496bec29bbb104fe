//! `flotilla gateway`: lets clients in to the workers of a fleet.

use std::process::ExitCode;

use flotilla_core::config::Loaded;

use super::up::Signals;
use crate::printer::Printer;
use crate::roles::GatewayRole;

/// Runs a gateway until a signal stops it.
///
/// # Errors
/// When it cannot be started.
pub async fn run(loaded: &Loaded, json: bool, printer: Printer) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    for note in &loaded.notes {
        printer.note(format!("note: {note}"));
    }
    let gateway = GatewayRole::start(loaded).await?;
    if json {
        printer.json_line(&serde_json::json!({
            "event": "ready",
            "role": "gateway",
            "endpoint": gateway.endpoint(),
            "pid": std::process::id(),
        }))?;
    } else {
        printer.out(format!("Ready: {}", gateway.endpoint()));
    }
    tokio::select! {
        () = signals.next() => {}
        () = gateway.told_to_stop() => {}
    }
    printer.note("Stopping: no new sessions, waiting for the live ones. A second signal hurries.");
    let stopped = gateway.stop(signals.next()).await;
    match stopped.ended {
        0 => printer.note("Stopped; no session was cut."),
        n => printer.note(format!("Stopped; {n} live session(s) were ended with a reason.")),
    }
    Ok(ExitCode::SUCCESS)
}
