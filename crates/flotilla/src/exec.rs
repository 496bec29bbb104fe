//! `flotilla __exec --parent PID -- PROGRAM ARGS…`: becomes a program that the kernel kills when
//! its parent dies, however the parent dies.
//!
//! The parent-death signal belongs to a process and survives `exec`, so it is asked for here, in
//! the new process, and needs no code between `fork` and `exec`. It is sent when the *thread* that
//! forked ends: whoever starts this does so on a thread that stays.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// The hidden command's name.
const NAME: &str = "__exec";

/// What a shell answers for a program that cannot be run.
const CANNOT_RUN: u8 = 126;

/// Handles the hidden command, and returns `None` for every other command line. To be asked before
/// anything else in `main`: this path starts no runtime, no logging and no argument parser.
pub fn run_if_asked(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != NAME {
        return None;
    }
    // Only a failure comes back: a success has become the program.
    let error = match parse(args) {
        Some((parent, program, words)) => become_program(parent, &program, words),
        None => io::Error::other("usage: flotilla __exec --parent PID -- PROGRAM [ARGUMENT…]"),
    };
    complain(&error);
    Some(ExitCode::from(CANNOT_RUN))
}

fn parse(mut args: impl Iterator<Item = OsString>) -> Option<(Pid, OsString, Vec<OsString>)> {
    let flag = args.next()? == "--parent";
    let parent = args.next()?.to_str()?.parse().ok().and_then(Pid::from_raw)?;
    let dashes = args.next()? == "--";
    let program = args.next()?;
    (flag && dashes).then(|| (parent, program, args.collect()))
}

fn become_program(parent: Pid, program: &OsString, words: Vec<OsString>) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // It may have died before the kernel was asked.
    if getppid() != Some(parent) {
        return io::Error::other(format!("process {parent} is not the parent any more"));
    }
    let error = Command::new(program).args(words).exec();
    io::Error::new(error.kind(), format!("{}: {error}", program.display()))
}

/// Straight to the pipe of whoever started this: there is no printer and no log here.
fn complain(error: &io::Error) {
    use std::io::Write;
    // Nobody reads a closed pipe.
    let _ = writeln!(io::stderr(), "flotilla __exec: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn other_command_lines_are_not_its_business() {
        for line in ["flotilla", "flotilla up", "flotilla up __exec"] {
            assert!(run_if_asked(words(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn the_program_and_its_arguments_are_taken_as_they_are() {
        let line = words("--parent 7 -- /bin/x --parent 8 -- y");
        let (parent, program, args) = parse(line.into_iter()).unwrap();
        assert_eq!(parent, Pid::from_raw(7).unwrap());
        assert_eq!(program, "/bin/x");
        assert_eq!(args, words("--parent 8 -- y"));
    }

    #[test]
    fn an_incomplete_command_line_runs_nothing() {
        for line in
            ["--parent 7", "--parent x -- /bin/true", "--parent 7 /bin/true", "--parent 7 --"]
        {
            assert!(parse(words(line).into_iter()).is_none(), "{line}");
        }
    }

    #[test]
    fn a_program_whose_parent_is_gone_is_not_started() {
        let stranger = Pid::from_raw(i32::MAX).unwrap();
        let error = become_program(stranger, &"/bin/true".into(), Vec::new());
        assert!(error.to_string().contains("not the parent any more"), "{error}");
        // The tests' own process must not keep what was asked for.
        set_parent_process_death_signal(None).unwrap();
    }
}
