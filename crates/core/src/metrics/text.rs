//! Prometheus's text format, version 0.0.4.

use std::fmt::Write;

use super::metric::Metric;

/// A page of metrics as it is written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// The two lines above a metric's samples.
    pub(super) fn head(&mut self, metric: &Metric) {
        let help = metric.help().replace('\\', "\\\\").replace('\n', "\\n");
        let (name, kind) = (metric.name, metric.kind.as_str());
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    /// One sample.
    pub(super) fn sample(&mut self, metric: &Metric, suffix: &str, values: &[&str], number: f64) {
        let labels = labels(metric, values);
        self.line(format_args!("{}{suffix}{} {number}", metric.name, braced(&labels)));
    }

    /// The samples of one histogram's series.
    pub(super) fn histogram(&mut self, metric: &Metric, values: &[&str], counts: &[u64], sum: f64) {
        let labels = labels(metric, values);
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = metric.buckets.iter().map(ToString::to_string);
        let mut total = 0;
        for (count, bound) in counts.iter().zip(bounds.chain(["+Inf".to_owned()])) {
            total += count;
            self.line(format_args!(
                "{}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}",
                metric.name
            ));
        }
        self.sample(metric, "_sum", values, sum);
        self.sample(metric, "_count", values, total as f64);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}

fn labels(metric: &Metric, values: &[&str]) -> String {
    debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
    let pairs = metric.labels.iter().zip(values);
    pairs.map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect::<Vec<_>>().join(",")
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
