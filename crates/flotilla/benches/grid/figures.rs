//! Medians, and two sides that were measured in turns.

/// The value that a share `q` of them does not exceed.
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * q).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

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

    pub(crate) fn ours(&self) -> f64 {
        median(&self.ours)
    }

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
