//! Random numbers that a seed decides: SplitMix64 (Steele, Lea and Flood, 2014).

use std::ops::Range;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Self(seed ^ 0x0066_6c6f_7469_6c6c);
        rng.next();
        rng
    }

    /// Another stream, so that what is drawn there changes nothing here.
    pub(crate) fn stream(seed: u64, name: u64) -> Self {
        Self::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(name))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn number(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.number(0..len as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// True in so many of a thousand cases.
    pub(crate) fn chance(&mut self, of_thousand: u64) -> bool {
        self.number(0..1000) < of_thousand
    }

    /// A time between these, in milliseconds; near the lower end more often than near the upper.
    pub(crate) fn millis(&mut self, range: Range<u64>) -> Duration {
        let (a, b) = (self.number(range.clone()), self.number(range));
        Duration::from_millis(a.min(b)) + Duration::from_micros(self.number(0..1000))
    }

    /// A time between these, in seconds, each as likely.
    pub(crate) fn secs(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.number(range.start * 1000..range.end * 1000))
    }
}
