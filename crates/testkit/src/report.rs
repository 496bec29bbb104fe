//! What a benchmark writes: its section of `docs/performance.md`, the figures as JSON, and a picture.

mod curve;
mod machine;
mod picture;
mod samples;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Serialize;

pub use curve::{Curve, Line};
pub use machine::{Machine, version_of};
pub use picture::{Bar, Chart};
pub use samples::Samples;

/// A benchmark's part of the page.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Names its files and finds its place on the page: lower case, no blanks.
    pub id: String,
    /// Its headline.
    pub title: String,
    /// What was measured, and how.
    pub intro: String,
    /// Where it was measured.
    pub machine: Machine,
    /// The figures.
    pub rows: Vec<Row>,
    /// What one should know to read them; why an aim is missed.
    pub notes: Vec<String>,
    /// The picture beside; none when there are neither bars nor curves.
    pub charts: Vec<Chart>,
    /// What changes with a size; below the bars.
    pub curves: Vec<Curve>,
}

/// One figure, and what it should be.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The figures behind it, in words: "ours 41 µs, HAProxy 55 µs".
    pub figures: String,
    /// The number that is judged; often a ratio.
    pub measured: f64,
    /// Its unit; empty for a ratio.
    pub unit: String,
    /// What it should be.
    pub aim: Option<Aim>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

// === impl Aim ===

impl Aim {
    /// Whether a figure is as it should be.
    pub fn is_met_by(self, measured: f64) -> bool {
        match self {
            Self::AtMost(most) => measured <= most,
            Self::AtLeast(least) => measured >= least,
        }
    }
}

// === impl Row ===

impl Row {
    /// Whether the aim is met; a figure without an aim cannot miss it.
    pub fn is_met(&self) -> bool {
        self.aim.is_none_or(|aim| aim.is_met_by(self.measured))
    }

    fn to_markdown(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let (aim, verdict) = match self.aim {
            None => ("–".to_owned(), "–"),
            Some(Aim::AtMost(most)) => (format!("≤ {}{unit}", number(most)), self.verdict()),
            Some(Aim::AtLeast(least)) => (format!("≥ {}{unit}", number(least)), self.verdict()),
        };
        let measured = number(self.measured);
        format!("| {} | {} | {measured}{unit} | {aim} | {verdict} |\n", self.what, self.figures)
    }

    fn verdict(&self) -> &'static str {
        if self.is_met() { "met" } else { "**missed**" }
    }
}

// === impl Section ===

impl Section {
    /// Writes the section into the project's `docs`. Other sections stay as they are.
    pub fn write(&self) -> io::Result<()> {
        self.write_below(&docs())
    }

    fn write_below(&self, docs: &Path) -> io::Result<()> {
        let folder = docs.join("performance");
        fs::create_dir_all(&folder)?;
        let json = serde_json::to_string_pretty(self)?;
        fs::write(folder.join(format!("{}.json", self.id)), json + "\n")?;
        if self.has_picture() {
            let svg = picture::draw(&self.title, &self.charts, &self.curves);
            fs::write(folder.join(format!("{}.svg", self.id)), svg)?;
        }
        let page = docs.join("performance.md");
        let old = match fs::read_to_string(&page) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => HEAD.to_owned(),
            other => other?,
        };
        fs::write(page, self.placed_in(&old))
    }

    fn has_picture(&self) -> bool {
        !self.charts.is_empty() || !self.curves.is_empty()
    }

    /// The page with this section in its place, or at the end.
    fn placed_in(&self, page: &str) -> String {
        let (start, end) = (format!("<!-- {} -->\n", self.id), format!("<!-- /{} -->\n", self.id));
        let section = format!("{start}{}{end}", self.to_markdown());
        let place = page.find(&start).zip(page.find(&end));
        match place {
            Some((from, to)) => format!("{}{section}{}", &page[..from], &page[to + end.len()..]),
            None => format!("{}\n\n{section}", page.trim_end()),
        }
    }

    fn to_markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}\n\n", self.title, self.intro.trim());
        text += "| what | figures | measured | aim | |\n|---|---|---|---|---|\n";
        text.extend(self.rows.iter().map(Row::to_markdown));
        if self.has_picture() {
            let _ = write!(text, "\n![{}](performance/{}.svg)\n", self.title, self.id);
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        let _ = writeln!(
            text,
            "- Measured on {}. [All figures](performance/{}.json).",
            self.machine, self.id
        );
        text
    }
}

const HEAD: &str = "# Performance\n\nEvery figure here was written by the benchmark that measured it (`make bench`). \
    What is compared ran side by side\nin one run on one machine, so read the ratios and not the absolute numbers.\n";

/// Three significant digits, as a person would write them.
pub fn number(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

/// The middle of some measurements.
///
/// # Panics
/// When there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: &str, measured: f64) -> Section {
        let row = Row {
            what: "latency".into(),
            figures: "ours 1, theirs 2".into(),
            measured,
            unit: String::new(),
            aim: Some(Aim::AtMost(0.75)),
        };
        let bars = vec![Bar::ours("relay", 1.0), Bar::new("<other>", 2.0)];
        Section {
            id: id.into(),
            title: format!("Title of {id}"),
            intro: "Intro.".into(),
            machine: Machine::here(&[("rustc", "1".into())]),
            rows: vec![row],
            notes: vec!["A note.".into()],
            charts: vec![Chart { title: "latency".into(), unit: "µs".into(), bars }],
            curves: Vec::new(),
        }
    }

    #[test]
    fn a_section_replaces_itself_and_keeps_the_others() {
        let folder = crate::folder::Folder::new();
        section("a", 0.7).write_below(folder.path()).unwrap();
        section("b", 0.8).write_below(folder.path()).unwrap();
        section("a", 0.9).write_below(folder.path()).unwrap();
        let page = fs::read_to_string(folder.path().join("performance.md")).unwrap();
        assert_eq!(page.matches("## Title of a").count(), 1);
        assert_eq!(page.matches("## Title of b").count(), 1);
        assert!(page.find("of a").unwrap() < page.find("of b").unwrap(), "{page}");
        assert!(page.contains("| 0.9 | ≤ 0.75 | **missed** |"), "{page}");
        let svg = fs::read_to_string(folder.path().join("performance/a.svg")).unwrap();
        assert!(svg.contains("&lt;other&gt;"), "{svg}");
    }

    #[test]
    fn numbers_have_three_digits_and_no_tail() {
        let texts: Vec<_> = [1234.5, 12.34, 1.5, 0.75, 0.0123].map(number).to_vec();
        assert_eq!(texts, ["1234", "12.3", "1.5", "0.75", "0.012"]);
    }

    #[test]
    fn a_median_is_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
