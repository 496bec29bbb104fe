//! `flotilla doctor`: the way from a gateway to a worker's browsers, hop by hop.

use std::process::ExitCode;

use flotilla_core::status::{Status, WorkerStatus};
use serde_json::json;

use super::ask::{BAD, GridArgs, could_not};
use crate::operator::Settings;
use crate::printer::{Paint, Printer};
use crate::probe::{self, AskError, Endpoint};

mod hops;

use hops::{Facts, Hop, Verdict, examine};

/// Find out why something gets no sessions
#[derive(Clone, Debug, clap::Args)]
pub struct DoctorCommand {
    #[command(subcommand)]
    patient: Patient,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Patient {
    Worker(WorkerCommand),
}

/// Follow the way to a worker: registry, heartbeat, name, port, proof, browsers
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The name and the port are tried from this machine, whose network may differ from the gateway's;
what the gateway says counts.

Exit codes:
  0  sessions can go there
  1  they cannot: the first hop that fails is named
  2  the grid could not be asked")]
struct WorkerCommand {
    /// The worker, by name
    #[arg(value_name = "WORKER")]
    worker: String,
    #[command(flatten)]
    grid: GridArgs,
}

/// Runs the command.
///
/// # Errors
/// When the grid cannot be asked.
pub async fn run(
    command: &DoctorCommand,
    settings: &Settings,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let Patient::Worker(command) = &command.patient;
    let operator = command.grid.operator(settings)?;
    let workers = operator.workers().await.map_err(|error| could_not(&operator, error))?;
    let gateway = probe::status(operator.endpoint(), command.grid.timeout).await?;
    let worker = workers.iter().find(|worker| worker.id == command.worker);
    let (own, unanswered) = match worker {
        Some(worker) => {
            let asked = operator.sessions(Some(&worker.id)).await;
            let asked = asked.map_err(|error| could_not(&operator, error))?;
            (ask(worker, command).await, asked.unanswered.into_iter().next().map(|u| u.why))
        }
        None => (Own::default(), None),
    };
    let known = workers.iter().map(|worker| worker.id.as_str()).collect();
    let facts = Facts {
        name: &command.worker,
        gateway: &gateway,
        worker,
        known,
        unanswered,
        resolves: own.resolves,
        says: own.says,
    };
    let hops = examine(&facts);
    let ill = hops.iter().find(|hop| hop.verdict == Verdict::Bad);
    if command.grid.json {
        printer.json(&json!({ "worker": command.worker, "hops": hops, "first_failing": ill }))?;
    } else {
        hops.iter().for_each(|hop| tell(hop, printer));
        match ill {
            None => printer.note(format!("Sessions can go to worker {}.", command.worker)),
            Some(hop) => printer.error(format!("{}: {}", hop.name, hop.words), hop.hint),
        }
    }
    Ok(if ill.is_none() { ExitCode::SUCCESS } else { BAD.into() })
}

fn tell(hop: &Hop, printer: Printer) {
    let (word, paint) = match hop.verdict {
        Verdict::Good => ("ok  ", Paint::Good),
        Verdict::Bad => ("FAIL", Paint::Bad),
        Verdict::Unknown => ("?   ", Paint::Warn),
    };
    printer.out(format!("{}  {:<10} {}", printer.paint(paint, word), hop.name, hop.words));
}

/// What can be found out about a worker from here.
#[derive(Debug, Default)]
struct Own {
    resolves: Option<Result<String, String>>,
    says: Option<Result<Status, String>>,
}

async fn ask(worker: &WorkerStatus, command: &WorkerCommand) -> Own {
    if worker.endpoint.is_empty() {
        return Own::default();
    }
    let resolves = match tokio::net::lookup_host(&worker.endpoint).await {
        Ok(addresses) => {
            let all: Vec<_> = addresses.map(|address| address.ip().to_string()).collect();
            Ok(all.join(", "))
        }
        Err(why) => Err(why.to_string()),
    };
    let says = match format!("http://{}", worker.endpoint).parse::<Endpoint>() {
        Ok(endpoint) => {
            let answer = probe::status(&endpoint, command.grid.timeout).await;
            answer.map_err(|error: AskError| error.to_string())
        }
        Err(why) => Err(why.to_string()),
    };
    Own { resolves: Some(resolves), says: Some(says) }
}
