//! `flotilla status`: how many slots there are, and who has them.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flotilla_core::status::{
    GridState, PoolStatus, RegistryKind, Slots, Status, WorkerState, WorkerStatus,
};
use serde::Serialize;

use super::{duration, in_words, named};
use crate::printer::{Align, Paint, Printer, Table};
use crate::probe::{self, AskError, Endpoint};

const COULD_NOT_ASK: u8 = 3;
/// Workers of a fleet that are shown.
const PAGE: usize = 20;

/// Show the slots used, free and queued, by browser and Playwright version
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  healthy: less than 80 % of the slots are taken
  1  warning: 80 to 95 %
  2  critical: more than 95 %, or there are no slots
  3  the grid could not be asked

A slot is taken when it is not free: a session has it, or its worker is draining.")]
pub struct StatusCommand {
    /// The grid to ask [default: the one that FLOTILLA_HOST and PORT name]
    #[arg(long, value_name = "URL", env = "FLOTILLA_ENDPOINT", hide_env_values = true)]
    pub endpoint: Option<String>,
    /// Print all that the grid says about itself, as JSON
    #[arg(long)]
    pub json: bool,
    /// Ask again and again, every 2 seconds if no other time is given
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "2",
          value_parser = duration)]
    pub watch: Option<Duration>,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
}

/// Runs the command against the grid that it names, or else the one at `default_endpoint`.
pub async fn run(
    command: &StatusCommand,
    default_endpoint: &str,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let endpoint = named(&command.endpoint).unwrap_or(default_endpoint);
    let endpoint = match endpoint.parse() {
        Ok(endpoint) => endpoint,
        Err(error) => {
            printer.error(error, None);
            return Ok(ExitCode::from(COULD_NOT_ASK));
        }
    };
    let Some(every) = command.watch else {
        return once(command, &endpoint, printer).await.map(ExitCode::from);
    };
    watch(command, &endpoint, printer, every).await
}

async fn watch(
    command: &StatusCommand,
    endpoint: &Endpoint,
    printer: Printer,
    every: Duration,
) -> anyhow::Result<ExitCode> {
    let clear = !command.json && std::io::stdout().is_terminal();
    let mut code = COULD_NOT_ASK;
    while printer.has_reader() {
        if clear {
            printer.out_raw("\x1b[H\x1b[2J");
        }
        tokio::select! {
            shown = once(command, endpoint, printer) => code = shown?,
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(code)),
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(code)),
        }
    }
    Ok(ExitCode::from(code))
}

async fn once(
    command: &StatusCommand,
    endpoint: &Endpoint,
    printer: Printer,
) -> anyhow::Result<u8> {
    let status = match probe::status(endpoint, command.timeout).await {
        Ok(status) => status,
        Err(error) => {
            let message = format!("the grid at {endpoint} could not be asked: {error}");
            printer.error(message, hint(&error));
            return Ok(COULD_NOT_ASK);
        }
    };
    let level = Level::of(status.slots);
    if command.json {
        printer.json(&Document::of(&status))?;
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        printer.out(render(&status, now.map_or(0, |d| d.as_secs()), printer));
    }
    Ok(level.exit_code())
}

/// What to do about a grid that cannot be asked.
pub(super) fn hint(error: &AskError) -> Option<&'static str> {
    match error {
        AskError::Http(_) => Some("start a grid with `flotilla up`, or name one with --endpoint"),
        AskError::Timeout(_) => Some("give it longer with --timeout"),
        AskError::Refused { .. } | AskError::Unreadable { .. } => None,
    }
}

/// How near the grid is to having no slot left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Less than 80 % of the slots are taken.
    Healthy,
    /// 80 to 95 %.
    Warning,
    /// More than 95 %, or no slots at all.
    Critical,
}

impl Level {
    /// The level of a grid with these slots.
    pub fn of(slots: Slots) -> Self {
        let (total, taken) = (u64::from(slots.total), u64::from(taken(slots)));
        if total == 0 || taken * 100 > total * 95 {
            Self::Critical
        } else if taken * 100 >= total * 80 {
            Self::Warning
        } else {
            Self::Healthy
        }
    }

    const fn exit_code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Warning => 1,
            Self::Critical => 2,
        }
    }

    const fn words(self) -> (&'static str, Paint) {
        match self {
            Self::Healthy => ("healthy", Paint::Good),
            Self::Warning => ("warning", Paint::Warn),
            Self::Critical => ("critical", Paint::Bad),
        }
    }
}

/// Slots that nobody can have now.
fn taken(slots: Slots) -> u32 {
    slots.total.saturating_sub(slots.free)
}

fn percent(slots: Slots) -> u32 {
    (taken(slots) * 100).checked_div(slots.total).unwrap_or(100)
}

/// What `--json` prints: all that the grid said, and what it amounts to.
#[derive(Debug, Serialize)]
struct Document<'a> {
    level: Level,
    taken_percent: u32,
    #[serde(flatten)]
    status: &'a Status,
}

impl<'a> Document<'a> {
    fn of(status: &'a Status) -> Self {
        Self { level: Level::of(status.slots), taken_percent: percent(status.slots), status }
    }
}

/// The whole page. `now` is in seconds since 1970.
fn render(status: &Status, now: u64, printer: Printer) -> String {
    let mut page = heading(status, printer);
    page.push_str("\n\n");
    page.push_str(&pools(status).render(printer.colors()));
    if status.registry.kind == RegistryKind::Redis {
        page.push_str(&fleet_workers(&status.workers, printer));
    } else if !status.workers.is_empty() {
        page.push_str("\n\n");
        page.push_str(&workers(&status.workers, now).render(printer.colors()));
    }
    page
}

/// The workers that somebody should look at first, as many as fit on a page.
fn fleet_workers(workers: &[WorkerStatus], printer: Printer) -> String {
    let mut sorted = workers.to_vec();
    sorted.sort_by(|a, b| {
        let worst_first = |w: &WorkerStatus| std::cmp::Reverse(place(w.state));
        worst_first(a).cmp(&worst_first(b)).then_with(|| a.id.cmp(&b.id))
    });
    let shown = &sorted[..sorted.len().min(PAGE)];
    if shown.is_empty() {
        return String::new();
    }
    let more = match sorted.len() - shown.len() {
        0 => String::new(),
        left => format!("\n… and {left} more: flotilla workers"),
    };
    format!("\n\n{}{more}", super::workers::table(shown).show(printer))
}

fn place(state: WorkerState) -> usize {
    WorkerState::ALL.iter().position(|one| *one == state).unwrap_or_default()
}

pub(super) fn heading(status: &Status, printer: Printer) -> String {
    let state = status.state.as_str();
    let state = match status.state {
        GridState::Ready => printer.paint(Paint::Good, state),
        GridState::Starting | GridState::Draining => printer.paint(Paint::Warn, state),
    };
    let Slots { total, used, free, .. } = status.slots;
    let draining = match status.slots.draining {
        0 => String::new(),
        n => format!(", {n} draining"),
    };
    let (level, paint) = Level::of(status.slots).words();
    let level = printer.paint(paint, level);
    let waiting = match status.queue.depth {
        0 => String::new(),
        _ => format!(", the first for {}", in_words(status.queue.oldest_wait_seconds)),
    };
    let here = match status.registry.kind {
        RegistryKind::Memory => "",
        RegistryKind::Redis => " at this gateway, whose own sessions are counted below",
    };
    let fleet = match status.registry.kind {
        RegistryKind::Memory => String::new(),
        RegistryKind::Redis => fleet(status, printer),
    };
    format!(
        "Grid   {} is {state}, version {}, up {}\n{fleet}\
         Slots  {used} of {total} used, {free} free{draining} ({} %): {level}\n\
         Queue  {} of {} waiting{waiting}{here}",
        status.endpoint,
        status.version,
        in_words(status.uptime_seconds),
        percent(status.slots),
        status.queue.depth,
        status.queue.limit,
    )
}

/// `Fleet  3 workers: 2 available, 1 dead; Redis answers in 0.4 ms`.
fn fleet(status: &Status, printer: Printer) -> String {
    let number = |state| status.workers.iter().filter(|w| w.state == state).count();
    let states = WorkerState::ALL.map(|state| (state, number(state)));
    let states = states.into_iter().filter(|(_, number)| *number > 0).map(|(state, number)| {
        let text = format!("{number} {}", state.as_str());
        super::workers::paint(state).map_or_else(|| text.clone(), |p| printer.paint(p, &text))
    });
    let states: Vec<_> = states.collect();
    let colon = if states.is_empty() { "" } else { ": " };
    let redis = match (status.registry.reachable, status.registry.latency_ms) {
        (true, Some(latency)) => format!("Redis answers in {latency:.1} ms"),
        (true, None) => "Redis answers".to_owned(),
        (false, _) => {
            printer.paint(Paint::Bad, "Redis cannot be reached: new workers are not found")
        }
    };
    let workers = super::ask::counted(status.workers.len(), "worker");
    format!("Fleet  {workers}{colon}{}; {redis}\n", states.join(", "))
}

pub(super) fn pools(status: &Status) -> Table {
    let mut table = Table::new([
        ("BROWSER", Align::Left),
        ("PLAYWRIGHT", Align::Left),
        ("USED", Align::Right),
        ("FREE", Align::Right),
        ("QUEUED", Align::Right),
        ("", Align::Left),
    ]);
    for pool in &status.pools {
        let PoolStatus { used, queued, .. } = pool;
        let look = |n: &u32, paint| (n.to_string(), (*n > 0).then_some(paint));
        table.painted_row([
            (pool.browser.to_string(), None),
            (pool.version.to_string(), None),
            look(used, Paint::Strong),
            // Slots belong to no browser: a free one is free for each of them.
            (status.slots.free.to_string(), None),
            look(queued, Paint::Warn),
            (if pool.default { "default" } else { "" }.to_owned(), Some(Paint::Dim)),
        ]);
    }
    table
}

fn workers(workers: &[WorkerStatus], now: u64) -> Table {
    let mut table = Table::new([
        ("WORKER", Align::Left),
        ("STATE", Align::Left),
        ("USED", Align::Right),
        ("SLOTS", Align::Right),
        ("SERVED", Align::Right),
        ("BROWSERS", Align::Right),
        ("UP", Align::Left),
    ]);
    for worker in workers {
        table.row([
            worker.id.clone(),
            worker.state.as_str().to_owned(),
            worker.used.to_string(),
            worker.slots.to_string(),
            worker.sessions_served.to_string(),
            worker.browsers.len().to_string(),
            in_words(now.saturating_sub(worker.started_at) as f64),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(total: u32, free: u32) -> Slots {
        Slots { total, used: total - free, free, draining: 0 }
    }

    fn sample() -> Status {
        serde_json::from_str(
            r#"{"version":"0.1.0","state":"ready","uptime_seconds":3725.5,
            "endpoint":"ws://127.0.0.1:8080",
            "slots":{"total":5,"used":4,"free":1,"draining":0},
            "queue":{"depth":1,"limit":100,"oldest_wait_seconds":0.42},
            "pools":[
              {"browser":"chromium","version":"1.65","used":4,"queued":1,"default":true},
              {"browser":"firefox","version":"1.64","used":0,"queued":0}],
            "workers":[{"id":"w1","state":"available","slots":5,"used":4,"sessions_served":17,
              "started_at":1000,"browsers":[]}],
            "sessions":[]}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_thresholds_are_the_guides() {
        for (total, free, level) in [
            (100, 100, Level::Healthy),
            (100, 21, Level::Healthy),
            (100, 20, Level::Warning),
            (100, 5, Level::Warning),
            (100, 4, Level::Critical),
            (5, 2, Level::Healthy),
            (5, 1, Level::Warning),
            (5, 0, Level::Critical),
            (0, 0, Level::Critical),
        ] {
            assert_eq!(Level::of(slots(total, free)), level, "{free} of {total} free");
        }
    }

    #[test]
    fn slots_of_a_draining_worker_are_not_to_be_had() {
        let draining = Slots { total: 5, used: 0, free: 0, draining: 5 };
        assert_eq!(Level::of(draining), Level::Critical);
    }

    #[test]
    fn the_page_reads_without_colour() {
        assert_eq!(
            render(&sample(), 1062, Printer::plain()),
            "\
Grid   ws://127.0.0.1:8080 is ready, version 0.1.0, up 1 h 2 min
Slots  4 of 5 used, 1 free (80 %): warning
Queue  1 of 100 waiting, the first for 0.4 s

BROWSER   PLAYWRIGHT  USED  FREE  QUEUED
chromium  1.65           4     1       1  default
firefox   1.64           0     1       0

WORKER  STATE      USED  SLOTS  SERVED  BROWSERS  UP
w1      available     4      5      17         0  1 min 2 s"
        );
    }

    #[test]
    fn a_fleets_page_tells_who_is_there_and_begins_with_what_is_wrong() {
        let worker = |n: usize| {
            let state = if n == 21 { "unroutable" } else { "available" };
            let problem = (n == 21).then_some("Connection refused");
            serde_json::json!({ "id": format!("w{n:02}"), "state": state, "slots": 5, "used": 1,
                "sessions_served": 9, "started_at": 0, "problem": problem })
        };
        let mut status = serde_json::to_value(sample()).unwrap();
        status["workers"] = (0..22).map(worker).collect();
        status["registry"] =
            serde_json::json!({ "kind": "redis", "reachable": true, "latency_ms": 0.42 });
        let mut status: Status = serde_json::from_value(status).unwrap();
        let page = render(&status, 0, Printer::plain());
        let lines: Vec<_> = page.lines().collect();
        assert_eq!(
            lines[1],
            "Fleet  22 workers: 21 available, 1 unroutable; Redis answers in 0.4 ms"
        );
        assert!(
            lines[3].starts_with("Queue  1 of 100 waiting, the first for 0.4 s at this gateway")
        );
        let first = lines.iter().position(|line| line.starts_with("WORKER")).unwrap() + 1;
        assert!(lines[first].starts_with("w21") && lines[first].ends_with("Connection refused"));
        assert_eq!(lines.last(), Some(&"… and 2 more: flotilla workers"));
        status.registry.reachable = false;
        assert!(render(&status, 0, Printer::plain()).contains("Redis cannot be reached"));
    }

    #[test]
    fn json_has_all_that_the_grid_said_and_the_level() {
        let status = sample();
        let document = serde_json::to_value(Document::of(&status)).unwrap();
        assert_eq!(document["level"], "warning");
        assert_eq!(document["taken_percent"], 80);
        assert_eq!(document["pools"][1]["browser"], "firefox");
        assert_eq!(serde_json::from_value::<Status>(document).unwrap(), status);
    }
}
