//! How far the values of a series usually lie apart: the distance of two outer quantiles of its recent past.

use std::collections::VecDeque;

use crate::stored::{Broken, Reader, Writer};

/// The quantiles between which the spread is taken.
const LOW: f64 = 0.005;
const HIGH: f64 = 0.995;

/// Rows at the beginning that each refresh the spread.
const EAGER: u64 = 20;

/// Rows between two refreshes afterwards.
const EVERY: u64 = 25;

/// The least spread, as a share of the median and as such.
const LEAST_SHARE: f64 = 1e-3;
const LEAST: f64 = 1e-9;

/// The spread of the newest values of a series; `T` is how they are kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spread<T> {
    /// The most values that are kept.
    longest: usize,
    /// Every so many values one is kept.
    stride: u64,
    /// Oldest first.
    values: VecDeque<T>,
    /// How many came, ever.
    count: u64,
    /// What was told last.
    told: f64,
}

impl<T: Copy + Into<f64>> Spread<T> {
    /// Nothing is known yet; of every `stride` values one is to count, and of these the newest `longest`; both at least 1.
    pub(crate) const fn new(longest: usize, stride: u64) -> Self {
        Self {
            longest,
            stride,
            values: VecDeque::new(),
            count: 0,
            told: LEAST,
        }
    }

    /// Takes in the next value, a finite one, and tells the spread: above 0, refreshed now and then.
    pub(crate) fn update(&mut self, value: T) -> f64 {
        if self.count.is_multiple_of(self.stride) {
            if self.values.len() >= self.longest {
                self.values.pop_front();
            }
            self.values.push_back(value);
        }
        if self.count < EAGER || self.count.is_multiple_of(EVERY) {
            let mut values: Vec<f64> = self.values.iter().map(|value| (*value).into()).collect();
            self.told = spread_of(&mut values);
        }
        self.count += 1;
        self.told
    }
}

impl Spread<f32> {
    pub(crate) fn write(&self, to: &mut Writer) {
        to.whole(self.count);
        to.double(self.told);
        to.count(self.values.len());
        self.values.iter().for_each(|value| to.single(*value));
    }

    pub(crate) fn read(&mut self, from: &mut Reader<'_>) -> Result<(), Broken> {
        self.count = from.whole()?;
        self.told = from.amount()?.max(LEAST);
        self.values = (0..from.count(self.longest)?)
            .map(|_| from.single())
            .collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// The spread of `values`, which are put into another order.
fn spread_of(values: &mut [f64]) -> f64 {
    let count = values.len();
    let high = quantile(values, HIGH);
    let low = quantile(values, LOW);
    let middle = nth(values, count / 2);
    (high - low).max(LEAST_SHARE * middle.abs()).max(LEAST)
}

/// The value that a share `at` of `values` is below: the upper of two neighbours, the largest at most.
fn quantile(values: &mut [f64], at: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "a share of a length")]
    let index = (at * values.len() as f64) as usize;
    nth(values, index)
}

/// The value that would be at `index` if `values` were sorted.
fn nth(values: &mut [f64], index: usize) -> f64 {
    let Some(last) = values.len().checked_sub(1) else {
        return 0.0;
    };
    *values.select_nth_unstable_by(index.min(last), f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_leaves_out_half_a_hundredth_on_either_side() {
        let mut values: Vec<f64> = (0..1000).rev().map(f64::from).collect();
        assert_eq!(spread_of(&mut values), 990.0);
        assert_eq!(spread_of(&mut [7.0]), 0.007, "a thousandth of the median");
        assert_eq!(spread_of(&mut [0.0]), 1e-9);
        assert_eq!(spread_of(&mut []), 1e-9);
    }

    #[test]
    fn old_values_are_forgotten_and_new_ones_count_at_the_next_refresh() {
        let mut spread = Spread::new(50, 1);
        for _ in 0..100 {
            spread.update(5.0);
        }
        let mut told = (0..100).map(|at| spread.update(f64::from(at)));
        assert_eq!(told.next(), Some(5.0), "row 100 is a multiple of 25");
        assert_eq!(told.last(), Some(49.0), "at row 175 the newest 50 are 26 to 75");
        assert_eq!(spread.values.len(), 50);
    }

    #[test]
    fn a_stride_reaches_further_back() {
        let mut spread = Spread::new(50, 4);
        let told = (0_u8..=200).map(|at| spread.update(f32::from(at)));
        assert_eq!(told.last(), Some(196.0), "of 4 to 200");
    }
}
