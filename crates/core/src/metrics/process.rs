//! The process itself, in the words that every Prometheus client uses.

use super::metric::{Metric, Type};
use super::text::Text;

/// What the system says about this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// Processor time used, in seconds.
    pub cpu_seconds: f64,
    /// Memory held, in bytes.
    pub resident_bytes: u64,
    /// Files and sockets open.
    pub open_fds: u64,
    /// Files and sockets that may be open.
    pub max_fds: u64,
    /// When it started, in seconds since 1970.
    pub started_at: f64,
}

const fn metric(kind: Type, name: &'static str, help: &'static str) -> Metric {
    Metric::computed(kind, name, &[], help).in_group("Process")
}

/// In the order of `Process`'s fields.
pub(super) const METRICS: &[Metric] = &[
    metric(Type::Counter, "process_cpu_seconds_total", "Processor time used."),
    metric(Type::Gauge, "process_resident_memory_bytes", "Memory held."),
    metric(Type::Gauge, "process_open_fds", "Files and sockets open."),
    metric(Type::Gauge, "process_max_fds", "Files and sockets that may be open."),
    metric(Type::Gauge, "process_start_time_seconds", "When the process started, since 1970."),
];

/// Linux counts a process's time in ticks of 10 ms towards programs, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// What Linux says in files, as their texts: the caller reads them.
#[derive(Clone, Copy, Debug)]
pub struct ProcFiles<'a> {
    /// `/proc/self/stat`.
    pub stat: &'a str,
    /// `/proc/self/limits`.
    pub limits: &'a str,
    /// `/proc/stat`, for the time of the system's start.
    pub system_stat: &'a str,
    /// How many entries `/proc/self/fd` has.
    pub open_fds: u64,
    /// The size of a page of memory.
    pub page_size: u64,
}

impl Process {
    /// Reads Linux's files; `None` where they are not as expected.
    pub fn from_proc(files: &ProcFiles<'_>) -> Option<Self> {
        // The program's name comes in brackets and may itself have spaces and brackets.
        let (_, after_name) = files.stat.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // proc(5) counts from 1, and two fields are before the bracket's end.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let boot = files.system_stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        let max = files.limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) as f64 / TICKS_PER_SECOND,
            resident_bytes: field(24)? * files.page_size,
            open_fds: files.open_fds,
            // Not a number where it is unlimited.
            max_fds: max.split_whitespace().next()?.parse().unwrap_or(u64::MAX),
            started_at: boot.trim().parse::<f64>().ok()? + field(22)? as f64 / TICKS_PER_SECOND,
        })
    }

    pub(super) fn render(&self, out: &mut Text) {
        let values = [
            self.cpu_seconds,
            self.resident_bytes as f64,
            self.open_fds as f64,
            self.max_fds as f64,
            self.started_at,
        ];
        for (metric, value) in METRICS.iter().zip(values) {
            out.head(metric);
            out.sample(metric, "", &[], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_files_are_read_whatever_the_program_is_called() {
        let stat = "42 (odd) name (x)) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 5 0 12345 \
                    1000000 256 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0";
        let files = ProcFiles {
            stat,
            limits: "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024  4096  files\n",
            system_stat: "cpu 1 2 3\nbtime 1700000000\n",
            open_fds: 12,
            page_size: 4096,
        };
        let process = Process::from_proc(&files).unwrap();
        let expected = Process {
            cpu_seconds: 2.0,
            resident_bytes: 256 * 4096,
            open_fds: 12,
            max_fds: 1024,
            started_at: 1_700_000_123.45,
        };
        assert_eq!(process, expected);
        assert_eq!(Process::from_proc(&ProcFiles { stat: "", ..files }), None);
        assert_eq!(Process::from_proc(&ProcFiles { stat: "1 (a) S 1", ..files }), None);
    }
}
