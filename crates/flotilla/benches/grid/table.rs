//! What a series found, as rows of the table.

use flotilla_testkit::report::{Aim, Bar, Chart, Row, number};

use crate::figures::Paired;

/// What a series found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) rows: Vec<Row>,
    pub(crate) charts: Vec<Chart>,
}

/// Two sides of one measurement, and what they are called.
pub(crate) struct Beside<'a> {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// What is measured, mostly the grid.
    pub(crate) name: &'static str,
    /// What the grid is compared with.
    pub(crate) against: &'static str,
    pub(crate) paired: &'a Paired,
}

impl Beside<'_> {
    /// The ratio is what counts.
    pub(crate) fn ratio(&self, aim: Option<Aim>) -> Row {
        Row {
            what: self.what.to_owned(),
            figures: self.figures(),
            measured: self.paired.ratio(),
            unit: String::new(),
            aim,
        }
    }

    /// The difference is what counts.
    pub(crate) fn difference(&self, aim: Option<Aim>) -> Row {
        Row { measured: self.paired.difference(), unit: self.unit.to_owned(), ..self.ratio(aim) }
    }

    pub(crate) fn chart(&self) -> Chart {
        Chart {
            title: self.what.to_owned(),
            unit: self.unit.to_owned(),
            bars: vec![
                Bar::ours(self.name, self.paired.ours()),
                Bar::new(self.against, self.paired.theirs()),
            ],
        }
    }

    fn figures(&self) -> String {
        let Self { unit, name, against, paired, .. } = self;
        let (ours, theirs) = (number(paired.ours()), number(paired.theirs()));
        format!("{name} {ours} {unit}, {against} {theirs} {unit}")
    }
}

/// A figure of the grid alone.
pub(crate) fn alone(
    what: &str,
    figures: String,
    measured: f64,
    unit: &str,
    aim: Option<Aim>,
) -> Row {
    Row { what: what.to_owned(), figures, measured, unit: unit.to_owned(), aim }
}

/// A row in one line, for who watches.
pub(crate) fn line(row: &Row) -> String {
    let verdict = match (row.aim, row.is_met()) {
        (None, _) => "",
        (_, true) => " (met)",
        (_, false) => " (missed)",
    };
    format!("{}: {:.3} {}{verdict}   {}", row.what, row.measured, row.unit, row.figures)
}
