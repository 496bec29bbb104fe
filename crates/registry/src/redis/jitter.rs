//! Randomness against everybody doing the same at the same moment.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// Three quarters of it or more.
pub(crate) fn shortened(span: Duration) -> Duration {
    span - span.mul_f64((random() % 1024) as f64 / 4096.0)
}

/// All of them, beginning anywhere.
pub(crate) fn from_anywhere<T>(all: &[T]) -> impl Iterator<Item = &T> {
    let start = random() as usize % all.len().max(1);
    all.iter().cycle().skip(start).take(all.len())
}

/// Each state has random keys, which is randomness enough for this.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_become_shorter_by_up_to_a_quarter_and_not_all_the_same() {
        let spans: Vec<_> = (0..64).map(|_| shortened(Duration::from_secs(4))).collect();
        assert!(spans.iter().all(|span| (3.0..=4.0).contains(&span.as_secs_f64())), "{spans:?}");
        assert!(spans.iter().any(|span| *span != spans[0]), "{spans:?}");
    }

    #[test]
    fn everybody_has_a_turn_and_not_always_the_same_one_first() {
        let turns: Vec<Vec<_>> = (0..64).map(|_| from_anywhere(&[1, 2, 3]).collect()).collect();
        assert!(turns.iter().all(|turn| turn.iter().copied().sum::<i32>() == 6), "{turns:?}");
        assert!(turns.iter().any(|turn| turn[0] != turns[0][0]), "{turns:?}");
        assert_eq!(from_anywhere::<i32>(&[]).count(), 0);
    }
}
