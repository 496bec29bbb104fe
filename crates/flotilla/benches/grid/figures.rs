//! Two sides that were measured in turns.

use flotilla_testkit::report::median;

/// One value of each side for every round. Compared round by round, so that what slows the
/// machine for a while counts little.
#[derive(Debug, Default)]
pub(crate) struct Paired {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Paired {
    pub(crate) fn push(&mut self, ours: f64, theirs: f64) {
        self.ours.push(ours);
        self.theirs.push(theirs);
    }

    /// The grid's usual round.
    pub(crate) fn ours(&self) -> f64 {
        median(&self.ours)
    }

    /// The other's usual round.
    pub(crate) fn theirs(&self) -> f64 {
        median(&self.theirs)
    }

    /// The median of the rounds' differences.
    pub(crate) fn difference(&self) -> f64 {
        self.by_round(|ours, theirs| ours - theirs)
    }

    /// The median of the rounds' ratios.
    pub(crate) fn ratio(&self) -> f64 {
        self.by_round(|ours, theirs| ours / theirs)
    }

    fn by_round(&self, compare: impl Fn(f64, f64) -> f64) -> f64 {
        let rounds = self.ours.iter().zip(&self.theirs);
        median(&rounds.map(|(ours, theirs)| compare(*ours, *theirs)).collect::<Vec<_>>())
    }
}
