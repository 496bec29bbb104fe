//! The picture of a section, as SVG that reads on a light and on a dark page: bars, and below them
//! curves.

use std::fmt::Write as _;

use serde::Serialize;

use super::curve::{self, Curve};
use super::number;

/// A group of bars that share a unit.
#[derive(Clone, Debug, Serialize)]
pub struct Chart {
    /// What they show.
    pub title: String,
    /// Their unit.
    pub unit: String,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// Whose it is.
    pub label: String,
    /// How long it is.
    pub value: f64,
    /// Whether it is this project's.
    pub ours: bool,
}

// === impl Bar ===

impl Bar {
    /// A bar of something that is compared with.
    pub fn new(label: impl Into<String>, value: f64) -> Self {
        Self { label: label.into(), value, ours: false }
    }

    /// A bar of this project.
    pub fn ours(label: impl Into<String>, value: f64) -> Self {
        Self { label: label.into(), value, ours: true }
    }
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 170.0;
const BAR: f64 = 18.0;
const GAP: f64 = 6.0;
const STYLE: &str = "<style>text{font:13px sans-serif;fill:#57606a}.t{font-weight:bold}\
    .o{fill:#2da44e}.b{fill:#8c959f}.s{font-size:11px}\
    .l{fill:none;stroke-width:2}.g{stroke:#8c959f;stroke-width:.5;opacity:.5}\
    .l0{stroke:#2da44e}.l1{stroke:#8250df}.l2{stroke:#8c959f}\
    .c0{fill:#2da44e}.c1{fill:#8250df}.c2{fill:#8c959f}\
    @media(prefers-color-scheme:dark){text{fill:#b1bac4}}</style>\n";

pub(super) fn draw(title: &str, charts: &[Chart], curves: &[Curve]) -> String {
    let mut body = String::new();
    let mut y = 24.0;
    for chart in charts {
        y = draw_chart(&mut body, chart, y);
    }
    y = curve::draw(&mut body, curves, y);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" role=\"img\" \
         aria-label=\"{}\">\n{STYLE}{body}</svg>\n",
        escape(title)
    )
}

fn draw_chart(out: &mut String, chart: &Chart, mut y: f64) -> f64 {
    let longest = chart.bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let _ = writeln!(out, "<text class=\"t\" x=\"8\" y=\"{y}\">{}</text>", escape(&chart.title));
    y += GAP + 4.0;
    for bar in &chart.bars {
        let length = (bar.value / longest * (WIDTH - LEFT - 110.0)).max(1.0);
        let class = if bar.ours { "o" } else { "b" };
        let (text_y, end) = (y + 13.5, LEFT + length + 6.0);
        let (label, value) = (escape(&bar.label), number(bar.value));
        let unit = escape(&chart.unit);
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{text_y}\" text-anchor=\"end\">{label}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>\
             <text x=\"{end:.1}\" y=\"{text_y}\">{value} {unit}</text>",
            LEFT - 8.0,
        );
        y += BAR + GAP;
    }
    y + 22.0
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
