//! Many measurements of one thing.

/// Measurements, sorted.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

// === impl Samples ===

impl Samples {
    /// The value that this share of them does not exceed: 0.5 is the median.
    ///
    /// # Panics
    /// When there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len() - 1;
        self.0[(last as f64 * share).round() as usize]
    }

    /// The middle.
    ///
    /// # Panics
    /// When there are none.
    pub fn p50(&self) -> f64 {
        self.quantile(0.5)
    }

    /// What 99 of 100 do not exceed.
    ///
    /// # Panics
    /// When there are none.
    pub fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    /// The mean without the slowest hundredth: finer than a clock's steps, and without the moments
    /// when another process ran.
    pub fn usual(&self) -> f64 {
        let usual = &self.0[..self.0.len() * 99 / 100];
        usual.iter().sum::<f64>() / usual.len() as f64
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        let mut samples: Vec<_> = samples.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        Self(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_samples_whatever_their_order() {
        let samples: Samples = (0..=100).rev().map(f64::from).collect();
        assert_eq!([samples.p50(), samples.p99(), samples.quantile(1.0)], [50.0, 99.0, 100.0]);
        let one: Samples = [7.0].into_iter().collect();
        assert_eq!((one.p50(), one.p99(), one.len()), (7.0, 7.0, 1));
    }

    #[test]
    fn the_usual_is_without_the_slowest_hundredth() {
        let samples: Samples = (0..99).map(|_| 1.0).chain([1_000_000.0]).collect();
        assert!((samples.usual() - 1.0).abs() < 1e-9);
    }
}
