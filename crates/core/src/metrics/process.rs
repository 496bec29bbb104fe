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
    metric(
        Type::Counter,
        "process_cpu_seconds_total",
        "Processor time used.",
    ),
    metric(Type::Gauge, "process_resident_memory_bytes", "Memory held."),
    metric(Type::Gauge, "process_open_fds", "Files and sockets open."),
    metric(
        Type::Gauge,
        "process_max_fds",
        "Files and sockets that may be open.",
    ),
    metric(
        Type::Gauge,
        "process_start_time_seconds",
        "When the process started, since 1970.",
    ),
];

impl Process {
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
