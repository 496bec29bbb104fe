//! What was measured, and whether it is good enough.

use std::io::Write as _;

use crate::figures::Paired;

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was measured.
    pub(crate) what: &'static str,
    /// The grid's figure.
    pub(crate) ours: f64,
    /// The figure of what it is compared with, where there is such a thing.
    pub(crate) theirs: Option<(&'static str, f64)>,
    /// The unit of both.
    pub(crate) unit: &'static str,
    /// What the aim is about: their ratio, their difference or the grid's figure.
    pub(crate) compared: f64,
    /// The aim, when there is one.
    pub(crate) aim: Option<Aim>,
}

/// What is good enough.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// The ratio, at most.
    RatioAtMost(f64),
    /// The ratio, at least.
    RatioAtLeast(f64),
    /// More than the other, at most.
    MoreAtMost(f64),
    /// The figure itself, at most.
    AtMost(f64),
}

impl Aim {
    fn is_met(self, compared: f64) -> bool {
        match self {
            Self::RatioAtMost(limit) | Self::MoreAtMost(limit) | Self::AtMost(limit) => {
                compared <= limit
            }
            Self::RatioAtLeast(limit) => compared >= limit,
        }
    }
}

impl Outcome {
    /// Two sides, and what their ratio or difference should be.
    pub(crate) fn paired(
        what: &'static str,
        against: &'static str,
        unit: &'static str,
        paired: &Paired,
        aim: Aim,
    ) -> Self {
        Self {
            what,
            ours: paired.ours(),
            theirs: Some((against, paired.theirs())),
            unit,
            compared: match aim {
                Aim::MoreAtMost(_) => paired.difference(),
                _ => paired.ratio(),
            },
            aim: Some(aim),
        }
    }

    /// Two sides whose ratio is worth knowing.
    pub(crate) fn noted(
        what: &'static str,
        against: &'static str,
        unit: &'static str,
        paired: &Paired,
    ) -> Self {
        let aimless = Self::paired(what, against, unit, paired, Aim::RatioAtMost(0.0));
        Self { aim: None, ..aimless }
    }

    /// A figure of the grid alone.
    pub(crate) fn alone(
        what: &'static str,
        unit: &'static str,
        ours: f64,
        aim: Option<f64>,
    ) -> Self {
        Self { what, ours, theirs: None, unit, compared: ours, aim: aim.map(Aim::AtMost) }
    }

    pub(crate) fn is_met(&self) -> Option<bool> {
        self.aim.map(|aim| aim.is_met(self.compared))
    }
}

/// Shows it while the rest is being measured.
pub(crate) fn say(outcome: &Outcome) {
    let Outcome { what, ours, unit, compared, .. } = outcome;
    let theirs = outcome.theirs.map_or(String::new(), |(name, figure)| {
        format!(", {name} {figure:.3} {unit}, compared {compared:.3}")
    });
    let verdict = match outcome.is_met() {
        None => "",
        Some(true) => " (met)",
        Some(false) => " (missed)",
    };
    // Who reads it may have gone.
    let _ = writeln!(std::io::stdout(), "{what}: {ours:.3} {unit}{theirs}{verdict}");
}
