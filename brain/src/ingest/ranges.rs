//! A compact set of sequence numbers: what has come of an epoch.

use std::ops::Range;

/// The most ranges that a set holds. Past it the lowest gap is closed: its frames are given up.
pub(super) const MAX_RANGES: usize = 1_024;

/// A set of `u64` as ranges: sorted, not empty, neither touching nor overlapping.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RangeSet(Vec<Range<u64>>);

impl RangeSet {
    /// A set of `ranges`, in any order; empty ones are left out.
    pub(crate) fn from_ranges(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut set = Self::default();
        for range in ranges {
            set.insert(range);
        }
        set
    }

    /// Whether `number` can be added and nothing is given up for it.
    pub(crate) fn has_room(&self, number: u64) -> bool {
        let touches = |r: &Range<u64>| r.start <= number.saturating_add(1) && number <= r.end;
        self.0.len() < MAX_RANGES || self.0.iter().any(touches)
    }

    /// Adds `range`; returns how many numbers were given up to stay within [`MAX_RANGES`].
    pub(crate) fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.start >= range.end {
            return 0;
        }
        // All ranges that touch or overlap the new one melt into it.
        let from = self.0.partition_point(|r| r.end < range.start);
        let to = self.0.partition_point(|r| r.start <= range.end);
        let touched = self.0.get(from..to).unwrap_or_default();
        let start = touched.first().map_or(range.start, |r| r.start.min(range.start));
        let end = touched.last().map_or(range.end, |r| r.end.max(range.end));
        self.0.splice(from..to, std::iter::once(start..end));
        self.close_lowest_gap()
    }

    fn close_lowest_gap(&mut self) -> u64 {
        if self.0.len() <= MAX_RANGES {
            return 0;
        }
        let lowest = self.0.remove(0);
        self.0.first_mut().map_or(0, |next| {
            let given_up = next.start - lowest.end;
            next.start = lowest.start;
            given_up
        })
    }

    /// Takes `number` out; tells whether it was in the set.
    pub(crate) fn remove(&mut self, number: u64) -> bool {
        let at = self.0.partition_point(|r| r.end <= number);
        let Some(range) = self.0.get(at).filter(|r| r.contains(&number)).cloned() else {
            return false;
        };
        let parts = [range.start..number, number + 1..range.end];
        self.0
            .splice(at..=at, parts.into_iter().filter(|part| !part.is_empty()));
        true
    }

    /// The parts of `range` that are not in the set, rising.
    pub(crate) fn absent(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut parts = Vec::new();
        let mut from = range.start;
        while let Some(start) = self.first_absent(&(from..range.end)).filter(|&start| start < range.end) {
            let next = self.0.partition_point(|r| r.start <= start);
            let end = self.0.get(next).map_or(range.end, |r| r.start.min(range.end));
            parts.push(start..end);
            from = end;
        }
        parts
    }

    /// Whether `number` is in the set.
    pub(crate) fn contains(&self, number: u64) -> bool {
        let at = self.0.partition_point(|r| r.end <= number);
        self.0.get(at).is_some_and(|r| r.contains(&number))
    }

    /// Adds every number of `other`.
    pub(crate) fn extend(&mut self, other: &Self) {
        for range in &other.0 {
            self.insert(range.clone());
        }
    }

    /// The ranges, rising.
    pub(crate) fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// One past the largest number; 0 of an empty set.
    pub(crate) fn end(&self) -> u64 {
        self.0.last().map_or(0, |r| r.end)
    }

    /// What lies between 0 and [`end`](Self::end) and is not in the set, rising.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let starts = std::iter::once(0).chain(self.0.iter().map(|r| r.end));
        let ends = self.0.iter().map(|r| r.start);
        starts
            .zip(ends)
            .map(|(start, end)| start..end)
            .filter(|gap| gap.start < gap.end)
    }

    /// How many numbers are missing between the smallest and the largest in the set.
    pub(crate) fn missing_within(&self) -> u64 {
        let first = self.0.first().map_or(0, |r| r.start);
        let there: u64 = self.0.iter().map(|r| r.end - r.start).sum();
        self.end() - first - there
    }

    /// The smallest number of this set that is not in `other`.
    pub(crate) fn first_not_in(&self, other: &Self) -> Option<u64> {
        self.0.iter().find_map(|range| other.first_absent(range))
    }

    /// The smallest number of `range` that is not in the set.
    fn first_absent(&self, range: &Range<u64>) -> Option<u64> {
        let at = self.0.partition_point(|r| r.end <= range.start);
        match self.0.get(at) {
            Some(r) if r.start <= range.start => (r.end < range.end).then_some(r.end),
            _ => Some(range.start),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(
            ours in prop::collection::vec((0_u64..200, 1_u64..20), 0..40),
            others in prop::collection::vec((0_u64..200, 1_u64..20), 0..40),
        ) {
            let build = |ranges: &[(u64, u64)]| {
                let mut set = RangeSet::default();
                let mut plain = BTreeSet::new();
                for &(start, len) in ranges {
                    assert_eq!(set.insert(start..start + len), 0);
                    plain.extend(start..start + len);
                }
                (set, plain)
            };
            let (set, plain) = build(&ours);
            let (other, plain_other) = build(&others);
            for number in 0..230 {
                prop_assert_eq!(set.contains(number), plain.contains(&number));
            }
            let sound = set.ranges().windows(2).all(|w| w[0].end < w[1].start);
            prop_assert!(sound, "{:?}", set);
            let end = plain.last().map_or(0, |&last| last + 1);
            prop_assert_eq!(set.end(), end);
            let absent: Vec<u64> = (0..end).filter(|n| !plain.contains(n)).collect();
            prop_assert_eq!(set.gaps().flatten().collect::<Vec<_>>(), absent.clone());
            let first = plain.first().copied().unwrap_or(0);
            prop_assert_eq!(set.missing_within(), absent.iter().filter(|&&n| n > first).count() as u64);
            prop_assert_eq!(set.first_not_in(&other), plain.difference(&plain_other).next().copied());
            let parts = set.absent(50..150);
            prop_assert!(parts.windows(2).all(|w| w[0].end < w[1].start), "{:?}", parts);
            let absent: Vec<u64> = (50..150).filter(|n| !plain.contains(n)).collect();
            prop_assert_eq!(parts.into_iter().flatten().collect::<Vec<_>>(), absent);
            for number in [0, 60, 100, 229] {
                let mut less = set.clone();
                prop_assert_eq!(less.remove(number), plain.contains(&number));
                let rest = plain.iter().filter(|&&n| n != number);
                prop_assert_eq!(less, RangeSet::from_ranges(rest.map(|&n| n..n + 1)));
            }
            let mut union = set.clone();
            union.extend(&other);
            prop_assert_eq!(union, RangeSet::from_ranges(plain.union(&plain_other).map(|&n| n..n + 1)));
        }
    }

    #[test]
    fn many_gaps_are_closed_from_below() {
        let mut set = RangeSet::default();
        let given_up: u64 = (0..MAX_RANGES as u64 + 10).map(|i| set.insert(3 * i..3 * i + 1)).sum();
        assert_eq!((set.ranges().len(), given_up), (MAX_RANGES, 20));
        let last = set.end();
        let room = [last + 1, last, last - 1, last - 2, 0].map(|number| set.has_room(number));
        assert_eq!(
            room,
            [false, true, true, true, true],
            "what touches a range opens no gap"
        );
        assert!(RangeSet::default().has_room(7));
        assert_eq!(set.ranges().first(), Some(&(0..31)));
    }

    #[test]
    fn the_whole_range_does_not_overflow() {
        let mut set = RangeSet::default();
        set.insert(u64::MAX - 1..u64::MAX);
        set.insert(0..1);
        assert_eq!(set.missing_within(), u64::MAX - 2);
        assert!(!set.contains(u64::MAX));
    }
}
