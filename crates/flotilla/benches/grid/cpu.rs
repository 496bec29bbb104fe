//! The processor time of whole process trees.

use std::fs;
use std::time::Duration;

use flotilla_testkit::procs;

/// How long a process may take to end.
pub(crate) const GONE: Duration = Duration::from_secs(10);

/// Seconds that `root` and everything below it have used, children included that have ended and
/// were waited for: the time of a renderer that is gone is with its parent.
pub(crate) fn seconds(root: u32) -> f64 {
    let ticks: u64 = procs::tree(root).iter().filter_map(|process| ticks(process.pid)).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// utime, stime, cutime and cstime: fields 14 to 17 of proc_pid_stat(5).
fn ticks(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_the_name) = text.rsplit_once(") ")?;
    let fields = after_the_name.split(' ').skip(11).take(4);
    fields.map(|field| field.parse::<u64>().ok()).sum()
}
