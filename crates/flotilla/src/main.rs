//! The `flotilla` binary: the command line, and the roles put together.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use flotilla::commands::config::{ConfigCommand, SettingFlags, load};
use flotilla::commands::{
    browsers, config, doctor, drain, front_door, gateway, health, roll, run, scale_down, sessions,
    status, top, up, usage_error_code, worker, workers,
};
use flotilla::grid::Grid;
use flotilla::operator::Settings;
use flotilla::printer::Printer;
use flotilla::{exec, logging};
use flotilla_core::config::{Loaded, Places, Role};
use flotilla_worker::driver::ExecShim;
use flotilla_worker::provision::Installer;

/// What commands exit with that could not be run at all.
const COULD_NOT_RUN: u8 = 2;

/// A self-hosted grid of Playwright browsers that runs its own operations
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a grid on this machine: gateway, worker and browsers in one process tree
    #[command(after_help = "\
Exit codes: 0 after an orderly stop, 2 when it could not be started.

SIGTERM or SIGINT stops admission and waits for the live sessions, at most the drain timeout; a
second signal hurries.

A grid in one process cannot be handed to another, since its browsers are its own: `flotilla
gateway --take-over` is for gateways that are processes of their own.")]
    Up {
        /// Print one JSON line when ready
        #[arg(long)]
        json: bool,
        #[arg(long, hide = true)]
        take_over: bool,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Start a gateway of a grid of several machines: it lets clients in
    #[command(after_help = "\
Exit codes: 0 after an orderly stop, 2 when it could not be started.

Needs REDIS_URL and FLOTILLA_FLEET_SECRET. SIGTERM or SIGINT stops admission and waits for the
sessions that it relays, at most the drain timeout; a second signal hurries.

With --take-over it takes the place of the gateway that has the same port and run directory and
belongs to the same user: its listener, so that no connect is refused meanwhile, and its sessions,
which notice nothing. The old process ends with 0 when nobody is left in it. When the new one cannot
be of use (another secret, no Redis), the old one goes on, and this exits with 2.")]
    Gateway {
        /// Print one JSON line when ready
        #[arg(long)]
        json: bool,
        /// Take the place of the gateway that runs, with its sessions
        #[arg(long)]
        take_over: bool,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Start a worker of a grid of several machines: it owns browsers
    #[command(after_help = "\
Exit codes: 0 after an orderly stop, 2 when it could not be started.

Needs REDIS_URL and FLOTILLA_FLEET_SECRET. SIGTERM or SIGINT, or the command `shutdown` in Redis,
stops admission and waits for its sessions, at most the drain timeout; a second signal hurries.")]
    Worker {
        /// Print one JSON line when ready
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Run a command whose Playwright tests use a grid's browsers
    Run(run::RunCommand),
    /// Install, list and remove the browsers and Playwright versions that this machine serves
    Browsers(browsers::BrowsersCommand),
    /// Show and check the settings
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Replace workers or gateways, a few at a time, while clients go on
    Roll(roll::RollCommand),
    /// Show slots used, free and queued, by browser and version
    Status(status::StatusCommand),
    /// Show the grid live: slots, queue, the busiest workers and the oldest sessions
    Top(top::TopCommand),
    /// Show the workers: state, slots, sessions, ages, and what each serves
    Workers(workers::WorkersCommand),
    /// Show the sessions, the oldest first; or end some
    Sessions(sessions::SessionsCommand),
    /// Have workers take no new sessions; those that they have go on
    Drain(drain::DrainCommand),
    /// Have workers take sessions again
    Undrain(drain::UndrainCommand),
    /// End workers: those that cost the least, after their last sessions
    ScaleDown(scale_down::ScaleDownCommand),
    /// Find out why a worker gets no sessions
    Doctor(doctor::DoctorCommand),
    /// Check a grid for real: a session for every browser and version that it serves
    Health(health::HealthCommand),
}

fn main() -> ExitCode {
    // The way to every driver and browser: before anything else is set up.
    if let Some(code) = exec::run_if_asked(std::env::args_os()) {
        return code;
    }
    let printer = Printer::from_env();
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return usage(&error),
    };
    match dispatch(command, printer) {
        Ok(code) => code,
        Err(error) => {
            printer.error(format!("{error:#}"), None);
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

/// Help and version are what was asked for; all else is a mistake in the command line.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody reads a closed pipe.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let command = std::env::args_os().nth(1);
    ExitCode::from(usage_error_code(command.as_deref()))
}

fn dispatch(command: Command, printer: Printer) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up { take_over: true, .. } => anyhow::bail!(
            "a grid in one process cannot be taken over: its browsers are its own. Stop it in order \
             (SIGTERM), or run gateway and worker as processes of their own (flotilla gateway --help)"
        ),
        Command::Up { json, settings, .. } => {
            with(&settings, Role::Standalone, printer, |loaded| {
                logging::start(&loaded.config.log);
                runtime()?.block_on(up::run(&loaded, json, printer))
            })
        }
        Command::Gateway { json, take_over, settings } => {
            with(&settings, Role::Gateway, printer, |loaded| {
                logging::start(&loaded.config.log);
                runtime()?.block_on(gateway::run(&loaded, take_over, json, printer))
            })
        }
        Command::Worker { json, settings } => with(&settings, Role::Worker, printer, |loaded| {
            logging::start(&loaded.config.log);
            runtime()?.block_on(worker::run(&loaded, json, printer))
        }),
        Command::Run(command) => match command.endpoint() {
            Some(endpoint) => runtime()?.block_on(run::exec(endpoint, &command, printer)),
            None => with(&SettingFlags::default(), Role::Standalone, printer, |loaded| {
                logging::start_quiet();
                runtime()?.block_on(in_own_grid(loaded, &command, printer))
            }),
        },
        Command::Browsers(command) => {
            with(&SettingFlags::default(), Role::Standalone, printer, |loaded| {
                let Places { data, run_dir } = loaded.config.places;
                let installer =
                    Installer { data, run_root: run_dir, shim: ExecShim::current_exe()? };
                logging::start_quiet();
                runtime()?.block_on(browsers::run(&command, &installer, printer))
            })
        }
        Command::Config { command } => config::run(&command, printer),
        Command::Roll(command) => {
            operate(printer, async |settings| roll::run(&command, settings, printer).await)
        }
        Command::Status(command) => {
            runtime()?.block_on(status::run(&command, &default_endpoint(), printer))
        }
        Command::Top(command) => {
            operate(printer, async |settings| top::run(&command, settings, printer).await)
        }
        Command::Workers(command) => {
            operate(printer, async |settings| workers::run(&command, settings, printer).await)
        }
        Command::Sessions(command) => {
            operate(printer, async |settings| sessions::run(&command, settings, printer).await)
        }
        Command::Drain(command) => {
            operate(printer, async |settings| drain::drain(&command, settings, printer).await)
        }
        Command::Undrain(command) => {
            operate(printer, async |settings| drain::undrain(&command, settings, printer).await)
        }
        Command::ScaleDown(command) => {
            operate(printer, async |settings| scale_down::run(&command, settings, printer).await)
        }
        Command::Doctor(command) => {
            operate(printer, async |settings| doctor::run(&command, settings, printer).await)
        }
        Command::Health(command) => {
            runtime()?.block_on(health::run(&command, &default_endpoint(), printer))
        }
    }
}

/// Loads the settings, or says what is wrong with them.
fn with(
    flags: &SettingFlags,
    role: Role,
    printer: Printer,
    go: impl FnOnce(Loaded) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    match load(flags, role) {
        Ok(loaded) => go(loaded),
        Err(failure) => Ok(failure.report(printer)),
    }
}

/// Asks a grid as its operator.
fn operate(
    printer: Printer,
    ask: impl AsyncFnOnce(&Settings) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    with(&SettingFlags::default(), Role::Standalone, printer, |loaded| {
        let settings = Settings::of(&loaded)?;
        runtime()?.block_on(ask(&settings))
    })
}

/// The grid that a command asks when it is told none: the one that the settings describe.
fn default_endpoint() -> String {
    let listen = load(&SettingFlags::default(), Role::Standalone)
        .map(|loaded| loaded.config.listen)
        .unwrap_or_default();
    front_door(&listen.host, listen.port)
}

/// Starts a grid on a free port for one command, and stops it after.
async fn in_own_grid(
    mut loaded: Loaded,
    command: &run::RunCommand,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    loaded.config.listen.port = 0;
    let grid = Grid::start(&loaded).await?;
    let endpoint = grid.endpoint();
    // The first session waits for the browser by itself.
    let code = run::exec(&endpoint, command, printer).await;
    grid.stop(std::future::ready(())).await;
    code
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
