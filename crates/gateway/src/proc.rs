//! This process's own figures, from Linux's files (proc(5)).

use std::fs;

use flotilla_core::metrics::{ProcFiles, Process};

/// The figures as they are now; `None` where there is no such `/proc`.
pub fn figures() -> Option<Process> {
    let read = |path| fs::read_to_string(path).ok();
    Process::from_proc(&ProcFiles {
        stat: &read("/proc/self/stat")?,
        limits: &read("/proc/self/limits")?,
        system_stat: &read("/proc/stat")?,
        open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        page_size: rustix::param::page_size() as u64,
    })
}
