//! Curves over a size that grows tenfold, drawn as SVG that reads on a light and on a dark page.

use std::fmt::Write as _;

use serde::Serialize;

use super::number;
use super::picture::escape;

/// What something costs, against a size.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// What it shows.
    pub title: String,
    /// The unit of what it costs.
    pub unit: String,
    /// What the size counts, such as `workers`.
    pub across: String,
    /// The lines.
    pub lines: Vec<Line>,
}

/// One line of a curve.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What it is.
    pub label: String,
    /// Sizes, and what was measured there.
    pub points: Vec<(f64, f64)>,
}

// === impl Line ===

impl Line {
    /// A line through these points, by size.
    pub fn new(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { label: label.into(), points: points.into_iter().collect() }
    }
}

/// The whole of one curve; two stand beside each other.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 230.0;
/// Around the area that is drawn on.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 40.0;
/// When values differ by more, the smaller ones would lie on the ground.
const TOO_WIDE: f64 = 30.0;

/// Draws them below `y`, and returns where they end.
pub(super) fn draw(out: &mut String, curves: &[Curve], y: f64) -> f64 {
    for (at, curve) in curves.iter().enumerate() {
        let (column, row) = ((at % 2) as f64, (at / 2) as f64);
        draw_one(out, curve, column * WIDTH, y + row * HEIGHT);
    }
    y + curves.len().div_ceil(2) as f64 * HEIGHT
}

fn draw_one(out: &mut String, curve: &Curve, x: f64, y: f64) {
    let (title, unit) = (escape(&curve.title), escape(&curve.unit));
    let _ = writeln!(
        out,
        "<text class=\"t\" x=\"{:.1}\" y=\"{:.1}\">{title} ({unit})</text>",
        x + 8.0,
        y + 12.0
    );
    let points = || curve.lines.iter().flat_map(|line| &line.points);
    let sizes = Scale::decades(points().map(|point| point.0));
    let values = Scale::of_values(points().map(|point| point.1));
    let place = |(size, value): (f64, f64)| {
        let across = x + LEFT + sizes.at(size) * (WIDTH - LEFT - RIGHT);
        (across, y + HEIGHT - BOTTOM - values.at(value) * (HEIGHT - TOP - BOTTOM))
    };
    for mark in values.marks() {
        let (from, at) = place((sizes.from, mark));
        let _ = writeln!(
            out,
            "<path class=\"g\" d=\"M{from:.1} {at:.1}H{:.1}\"/>\
             <text class=\"s\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x + WIDTH - RIGHT,
            from - 5.0,
            at + 4.0,
            number(mark)
        );
    }
    for mark in sizes.marks() {
        let (at, _) = place((mark, values.from));
        let text = y + HEIGHT - BOTTOM + 16.0;
        let _ = writeln!(
            out,
            "<text class=\"s\" x=\"{at:.1}\" y=\"{text:.1}\" text-anchor=\"middle\">{}</text>",
            number(mark)
        );
    }
    let _ = writeln!(
        out,
        "<text class=\"s\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        x + (LEFT + WIDTH - RIGHT) / 2.0,
        y + HEIGHT - 8.0,
        escape(&curve.across)
    );
    for (at, line) in curve.lines.iter().enumerate() {
        let places: Vec<_> = line.points.iter().map(|point| place(*point)).collect();
        draw_line(out, at, &places);
        let legend = x + LEFT + 100.0 * at as f64;
        let _ = writeln!(
            out,
            "<text class=\"s c{at}\" x=\"{legend:.1}\" y=\"{:.1}\">■ {}</text>",
            y + 30.0,
            escape(&line.label)
        );
    }
}

fn draw_line(out: &mut String, at: usize, places: &[(f64, f64)]) {
    let corners: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(out, "<polyline class=\"l l{at}\" points=\"{}\"/>", corners.join(" "));
    for (x, y) in places {
        let _ = writeln!(out, "<circle class=\"c{at}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
    }
}

/// From where to where, and whether each step is a sum or a factor.
#[derive(Debug)]
struct Scale {
    from: f64,
    to: f64,
    by_factor: bool,
}

// === impl Scale ===

impl Scale {
    /// Whole decades around the values.
    fn decades(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = ends(values);
        let from = 10_f64.powf(least.max(f64::MIN_POSITIVE).log10().floor());
        let to = 10_f64.powf(most.max(f64::MIN_POSITIVE).log10().ceil());
        Self { from, to: if to > from { to } else { from * 10.0 }, by_factor: true }
    }

    /// From nothing to a round number, or decades where the values are too far apart for that.
    fn of_values(values: impl Iterator<Item = f64> + Clone) -> Self {
        let (least, most) = ends(values.clone());
        if least > 0.0 && most / least > TOO_WIDE {
            return Self::decades(values);
        }
        let decade = 10_f64.powf(most.max(f64::MIN_POSITIVE).log10().floor());
        let round = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].map(|n| n * decade);
        let to = round.into_iter().find(|round| *round >= most).unwrap_or(most);
        Self { from: 0.0, to, by_factor: false }
    }

    /// Where a value lies, from 0 to 1.
    fn at(&self, value: f64) -> f64 {
        match self.by_factor {
            true => (value / self.from).log10() / (self.to / self.from).log10(),
            false => (value - self.from) / (self.to - self.from),
        }
    }

    fn marks(&self) -> Vec<f64> {
        if !self.by_factor {
            return (0..=4)
                .map(|n| self.from + (self.to - self.from) * f64::from(n) / 4.0)
                .collect();
        }
        let decades = (self.to / self.from).log10().round() as i32;
        (0..=decades).map(|n| self.from * 10_f64.powi(n)).collect()
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(least, most), value| (least.min(value), most.max(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stand_at_equal_distances_when_they_grow_tenfold() {
        let scale = Scale::decades([10.0, 10_000.0].into_iter());
        assert_eq!(scale.marks(), [10.0, 100.0, 1000.0, 10_000.0]);
        assert!((scale.at(100.0) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn values_stand_on_the_ground_unless_the_small_ones_would_vanish_there() {
        let near = Scale::of_values([3.0, 35.0].into_iter());
        assert_eq!((near.from, near.to, near.by_factor), (0.0, 40.0, false));
        let far = Scale::of_values([0.5, 350.0].into_iter());
        assert_eq!((far.from, far.to, far.by_factor), (0.1, 1000.0, true));
    }

    #[test]
    fn every_point_of_every_line_is_drawn() {
        let line = |label: &str| Line::new(label, [(10.0, 1.0), (100.0, 2.0), (1000.0, 1.5)]);
        let curve = Curve {
            title: "cost".into(),
            unit: "ms".into(),
            across: "workers".into(),
            lines: vec![line("p50"), line("<p99>")],
        };
        let mut out = String::new();
        let end = draw(&mut out, &[curve.clone(), curve.clone(), curve], 10.0);
        assert!((end - (10.0 + 2.0 * HEIGHT)).abs() < 1e-9);
        assert_eq!((out.matches("<circle").count(), out.matches("<polyline").count()), (18, 6));
        assert!(out.contains("&lt;p99&gt;") && !out.contains("NaN"), "{out}");
    }
}
