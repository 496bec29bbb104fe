//! Processor time and memory of other processes.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::procs;

/// Raises the soft limit of open files to the hard one.
///
/// # Errors
/// When the kernel refuses.
pub fn allow_many_files() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// How many processes wanted to run lately, on average: more than a little means that others disturb.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

/// How many sessions fit, each with two descriptors in a proxy.
pub fn sessions_that_fit(wanted: usize) -> usize {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    wanted.min(usize::try_from(files.saturating_sub(500) / 2).unwrap_or(usize::MAX))
}

/// The processor time that a process and its children have used so far.
pub fn cpu(pid: u32) -> Duration {
    let nanos: u64 = procs::tree(pid).iter().map(|process| cpu_of(process.pid)).sum();
    Duration::from_nanos(nanos)
}

/// The ticks that a process and its children have spent outside the kernel and within it.
pub fn user_and_kernel(pid: u32) -> (f64, f64) {
    let ticks = procs::tree(pid).into_iter().filter_map(|process| {
        let text = fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
        // The fields are counted from behind the name, which may hold blanks.
        let mut fields = text.rsplit_once(") ")?.1.split(' ').skip(11);
        Some((fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?))
    });
    ticks.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// To the nanosecond, where the ordinary figures know ticks of 10 ms only.
fn cpu_of(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let used = |path| fs::read_to_string(path).ok()?.split(' ').next()?.parse::<u64>().ok();
    tasks.filter_map(|task| used(task.path().join("schedstat"))).sum::<u64>()
}

/// Bytes of memory that a process and its children have to themselves.
///
/// # Errors
/// When one of them has ended.
pub fn memory(pid: u32) -> Result<u64> {
    procs::tree(pid).iter().map(|process| private_memory(process.pid)).sum()
}

fn private_memory(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let pss = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = pss.and_then(|rest| rest.trim().strip_suffix(" kB"));
    let kib: u64 = kib.context("smaps_rollup has the line Pss")?.trim().parse()?;
    Ok(kib * 1024)
}
