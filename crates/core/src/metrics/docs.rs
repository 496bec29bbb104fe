//! The reference page, from the table.

use std::fmt::Write;

use super::metric::Metric;
use super::{Type, metrics};

const HEAD: &str = "\
# Metrics

`GET /metrics` answers in Prometheus's text format, and with the guide's JSON
(`{\"activeConnections\":12}`) to `Accept: application/json`.

- Times are in seconds, memory and traffic in bytes. Names of counters end in `_total`.
- Labels have few values, all of them known beforehand. No session, path or key is ever a label.
- Counters are there from the start, at 0, so `rate` and `absent` work from the first scrape. Where
  a combination of labels hardly ever occurs, its series appears with its first event.
- A WebSocket handshake counts in `http_requests_total` by its answer (101 is success), and never in
  `http_request_duration_seconds`: a session's length is no request's duration.
- Slots without a session belong to no browser. They have the labels `browser=\"any\"` and
  `version=\"any\"`, so that `sum(flotilla_slots)` is the number of slots.
";

/// The reference page, in Markdown.
pub fn markdown() -> String {
    let mut groups: Vec<&str> = Vec::new();
    for metric in metrics() {
        if !groups.contains(&metric.group) {
            groups.push(metric.group);
        }
    }
    let mut page = HEAD.to_owned();
    for group in groups {
        let _ = write!(
            page,
            "\n## {group}\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n"
        );
        for metric in metrics().filter(|metric| metric.group == group) {
            page.push_str(&row(metric));
        }
    }
    page
}

fn row(metric: &Metric) -> String {
    let labels: Vec<_> = metric
        .labels
        .iter()
        .enumerate()
        .map(|(place, label)| match (metric.values)(place).as_slice() {
            [] => format!("`{label}`"),
            values => format!("`{label}`: {}", values.join(", ")),
        })
        .collect();
    let labels = if labels.is_empty() { "–".to_owned() } else { labels.join("<br>") };
    let buckets: Vec<_> = metric.buckets.iter().map(ToString::to_string).collect();
    let buckets = match metric.kind {
        Type::Histogram => format!(" Buckets: {}.", buckets.join(", ")),
        _ => String::new(),
    };
    let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help());
    format!("| `{name}` | {kind} | {labels} | {help}{buckets} |\n")
}
