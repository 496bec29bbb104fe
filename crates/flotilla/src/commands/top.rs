//! `flotilla top`: the grid as it is, again and again.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flotilla_core::status::{Status, WorkerStatus};

use super::ask::{COULD_NOT_RUN, GridArgs};
use super::{duration, sessions, status, workers};
use crate::operator::Settings;
use crate::printer::Printer;
use crate::probe::{self, AskError, Endpoint};

/// Lines that are not for rows: the summary, headings, blanks and remarks.
const FRAME: usize = 14;
/// Rows of a table where nobody knows how many lines can be seen.
const ROWS: usize = 20;

/// Show the grid live: slots, queue, the busiest workers and the oldest sessions
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The sessions are those that the asked gateway relays; `flotilla sessions` lists those of all.
With --json every refresh is one line.

Exit codes: 0, or 2 when the grid could not be asked the last time.")]
pub struct TopCommand {
    /// Which grid.
    #[command(flatten)]
    pub grid: GridArgs,
    /// How long to wait between two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub every: Duration,
    /// Look once
    #[arg(long)]
    pub once: bool,
}

/// Runs the command until nobody looks any more.
///
/// # Errors
/// When the address is none.
pub async fn run(
    command: &TopCommand,
    settings: &Settings,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let operator = command.grid.operator(settings)?;
    let clear = !command.grid.json && !command.once && std::io::stdout().is_terminal();
    let mut last = Last::default();
    let mut code = ExitCode::SUCCESS;
    while printer.has_reader() {
        let looked = look(command, operator.endpoint(), &mut last, clear, printer);
        tokio::select! {
            well = looked => {
                code = if well? { ExitCode::SUCCESS } else { COULD_NOT_RUN.into() };
            }
            _ = tokio::signal::ctrl_c() => return Ok(code),
        }
        if command.once {
            return Ok(code);
        }
        tokio::select! {
            () = tokio::time::sleep(command.every) => {}
            _ = tokio::signal::ctrl_c() => return Ok(code),
        }
    }
    Ok(code)
}

/// One look; `false` when the grid could not be asked.
async fn look(
    command: &TopCommand,
    endpoint: &Endpoint,
    last: &mut Last,
    clear: bool,
    printer: Printer,
) -> anyhow::Result<bool> {
    let answer = probe::status(endpoint, command.grid.timeout).await;
    if clear {
        printer.out_raw("\x1b[H\x1b[2J");
    }
    match answer {
        Ok(status) => {
            let rate = last.rate(&status, Instant::now());
            match command.grid.json {
                true => printer.json_line(&document(&status, rate)?)?,
                false => printer.out(page(&status, rate, printer)),
            }
            Ok(true)
        }
        Err(error) => {
            could_not(endpoint, &error, printer);
            Ok(false)
        }
    }
}

fn could_not(endpoint: &Endpoint, error: &AskError, printer: Printer) {
    printer
        .error(format!("the grid at {endpoint} could not be asked: {error}"), status::hint(error));
}

fn document(status: &Status, rate: Option<f64>) -> anyhow::Result<serde_json::Value> {
    let mut document = serde_json::to_value(status)?;
    document["sessions_per_second"] = serde_json::json!(rate);
    Ok(document)
}

/// What was seen the last time.
#[derive(Debug, Default)]
struct Last(Option<(Instant, u64)>);

impl Last {
    /// Sessions that began each second since the last look, over all workers.
    fn rate(&mut self, status: &Status, now: Instant) -> Option<f64> {
        let served = status.workers.iter().map(|w| w.sessions_served).sum();
        let (then, before) = self.0.replace((now, served))?;
        let seconds = (now - then).as_secs_f64();
        // A worker that has left takes its count along.
        (seconds > 0.0).then(|| served.saturating_sub(before) as f64 / seconds)
    }
}

fn page(status: &Status, rate: Option<f64>, printer: Printer) -> String {
    let mut page = status::heading(status, printer);
    if let Some(rate) = rate {
        page += &format!("\nStarts {rate:.1} sessions a second");
    }
    page += &format!("\n\n{}", status::pools(status).show(printer));
    let rows = printer
        .screen()
        .map_or(ROWS, |(_, lines)| lines.saturating_sub(FRAME + status.pools.len()).max(6));
    let mut busiest: Vec<WorkerStatus> = status.workers.clone();
    busiest.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.id.cmp(&b.id)));
    let shown = &busiest[..busiest.len().min(rows / 2)];
    if !shown.is_empty() {
        page += &format!("\n\n{}", workers::table(shown).show(printer));
        page += &more(busiest.len(), shown.len(), "workers");
    }
    let oldest = &status.sessions[..status.sessions.len().min(rows - shown.len().min(rows / 2))];
    if !oldest.is_empty() {
        page += &format!("\n\n{}", sessions::table(oldest).show(printer));
        page += &more(status.sessions.len(), oldest.len(), "sessions");
    }
    page
}

fn more(all: usize, shown: usize, what: &str) -> String {
    match all - shown {
        0 => String::new(),
        left => format!("\n… and {left} more {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(workers: usize, sessions: usize, served: u64) -> Status {
        let worker = |n: usize| {
            serde_json::json!({ "id": format!("w{n:02}"), "state": "available", "slots": 5,
                "used": n % 5, "sessions_served": served, "started_at": 0 })
        };
        let session = |n: usize| {
            serde_json::json!({ "id": format!("s{n:02}"), "browser": "chromium",
                "version": "1.65", "isolation": "tenant", "started_at": 0, "age_seconds": 1.0,
                "worker": "w00" })
        };
        serde_json::from_value(serde_json::json!({
            "version": "0.1.0", "state": "ready", "uptime_seconds": 1.0, "endpoint": "ws://h:1",
            "slots": { "total": 5, "used": 0, "free": 5, "draining": 0 },
            "queue": { "depth": 0, "limit": 100, "oldest_wait_seconds": 0.0 },
            "pools": [],
            "workers": (0..workers).map(worker).collect::<Vec<_>>(),
            "sessions": (0..sessions).map(session).collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    #[test]
    fn a_large_grid_is_cut_and_says_how_much_is_left_out() {
        let page = page(&status(50, 40, 0), None, Printer::plain());
        assert!(page.contains("… and 40 more workers"), "{page}");
        assert!(page.contains("… and 30 more sessions"), "{page}");
        let first = page.lines().find(|line| line.starts_with('w')).unwrap();
        assert!(first.starts_with("w04"), "the busiest first: {first}");
    }

    #[test]
    fn the_rate_is_counted_between_two_looks() {
        let (mut last, began) = (Last::default(), Instant::now());
        let after = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(last.rate(&status(2, 0, 10), after(0)), None);
        assert_eq!(last.rate(&status(2, 0, 13), after(2)), Some(3.0));
        assert_eq!(last.rate(&status(1, 0, 13), after(4)), Some(0.0), "one has left");
    }
}
