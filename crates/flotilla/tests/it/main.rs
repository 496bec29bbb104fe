//! The grid as its users meet it: the real binary, real browsers, real Playwright clients.
//!
//! One binary for all topics, so that it is linked once. Every test starts a grid of its own on a
//! free port and ends with `stop_and_check`: no slot in use, no process and no file left.
//! `scripts/setup-tests.sh` prepares what they need; without it they fail and say so.

#![expect(clippy::unwrap_used, reason = "all of it is tests, the helpers too")]

mod always_connected;
mod browsers;
mod clients;
mod direct;
mod faults;
mod fleet;
mod handover;
mod handshakes;
mod hosts;
mod isolation;
mod launch;
mod network;
mod operate;
mod operate_fleet;
mod operator;
mod payload;
mod probe;
mod promises;
mod queue;
mod refusals;
mod replacement;
mod rolling;
mod rooms;
mod scale;
mod stopping;

use std::process::{Command, Output};
use std::time::Duration;

use flotilla_testkit::grid::{Grid, GridBuilder};

/// How long something may take that takes no time on an idle machine.
const SOON: Duration = Duration::from_secs(20);

/// The versions that the test bed has, oldest first.
const VERSIONS: [&str; 3] = ["1.62.1", "1.64.1", "1.65.1"];
const NEWEST: &str = "1.65.1";

/// The newest version with which the system's Firefox works.
const WITH_FIREFOX: &str = "1.64.1";

/// A grid of the binary under test.
fn grid() -> GridBuilder {
    Grid::of(env!("CARGO_BIN_EXE_flotilla"))
}

/// The command line of the binary under test.
fn flotilla(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla"));
    command.args(args).env("FLOTILLA_DATA", flotilla_testkit::bed::data());
    command
}

/// What it printed, stdout and stderr, for messages and for looking.
fn words(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// JavaScript: the process id of the browser that `b` is, told by Chromium itself.
const PID_OF_B: &str = "
    const cdp = await b.newBrowserCDPSession();
    const { processInfo } = await cdp.send('SystemInfo.getProcessInfo');
    await cdp.detach();
    return processInfo.find(process => process.type === 'browser').id;";

/// JavaScript that connects as `s[name]`, opens a page, and returns the browser's process id.
fn connect_as(name: &str, rest: &str) -> String {
    format!(
        "const b = s['{name}'] = await chromium.connect(endpoint + '{rest}');
         s['{name}_page'] = await b.newPage();
         {PID_OF_B}"
    )
}
