//! Everybody who waits with one key.

use std::collections::VecDeque;

use super::Place;

/// Who waits with one key, by what is waited for, each in order of arrival. None of the parts is
/// empty.
#[derive(Debug)]
pub(super) struct Line<W, T>(Vec<(W, VecDeque<(Place, T)>)>);

// === impl Line ===

impl<W, T> Default for Line<W, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<W: Copy + Eq, T> Line<W, T> {
    pub(super) fn insert(&mut self, place: Place, what: W, waiter: T) {
        let at = self.0.iter().position(|(other, _)| *other == what).unwrap_or_else(|| {
            self.0.push((what, VecDeque::new()));
            self.0.len() - 1
        });
        let part = &mut self.0[at].1;
        part.insert(part.partition_point(|(other, _)| *other < place), (place, waiter));
    }

    pub(super) fn take(&mut self, place: Place) -> Option<(W, T)> {
        let (part, at) = self.0.iter().enumerate().find_map(|(part, (_, waiters))| {
            let at = waiters.binary_search_by_key(&place, |(other, _)| *other).ok()?;
            Some((part, at))
        })?;
        let (what, waiters) = &mut self.0[part];
        let (what, (_, waiter)) = (*what, waiters.remove(at)?);
        if waiters.is_empty() {
            self.0.swap_remove(part);
        }
        Some((what, waiter))
    }

    /// Who came first of those that wait for one of these.
    pub(super) fn first(&self, what: &[W]) -> Option<Place> {
        let parts = self.0.iter().filter(|(other, _)| what.contains(other));
        parts.filter_map(|(_, waiters)| waiters.front()).map(|(place, _)| *place).min()
    }

    /// Who came first.
    pub(super) fn oldest(&self) -> Option<(Place, &T)> {
        let firsts = self.0.iter().filter_map(|(_, waiters)| waiters.front());
        firsts.min_by_key(|(place, _)| *place).map(|(place, waiter)| (*place, waiter))
    }

    pub(super) fn ahead(&self, place: Place) -> usize {
        self.0.iter().map(|(_, waiters)| waiters.partition_point(|(other, _)| *other < place)).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
