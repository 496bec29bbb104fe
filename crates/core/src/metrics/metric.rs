//! One row of the table of metrics.

use super::instrument::Instrument;

/// What Prometheus calls a kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times in buckets.
    Histogram,
}

impl Type {
    /// The word in the text format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What is known about a metric: the text format and the documentation come from here.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The heading under which it is listed.
    pub group: &'static str,
    /// The name.
    pub name: &'static str,
    /// The kind.
    pub kind: Type,
    /// The labels' names.
    pub labels: &'static [&'static str],
    /// The values of the label at a place; none where they depend on what is installed.
    pub values: fn(usize) -> Vec<&'static str>,
    /// Upper bounds in seconds, for histograms.
    pub buckets: &'static [f64],
    /// The series that are shown before anything was counted, by a label's value; all when empty.
    expected: &'static [&'static str],
    help: &'static str,
}

impl Metric {
    pub(super) const fn of<I: Instrument>(
        group: &'static str,
        name: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            group,
            name,
            kind: I::TYPE,
            labels: I::LABELS,
            values: I::values,
            buckets: &[],
            expected: &[],
            help,
        }
    }

    /// A metric that is computed when it is asked for.
    pub(super) const fn computed(
        kind: Type,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            group: "",
            name,
            kind,
            labels,
            values: |_| Vec::new(),
            buckets: &[],
            expected: &[],
            help,
        }
    }

    pub(super) const fn in_group(mut self, group: &'static str) -> Self {
        self.group = group;
        self
    }

    pub(super) const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.buckets = bounds;
        self
    }

    /// Of the many series that are possible, those in which every label has one of these values
    /// are shown at zero, the others once something was counted.
    pub(super) const fn expecting(mut self, values: &'static [&'static str]) -> Self {
        self.expected = values;
        self
    }

    pub(super) fn shown_at_zero(&self, labels: &[&str]) -> bool {
        self.expected.is_empty() || labels.iter().all(|value| self.expected.contains(value))
    }

    /// What it says, one line.
    pub fn help(&self) -> String {
        self.help.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    /// The unit, which its name says.
    pub fn unit(&self) -> &'static str {
        let name = self.name.trim_end_matches("_total");
        if name.ends_with("_seconds") {
            "seconds"
        } else if name.ends_with("_bytes") {
            "bytes"
        } else {
            ""
        }
    }
}

/// Declares a group of metrics: the struct that is written to, and its rows of the table.
macro_rules! metrics {
    (
        $(#[doc = $about:literal])+
        $name:ident, $title:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $instrument:ty = $metric:literal
                    $(, $modifier:ident $argument:expr)*;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug)]
        pub struct $name { $($(#[doc = $doc])+ pub $field: $instrument,)+ }

        impl $name {
            pub(super) const METRICS: &'static [$crate::metrics::Metric] = &[
                $(
                    $crate::metrics::Metric::of::<$instrument>(
                        $title, $metric, concat!($($doc, "\n"),+),
                    )
                    $(.$modifier($argument))*,
                )+
            ];

            pub(super) fn new() -> Self {
                use $crate::metrics::instrument::Instrument;
                let mut rows = Self::METRICS.iter();
                // The macro writes one row for every field, so the rows cannot run out.
                Self {
                    $($field: <$instrument>::new(rows.next().expect("a row for every field")),)+
                }
            }

            pub(super) fn render(&self, out: &mut $crate::metrics::text::Text) {
                use $crate::metrics::instrument::Instrument;
                let mut rows = Self::METRICS.iter();
                $(
                    let row = rows.next().expect("a row for every field");
                    out.head(row);
                    self.$field.render(row, out);
                )+
            }
        }
    };
}

pub(super) use metrics;
