//! `flotilla roll`: replaces workers or gateways while clients work, and measures what clients
//! notice of it.

mod conduct;
mod options;
mod plan;
mod resume;
mod telling;

use std::process::ExitCode;

use crate::operator::Settings;
use crate::printer::Printer;

pub use options::{Common, GatewayOptions, WorkerOptions};

/// What a roll exits with that failed, or that clients noticed.
const FAILED: u8 = 1;
/// What it exits with when it did not begin.
const COULD_NOT_RUN: u8 = 2;

/// Replace workers or gateways, a few at a time, while clients go on
#[derive(Clone, Debug, clap::Args)]
pub struct RollCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// Replace workers: new ones prove themselves with a session, old ones leave with their last
    #[command(after_help = workers_help(), args_override_self = true)]
    Workers(WorkerOptions),
    /// Replace gateways behind a balancer, in their places, one after the other
    #[command(after_help = gateways_help(), args_override_self = true)]
    Gateways(GatewayOptions),
}

const COMMANDS: &str = "\
The commands are run by /bin/sh and find in their environment:
  FLOTILLA_ROLL           workers or gateways
  FLOTILLA_ROLL_NAME      start: a name that nobody has had; stop: the one that is to end
  FLOTILLA_ROLL_REPLACES  start: the one that has gone, whose place is to be taken; may be empty
  FLOTILLA_ROLL_ENDPOINT  stop: where it was reached, as HOST:PORT; may be empty";

const CODES: &str = "\
Exit codes:
  0  everything was replaced, no connect failed, and no session was ended but by its client
  1  it was given up, interrupted, or clients noticed something
  2  it did not begin

SIGINT or SIGTERM lets it finish what it has begun, and end; a second one lets it give up, and give
back what it can. Begun again with the options that it prints, it goes on where it was.";

fn workers_help() -> String {
    format!(
        "\
For each worker: a new one is started, must take sessions and pass one of its own; then an old one is
told to take no more, and is ended when it has none. At every instant as many workers take
sessions as replicas less max-unavailable, with their slots, and at most replicas plus max-surge
run. The first failure ends the roll: old ones take sessions again, and nothing is cut.

{COMMANDS}
A worker that takes FLOTILLA_ROLL_NAME as its FLOTILLA_WORKER_ID can be told from others. Without a
stop command, workers are told to end over the network, and do.

{CODES}

Examples:
  flotilla roll workers --start-command 'systemctl start flotilla-worker@$FLOTILLA_ROLL_NAME'
  flotilla roll workers --max-unavailable 1 --max-surge 0 \\
    --start-command 'systemctl start flotilla-worker@$FLOTILLA_ROLL_REPLACES'"
    )
}

fn gateways_help() -> String {
    format!(
        "\
For each gateway: it is told to take no more clients, so that its /readyz says 503 and the balancer
sends them elsewhere; it is ended when its last session has, and the new one must be ready and pass
a session before the next. The first failure ends the roll: a gateway that waits for its sessions
takes clients again, and nothing is cut.

{COMMANDS}
A gateway's name is its address, HOST:PORT, as --gateway says. Without a stop command, gateways are
told to end over the network, and do.

{CODES}

Example:
  flotilla roll gateways --endpoint ws://balancer:8080 \\
    --gateway ws://gw1:8080 --gateway ws://gw2:8080 \\
    --start-command 'ssh \"${{FLOTILLA_ROLL_REPLACES%:*}}\" systemctl start flotilla-gateway'"
    )
}

/// Rolls.
///
/// # Errors
/// When the system fails it.
pub async fn run(
    command: &RollCommand,
    settings: &Settings,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    let code = match &command.what {
        What::Workers(options) => plan::workers(options, settings, printer).await,
        What::Gateways(options) => plan::gateways(options, settings, printer).await,
    };
    Ok(code.unwrap_or_else(|refused| refused.report(printer)))
}

/// Why a roll did not begin.
#[derive(Debug)]
struct Refused {
    why: String,
    hint: Option<&'static str>,
}

impl Refused {
    fn new(why: impl ToString) -> Self {
        Self { why: why.to_string(), hint: None }
    }

    fn report(&self, printer: Printer) -> ExitCode {
        printer.error(&self.why, self.hint);
        ExitCode::from(COULD_NOT_RUN)
    }
}

impl<E: std::error::Error> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}
