//! How rare a residual is: block maxima of the series' own past, and a Pareto tail through the largest.

use serde::{Deserialize, Serialize};
use shadow::UnixMs;

/// Residuals of ten minutes count as one: neighbours are too alike to count each.
const BLOCK_MS: i64 = 600_000;

/// Blocks in a week.
pub(super) const BLOCKS_A_WEEK: f64 = 1008.0;

/// Blocks before anything is rare: two hours.
const COLD: u32 = 12;

/// Maxima that are kept.
const KEPT: usize = 48;

/// At four weeks half of the past is forgotten, so that a series may change its habits.
const FORGET: u32 = 4032;

/// How far a tail is believed beyond what was seen, in powers of ten: of a hundred blocks, one in a million at most.
const BEYOND: f64 = 4.0;

/// The largest residual of each block, on one side of the forecast.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Tail {
    /// The block that is being filled and its largest residual; it does not count yet.
    open: Option<(i64, f64)>,
    /// The largest maxima, falling.
    largest: Vec<f64>,
    /// How many blocks were closed.
    blocks: u32,
    fit: Option<Fit>,
}

impl Tail {
    /// Takes in `residual`, 0 or more, and tells how rare it is by the blocks before: -log10 of the chance that a
    /// block reaches it. 0 is usual, or not known yet.
    ///
    /// `bar` is the score of an alarm: a block beyond it is remembered as one that just reached it, or a single
    /// incident would make the next one seem usual.
    pub(super) fn add(&mut self, time_ms: UnixMs, residual: f64, bar: f64) -> f64 {
        let block = time_ms.div_euclid(BLOCK_MS);
        match &mut self.open {
            Some((open, largest)) if *open == block => *largest = largest.max(residual),
            _ => {
                if let Some((_, largest)) = self.open.replace((block, residual)) {
                    self.close(largest, bar);
                }
            }
        }
        self.fit.map_or(0.0, |fit| fit.score(residual))
    }

    fn close(&mut self, largest: f64, bar: f64) {
        let remembered = self.fit.map_or(largest, |fit| largest.min(fit.at(bar)));
        let place = self.largest.partition_point(|kept| *kept > remembered);
        self.largest.insert(place, remembered);
        self.largest.truncate(KEPT);
        self.blocks += 1;
        if self.blocks >= FORGET {
            self.blocks /= 2;
            self.largest = self.largest.iter().copied().step_by(2).collect();
        }
        self.fit = Fit::new(&self.largest, self.blocks);
    }
}

/// A Pareto tail: a block reaches `a` with the chance `share x (a / start)^(-1 / shape)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Fit {
    /// Where the tail starts, 0 or more.
    start: f64,
    /// -log10 of the share of blocks that reach the start.
    share: f64,
    /// Hill's estimate of the tail's weight, 0.05 or more.
    shape: f64,
    /// The highest score.
    most: f64,
}

impl Fit {
    /// A tail through the largest fifth of the blocks; `None` while there are too few.
    ///
    /// Hill, B. M. (1975): the mean of the logarithms over the start. On normal, Laplace, Student t (3) and lognormal
    /// noise its alarms come 0.5 to 1.7 times as often as chosen, closer than a generalised Pareto tail by
    /// weighted moments (up to 3 times) or an exponential one (up to 5 times).
    fn new(largest: &[f64], blocks: u32) -> Option<Self> {
        if blocks < COLD {
            return None;
        }
        let fifth = usize::try_from(blocks / 5).unwrap_or(KEPT).max(4);
        let tail = largest.get(..fifth.min(largest.len()))?;
        let (start, above) = tail.split_last()?;
        let logs: f64 = above.iter().map(|value| (value / start).ln()).sum();
        let mean = logs / above.len() as f64;
        Some(Self {
            start: *start,
            share: (f64::from(blocks + 1) / tail.len() as f64).log10(),
            most: f64::from(blocks + 1).log10() + BEYOND,
            shape: if mean.is_finite() { mean.max(0.05) } else { 1.0 },
        })
    }

    fn score(&self, residual: f64) -> f64 {
        if residual <= self.start {
            0.0
        } else if self.start > 0.0 {
            (self.share + (residual / self.start).log10() / self.shape).min(self.most)
        } else {
            // Nothing was ever off: all that is known is how often.
            self.share
        }
    }

    /// The residual whose score is `score`.
    fn at(&self, score: f64) -> f64 {
        if self.start > 0.0 {
            self.start * 10_f64.powf(self.shape * (score - self.share).max(0.0))
        } else {
            f64::INFINITY
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_and_its_residual_are_inverse() {
        let largest: Vec<f64> = (1..=48).rev().map(|at| f64::from(at) / 10.0).collect();
        let fit = Fit::new(&largest, 240).unwrap();
        for score in [1.0, 2.0, 5.0, 6.3] {
            assert!((fit.score(fit.at(score)) - score).abs() < 1e-9);
        }
        assert_eq!(fit.score(0.01), 0.0);
        assert!((fit.score(f64::MAX) - 6.382).abs() < 1e-3);
    }

    #[test]
    fn a_block_counts_when_it_is_over_and_four_weeks_are_remembered() {
        let mut tail = Tail::default();
        for minute in 0..119 {
            assert_eq!(tail.add(minute * 60_000, 1.0 + minute as f64, 3.0), 0.0);
        }
        assert_eq!(tail.blocks, 11);
        for block in 12..20_000 {
            tail.add(block * BLOCK_MS, 1.0, 3.0);
            assert!(tail.blocks < FORGET && tail.largest.len() <= KEPT);
            assert!(tail.largest.is_sorted_by(|a, b| a >= b));
        }
        // Of the peaks of the first two hours nothing is left.
        assert_eq!(tail.fit.unwrap().start, 1.0);
    }

    #[test]
    fn a_series_that_is_never_off_does_not_divide_by_nothing() {
        let mut tail = Tail::default();
        let scores: Vec<f64> = (0..100).map(|block| tail.add(block * BLOCK_MS, 0.0, 3.0)).collect();
        assert!(scores.iter().all(|score| *score == 0.0));
        let score = tail.add(100 * BLOCK_MS, 5.0, 3.0);
        assert!(score > 0.0 && score < 3.0, "{score}");
        for block in 101..500 {
            assert!(
                tail.add(block * BLOCK_MS, f64::from(u8::from(block % 50 == 0)), 3.0)
                    .is_finite()
            );
        }
    }
}
