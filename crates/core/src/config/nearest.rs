//! The known name that a mistyped one was meant to be.

/// The name that takes the fewest edits, when they are few enough to be a slip.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (edits, best) = known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .min_by_key(|(edits, _)| *edits)?;
    (edits <= (name.len() / 3).max(2)).then_some(best)
}

/// Levenshtein's distance, without regard to case or to `-` and `_`.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let plain = |s: &str| s.to_lowercase().replace('-', "_").into_bytes();
    let (a, b) = (plain(a), plain(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_edits_between_two_names() {
        assert_eq!(distance("", "port"), 4);
        assert_eq!(distance("prot", "port"), 2);
        assert_eq!(distance("Queue-Limit", "queue_limit"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn offers_only_what_could_be_a_slip() {
        let known = ["port", "queue_limit", "queue_timeout"];
        assert_eq!(nearest("queue_limits", &known), Some("queue_limit"));
        assert_eq!(nearest("prot", &known), Some("port"));
        assert_eq!(nearest("something_else", &known), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
