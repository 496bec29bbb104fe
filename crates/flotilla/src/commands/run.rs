//! `flotilla run`: a test command whose browsers are a grid's.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use anyhow::Context;
use rustix::process::{Pid, Signal, getpgrp, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::named;
use crate::printer::Printer;
use crate::probe::{Endpoint, InvalidEndpoint};

/// What shells answer for a command that they cannot find, and for one that they may not start.
const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;
/// What `env` and `timeout` answer when it is they who fail, and not the command.
const OUR_OWN_FAILURE: u8 = 125;

/// Run a command whose Playwright tests use a grid's browsers
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The command finds the grid in PW_TEST_CONNECT_WS_ENDPOINT, which @playwright/test reads by itself,
and in FLOTILLA_ENDPOINT, for programs that call connect(). SIGINT and SIGTERM go on to it.

Exit codes: the command's own; 128 + N if signal N ended it; 127 if it cannot be found, 126 if
it cannot be started; 125 if the endpoint is not an address.

Examples:
  flotilla run -- npx playwright test
  flotilla run --endpoint ws://grid:8080 -- npx playwright test --workers 5")]
pub struct RunCommand {
    /// The grid to use [default: one that is started for the command]
    #[arg(long, value_name = "URL", env = "FLOTILLA_ENDPOINT", hide_env_values = true)]
    pub endpoint: Option<String>,
    /// Let the grid's browsers reach addresses that this machine can, such as `*` or `<loopback>`
    #[arg(long, value_name = "PATTERN")]
    pub expose_network: Option<String>,
    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    pub command: Vec<OsString>,
}

impl RunCommand {
    /// The grid to use, if one is named.
    pub fn endpoint(&self) -> Option<&str> {
        named(&self.endpoint)
    }
}

/// Runs the command with the grid at `endpoint`, and gives its exit code.
///
/// Stdin, stdout and stderr are the command's. It does not outlive this future.
pub async fn exec(endpoint: &str, run: &RunCommand, printer: Printer) -> anyhow::Result<ExitCode> {
    if let Err(error) = is_address(endpoint) {
        printer.error(error, None);
        return Ok(ExitCode::from(OUR_OWN_FAILURE));
    }
    let (program, arguments) = run.command.split_first().context("no command was given")?;
    // Before the command starts: from then on a signal is meant for it.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("PW_TEST_CONNECT_WS_ENDPOINT", endpoint)
        .env("FLOTILLA_ENDPOINT", endpoint)
        .kill_on_drop(true);
    if let Some(pattern) = &run.expose_network {
        command.env("PW_TEST_CONNECT_EXPOSE_NETWORK", pattern);
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(not_started(program, &error, printer)),
    };
    attend(child, async || {
        loop {
            tokio::select! {
                _ = interrupt.recv() => if !has_the_terminal() { return Signal::INT },
                _ = terminate.recv() => return Signal::TERM,
            }
        }
    })
    .await
}

/// Playwright would tell of a wrong address only when the first test connects. It can do TLS.
fn is_address(endpoint: &str) -> Result<(), InvalidEndpoint> {
    match endpoint.parse::<Endpoint>() {
        Ok(_) | Err(InvalidEndpoint::Tls) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits for the end of `child`, and passes on every signal that comes meanwhile.
async fn attend(
    mut child: Child,
    mut next_signal: impl AsyncFnMut() -> Signal,
) -> anyhow::Result<ExitCode> {
    loop {
        tokio::select! {
            ended = child.wait() => return Ok(code(ended.context("the command was lost")?)),
            signal = next_signal() => forward(&child, signal),
        }
    }
}

fn not_started(program: &OsString, error: &std::io::Error, printer: Printer) -> ExitCode {
    let name = program.to_string_lossy();
    if error.kind() == std::io::ErrorKind::NotFound {
        let hint = "is it installed, and in a folder of PATH? Write it as in a shell: CMD ARGS…";
        printer.error(format!("{name}: no such command"), Some(hint));
        return ExitCode::from(NOT_FOUND);
    }
    printer.error(format!("{name} cannot be started: {error}"), None);
    ExitCode::from(NOT_STARTED)
}

/// Whether the terminal's Ctrl-C reaches the command without our help. A second SIGINT would
/// make Playwright give up its orderly end.
fn has_the_terminal() -> bool {
    File::open("/dev/tty")
        .ok()
        .and_then(|tty| rustix::termios::tcgetpgrp(tty).ok())
        .is_some_and(|foreground| foreground == getpgrp())
}

fn forward(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It may have ended by itself: then its exit code is on its way.
        let _ = kill_process(pid, signal);
    }
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::io::AsyncReadExt;

    use super::*;

    fn shell(script: &str) -> RunCommand {
        RunCommand {
            endpoint: None,
            expose_network: Some("<loopback>".into()),
            command: ["/bin/sh", "-c", script].map(OsString::from).to_vec(),
        }
    }

    async fn run(run: &RunCommand) -> ExitCode {
        exec("ws://grid:1", run, Printer::plain()).await.unwrap()
    }

    #[tokio::test]
    async fn the_command_finds_the_grid_in_its_environment() {
        let script = r#"[ "$PW_TEST_CONNECT_WS_ENDPOINT $FLOTILLA_ENDPOINT" = \
            "ws://grid:1 ws://grid:1" ] && [ "$PW_TEST_CONNECT_EXPOSE_NETWORK" = "<loopback>" ]"#;
        assert_eq!(run(&shell(script)).await, ExitCode::SUCCESS);
    }

    #[tokio::test]
    async fn the_exit_code_is_the_commands() {
        assert_eq!(run(&shell("exit 42")).await, ExitCode::from(42));
        assert_eq!(run(&shell("kill -KILL $$")).await, ExitCode::from(137));
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_127() {
        let mut missing = shell("");
        missing.command = vec!["/nowhere/at-all".into()];
        assert_eq!(run(&missing).await, ExitCode::from(NOT_FOUND));
        missing.command = vec!["/etc".into()];
        assert_eq!(run(&missing).await, ExitCode::from(NOT_STARTED));
    }

    #[tokio::test]
    async fn a_grid_that_cannot_be_is_said_before_the_command_runs() {
        for (endpoint, code) in [("nonsense", 125), ("wss://grid", 0), ("http://grid:1", 0)] {
            let ended = exec(endpoint, &shell("exit 0"), Printer::plain()).await;
            assert_eq!(ended.unwrap(), ExitCode::from(code), "{endpoint}");
        }
    }

    #[tokio::test]
    async fn a_signal_goes_on_to_the_command() {
        let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        // Not before the command has set its trap.
        let mut once = Some(async move { output.read_exact(&mut [0; 6]).await });
        let signals = async || {
            match once.take() {
                Some(ready) => drop(ready.await.unwrap()),
                None => std::future::pending().await,
            }
            Signal::TERM
        };
        assert_eq!(attend(child, signals).await.unwrap(), ExitCode::from(7));
    }
}
