//! The largest values of a row, as far as its 95th percentile needs them.
//!
//! A p95 hangs on the twentieth of a row's time in which values are largest, and on nothing else. So what is kept of a row
//! is that: values with the time that each is known for, largest first, down to where they fill a twentieth. While these
//! are at most `K` (at a pace of 100 ms six in 10 s, thirty-one in a minute) the p95 is exact. Of more, the two neighbours
//! that tell of the least time become one, with the larger value. Then the p95 told is never below the true one, and at
//! most the exact quantile that lies `0.2 / K` of the row's time further up: 2.5 points in a row of 10 s, 0.6 in a
//! minute, for a row that is wholly known.

/// Share of a row's time above its p95.
const ABOVE: f32 = 0.05;

/// `K` values of a tail tell of at most twice what it keeps, and so do the two neighbours that are merged of a `K`th of
/// that: twice two twentieths.
#[cfg(test)]
pub(super) const SLACK: f32 = 4.0 * ABOVE;

/// The largest values of a row; `K` = 0 keeps none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tail<const K: usize> {
    /// Value and milliseconds, largest value first.
    entries: [(f32, f32); K],
    /// Half a word, as the others: a host has some three hundred tails.
    len: u32,
    /// Milliseconds of all of them.
    total_ms: f32,
}

impl<const K: usize> Tail<K> {
    /// Nothing is known.
    pub(super) const EMPTY: Self = Self {
        entries: [(0.0, 0.0); K],
        len: 0,
        total_ms: 0.0,
    };

    /// The tail of a row of which only its p95 is left, known for `known_ms`: a value that stands for a tenth of it, so
    /// that a few lower ones that come late do not take its place.
    pub(super) fn of(p95: f32, known_ms: f32) -> Self {
        let mut tail = Self::EMPTY;
        if !p95.is_nan() {
            tail.add(p95, 2.0 * ABOVE * known_ms, known_ms);
        }
        tail
    }

    /// Adds a value known for `ms` of a row that is known for at most `most_ms`.
    pub(super) fn add(&mut self, value: f32, ms: f32, most_ms: f32) {
        if K == 0 {
            return;
        }
        let keep_ms = ABOVE * most_ms;
        let is_lowest = self.held().last().is_some_and(|&(held, _)| held >= value);
        // What is not above a twentieth of the row already is of no account.
        if is_lowest && self.total_ms > keep_ms {
            return;
        }
        let at = self.held().partition_point(|&(held, _)| held >= value);
        if self.held().len() == K {
            self.merge_neighbours(at, (value, ms));
        } else {
            self.insert(at, (value, ms));
        }
        self.total_ms += ms;
        while let Some(&(_, ms)) = self.held().last()
            && self.total_ms - ms > keep_ms
        {
            self.total_ms -= ms;
            self.len -= 1;
        }
    }

    /// The value that a twentieth of `known_ms` lies above at most; NaN of nothing.
    pub(super) fn p95(&self, known_ms: f32) -> f32 {
        let mut above_ms = ABOVE * known_ms;
        let is_below = |&&(_, ms): &&(f32, f32)| {
            above_ms -= ms;
            above_ms < 0.0
        };
        let held = self.held();
        let found = held.iter().find(is_below).or(held.last());
        found.map_or(f32::NAN, |&(value, _)| value)
    }

    fn held(&self) -> &[(f32, f32)] {
        self.entries.get(..self.len as usize).unwrap_or_default()
    }

    fn insert(&mut self, at: usize, entry: (f32, f32)) {
        self.len += 1;
        if let Some(from_there) = self.entries.get_mut(at..self.len as usize) {
            from_there.rotate_right(1);
        }
        if let Some(slot) = self.entries.get_mut(at) {
            *slot = entry;
        }
    }

    /// Makes one of the two neighbours, `new` at its place among them, that tell of the least time.
    fn merge_neighbours(&mut self, at: usize, new: (f32, f32)) {
        let mut all = self.held().to_vec();
        all.insert(at, new);
        let pair_ms = |pair: &[(f32, f32)]| pair.iter().map(|&(_, ms)| ms).sum::<f32>();
        let pairs = all.windows(2).map(pair_ms).enumerate();
        let Some((first, _)) = pairs.min_by(|(_, a), (_, b)| a.total_cmp(b)) else {
            return;
        };
        let (_, ms) = all.remove(first + 1);
        if let Some(kept) = all.get_mut(first) {
            kept.1 += ms;
        }
        for (slot, entry) in self.entries.iter_mut().zip(all) {
            *slot = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The smallest value that at least `share` of the time is not above.
    fn exact(samples: &[(f32, f32)], share: f64) -> f32 {
        let mut sorted = samples.to_vec();
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let known: f64 = sorted.iter().map(|&(_, ms)| f64::from(ms)).sum();
        let mut above = 0.0;
        for &(value, ms) in &sorted {
            above += f64::from(ms);
            if above > (1.0 - share).max(0.0) * known + 1e-3 {
                return value;
            }
        }
        sorted.last().map_or(f32::NAN, |&(value, _)| value)
    }

    fn told<const K: usize>(samples: &[(f32, f32)], most_ms: f32) -> f32 {
        let mut tail = Tail::<K>::EMPTY;
        for &(value, ms) in samples {
            tail.add(value, ms, most_ms);
        }
        tail.p95(samples.iter().map(|&(_, ms)| ms).sum())
    }

    /// Samples of a row of `row_ms`, each of 20 ms to 2 s, in any order.
    fn samples(row_ms: f32) -> impl Strategy<Value = Vec<(f32, f32)>> {
        let sample = (0_u16..1_000, 20_u16..2_000).prop_map(|(value, ms)| (f32::from(value), f32::from(ms)));
        prop::collection::vec(sample, 1..400).prop_map(move |mut samples| {
            let mut total = 0.0;
            samples.retain(|&(_, ms)| {
                total += ms;
                total <= row_ms
            });
            samples
        })
    }

    proptest! {
        #[test]
        fn at_the_full_pace_a_p95_is_exact(values in prop::collection::vec(0_u16..1_000, 1..600)) {
            let samples: Vec<_> = values.iter().map(|&value| (f32::from(value), 100.0)).collect();
            prop_assert_eq!(told::<32>(&samples, 60_000.0), exact(&samples, 0.95));
            let row = &samples[..samples.len().min(100)];
            prop_assert_eq!(told::<8>(row, 10_000.0), exact(row, 0.95));
        }

        #[test]
        fn a_p95_is_never_too_low_and_too_high_within_its_bound(samples in samples(60_000.0)) {
            let known_ms: f32 = samples.iter().map(|&(_, ms)| ms).sum();
            let high = |k: f32| f64::from(0.95 + SLACK / k * 60_000.0 / known_ms.max(1.0));
            for (told, k) in [(told::<8>(&samples, 60_000.0), 8.0), (told::<32>(&samples, 60_000.0), 32.0)] {
                if samples.is_empty() {
                    prop_assert!(told.is_nan());
                } else {
                    prop_assert!(told >= exact(&samples, 0.95), "{told} is below {}", exact(&samples, 0.95));
                    prop_assert!(told <= exact(&samples, high(k)), "{told} is above {}", exact(&samples, high(k)));
                }
            }
        }
    }

    #[test]
    fn a_row_of_which_the_p95_is_left_goes_on() {
        let mut tail = Tail::<8>::of(5.0, 8_000.0);
        assert_eq!(tail.p95(8_000.0), 5.0);
        tail.add(1.0, 1_000.0, 10_000.0);
        assert_eq!(tail.p95(9_000.0), 5.0, "little below it changes nothing");
        tail.add(9.0, 1_000.0, 10_000.0);
        assert_eq!(tail.p95(10_000.0), 9.0, "what is higher does");
        assert!(Tail::<8>::of(f32::NAN, 8_000.0).p95(0.0).is_nan());
        assert!(Tail::<0>::of(5.0, 8_000.0).p95(8_000.0).is_nan());
    }
}
