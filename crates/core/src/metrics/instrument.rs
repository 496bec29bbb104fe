//! Counters, gauges and histograms: arrays of atomics, one cell for each series. Updating one is
//! an addition, without a lock or an allocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::label::LabelSet;
use super::metric::{Metric, Type};
use super::text::Text;

/// Something that measures and can be written down.
pub(super) trait Instrument {
    /// What Prometheus calls it.
    const TYPE: Type;
    /// The labels' names.
    const LABELS: &'static [&'static str];

    /// The values of the label at a place.
    fn values(place: usize) -> Vec<&'static str>;

    /// At zero.
    fn new(metric: &'static Metric) -> Self;

    /// Writes every series.
    fn render(&self, metric: &Metric, out: &mut Text);
}

fn cells(number: usize) -> Box<[AtomicU64]> {
    (0..number).map(|_| AtomicU64::new(0)).collect()
}

const NANOS: f64 = 1e9;

/// Nanoseconds of a duration; 584 years fit.
fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// Counts events.
#[derive(Debug)]
pub struct Counter<L> {
    cells: Box<[AtomicU64]>,
    labels: std::marker::PhantomData<fn(L)>,
}

impl<L: LabelSet> Counter<L> {
    /// One more.
    pub fn inc(&self, labels: L) {
        self.add(labels, 1);
    }

    /// So many more.
    pub fn add(&self, labels: L, events: u64) {
        self.cells[labels.index()].fetch_add(events, Relaxed);
    }

    /// How many so far.
    pub fn get(&self, labels: L) -> u64 {
        self.cells[labels.index()].load(Relaxed)
    }
}

impl<L: LabelSet> Instrument for Counter<L> {
    const TYPE: Type = Type::Counter;
    const LABELS: &'static [&'static str] = L::NAMES;

    fn values(place: usize) -> Vec<&'static str> {
        L::all_values(place)
    }

    fn new(_: &'static Metric) -> Self {
        Self { cells: cells(L::SERIES), labels: std::marker::PhantomData }
    }

    fn render(&self, metric: &Metric, out: &mut Text) {
        for (index, cell) in self.cells.iter().enumerate() {
            let count = cell.load(Relaxed);
            let labels = L::at(index).values();
            if count > 0 || metric.shown_at_zero(&labels) {
                out.sample(metric, "", &labels, count as f64);
            }
        }
    }
}

/// Counts time.
#[derive(Debug)]
pub struct Stopwatch<L> {
    cells: Box<[AtomicU64]>,
    labels: std::marker::PhantomData<fn(L)>,
}

impl<L: LabelSet> Stopwatch<L> {
    /// So much more.
    pub fn add(&self, labels: L, time: Duration) {
        self.cells[labels.index()].fetch_add(nanos(time), Relaxed);
    }

    /// How much so far.
    pub fn get(&self, labels: L) -> Duration {
        Duration::from_nanos(self.cells[labels.index()].load(Relaxed))
    }
}

impl<L: LabelSet> Instrument for Stopwatch<L> {
    const TYPE: Type = Type::Counter;
    const LABELS: &'static [&'static str] = L::NAMES;

    fn values(place: usize) -> Vec<&'static str> {
        L::all_values(place)
    }

    fn new(_: &'static Metric) -> Self {
        Self { cells: cells(L::SERIES), labels: std::marker::PhantomData }
    }

    fn render(&self, metric: &Metric, out: &mut Text) {
        for (index, cell) in self.cells.iter().enumerate() {
            let seconds = cell.load(Relaxed) as f64 / NANOS;
            out.sample(metric, "", &L::at(index).values(), seconds);
        }
    }
}

/// Says how many there are now.
#[derive(Debug)]
pub struct Gauge<L> {
    cells: Arc<[AtomicI64]>,
    labels: std::marker::PhantomData<fn(L)>,
}

impl<L: LabelSet> Gauge<L> {
    /// One more until the guard is dropped.
    pub fn enter(&self, labels: L) -> GaugeGuard {
        self.cells[labels.index()].fetch_add(1, Relaxed);
        GaugeGuard { cells: Arc::clone(&self.cells), index: labels.index() }
    }

    /// So many.
    pub fn set(&self, labels: L, number: i64) {
        self.cells[labels.index()].store(number, Relaxed);
    }

    /// How many.
    pub fn get(&self, labels: L) -> i64 {
        self.cells[labels.index()].load(Relaxed)
    }
}

impl<L: LabelSet> Instrument for Gauge<L> {
    const TYPE: Type = Type::Gauge;
    const LABELS: &'static [&'static str] = L::NAMES;

    fn values(place: usize) -> Vec<&'static str> {
        L::all_values(place)
    }

    fn new(_: &'static Metric) -> Self {
        Self {
            cells: (0..L::SERIES).map(|_| AtomicI64::new(0)).collect(),
            labels: std::marker::PhantomData,
        }
    }

    fn render(&self, metric: &Metric, out: &mut Text) {
        for (index, cell) in self.cells.iter().enumerate() {
            out.sample(metric, "", &L::at(index).values(), cell.load(Relaxed) as f64);
        }
    }
}

/// Counts in a gauge as long as it lives.
#[derive(Debug)]
#[must_use = "the gauge goes down again when this is dropped"]
pub struct GaugeGuard {
    cells: Arc<[AtomicI64]>,
    index: usize,
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.cells[self.index].fetch_sub(1, Relaxed);
    }
}

/// Sorts times into buckets.
#[derive(Debug)]
pub struct Histogram<L> {
    /// Upper bounds in nanoseconds, ascending.
    bounds: Box<[u64]>,
    /// For every series: its buckets, the one without bound, and the sum of nanoseconds.
    cells: Box<[AtomicU64]>,
    labels: std::marker::PhantomData<fn(L)>,
}

impl<L: LabelSet> Histogram<L> {
    /// One more event that took so long.
    pub fn observe(&self, labels: L, time: Duration) {
        let nanos = nanos(time);
        let row = self.row(labels.index());
        let bucket = self.bounds.partition_point(|bound| *bound < nanos);
        row[bucket].fetch_add(1, Relaxed);
        row[row.len() - 1].fetch_add(nanos, Relaxed);
    }

    /// How many events so far.
    pub fn count(&self, labels: L) -> u64 {
        self.row(labels.index())[..=self.bounds.len()].iter().map(|cell| cell.load(Relaxed)).sum()
    }

    /// How long they took together.
    pub fn sum(&self, labels: L) -> Duration {
        Duration::from_nanos(self.row(labels.index())[self.bounds.len() + 1].load(Relaxed))
    }

    fn row(&self, index: usize) -> &[AtomicU64] {
        let width = self.bounds.len() + 2;
        &self.cells[index * width..(index + 1) * width]
    }
}

impl<L: LabelSet> Instrument for Histogram<L> {
    const TYPE: Type = Type::Histogram;
    const LABELS: &'static [&'static str] = L::NAMES;

    fn values(place: usize) -> Vec<&'static str> {
        L::all_values(place)
    }

    fn new(metric: &'static Metric) -> Self {
        let bounds: Box<[u64]> =
            metric.buckets.iter().map(|seconds| (seconds * NANOS).round() as u64).collect();
        Self {
            cells: cells(L::SERIES * (bounds.len() + 2)),
            bounds,
            labels: std::marker::PhantomData,
        }
    }

    fn render(&self, metric: &Metric, out: &mut Text) {
        for index in 0..L::SERIES {
            let row: Vec<u64> = self.row(index).iter().map(|cell| cell.load(Relaxed)).collect();
            let labels = L::at(index).values();
            let (buckets, sum) = row.split_at(self.bounds.len() + 1);
            // The count is the sum of what was just read, so it agrees with the buckets.
            if buckets.iter().any(|n| *n > 0) || metric.shown_at_zero(&labels) {
                out.histogram(metric, &labels, buckets, sum[0] as f64 / NANOS);
            }
        }
    }
}
