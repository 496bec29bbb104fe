//! How a role ends, and whether it leaves anything behind.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use super::{Role, SETTLED};
use crate::procs::{self, Proc};
use crate::wait::{wait_equal, wait_until};

/// The promise: however it ends, no process of its is left after this.
pub const ORPHANS_GONE: Duration = Duration::from_secs(2);

impl Role {
    /// Its process and everything below it.
    pub fn processes(&self) -> BTreeSet<Proc> {
        let mut all = procs::tree(self.pid());
        all.extend(procs::mentioning(&self.mark()));
        all
    }

    /// The processes of its drivers: Node with the host program.
    pub fn drivers(&self) -> Vec<u32> {
        procs::tree(self.pid())
            .into_iter()
            .filter(|p| p.pid != self.pid() && command_line(p.pid).contains("host.mjs"))
            .map(|p| p.pid)
            .collect()
    }

    /// What every process of it has in its command line or environment.
    fn mark(&self) -> String {
        // With the slash: one folder's name may be the beginning of another's.
        format!("{}/", self.folder.path().display())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Tells it to end in order (SIGTERM): it drains.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// `kill -9`, and waits for its end.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within `ceiling`.
    pub fn wait_exit(&mut self, ceiling: Duration) -> ExitStatus {
        self.process.wait_exit(ceiling)
    }

    /// Kills it with `kill -9`, and checks that nothing of it is left two seconds later.
    ///
    /// # Panics
    /// When something is.
    pub fn kill_and_check(mut self) {
        let all = self.processes();
        assert!(all.len() > 2, "what has browsers has processes: {all:?}");
        self.kill9();
        self.check_nothing_left(&all);
    }

    /// Ends a test: every slot is free again, SIGTERM ends it with success, and no process and no
    /// file of it is left.
    ///
    /// # Panics
    /// When one of these does not hold.
    pub fn stop_and_check(mut self) {
        self.wait_used(0, SETTLED);
        self.wait_queued(0, SETTLED);
        let all = self.processes();
        self.terminate();
        let status = self.wait_exit(SETTLED);
        assert!(status.success(), "it ended with {status}:\n{}", self.log());
        self.check_nothing_left(&all);
        self.check_no_files_left();
    }

    /// Checks that of these processes, and of any that carry its mark, none runs any more.
    pub fn check_nothing_left(&self, all: &BTreeSet<Proc>) {
        let left = || -> BTreeSet<Proc> {
            let known = all.iter().filter(|p| p.is_alive()).cloned();
            known.chain(procs::mentioning(&self.mark())).collect()
        };
        wait_equal("the processes that it left", ORPHANS_GONE, &BTreeSet::new(), left);
    }

    fn check_no_files_left(&self) {
        let left = || -> Vec<PathBuf> {
            std::fs::read_dir(self.folder.join("run"))
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_dir())
                .collect()
        };
        wait_equal("what it left on disk", SETTLED, &Vec::new(), left);
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the test runner shows it on failure")]
            {
                eprintln!(
                    "--- the log of flotilla {} ({}) ---\n{}",
                    self.role,
                    self.ready,
                    self.log()
                );
            }
            return;
        }
        let mark = self.mark();
        wait_until("its processes to go", SETTLED, || procs::mentioning(&mark).is_empty());
    }
}

fn command_line(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}
