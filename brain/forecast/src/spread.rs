//! Quantiles of past errors, from a histogram that forgets.

use shadow::QUANTILES;

/// Buckets of a [`Spread`].
const BUCKETS: usize = 128;

/// Where the logarithmic part of the buckets begins, in scales.
const KNEE: f32 = 0.1;

/// Transformed error at either end of the buckets: about 245 scales.
const END: f32 = 8.5;

/// A forgetting histogram of errors in scales: 512 bytes, exact enough (a bucket is 13 % wide, and
/// interpolated), so that a series costs the same however long its past is.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    weights: Box<[f32; BUCKETS]>,
    total: f32,
    /// Weight of the next error; it grows, which is the same as if all before it faded.
    next: f32,
}

impl Spread {
    /// Share of an error's weight that is left after one more; about 3000 rows count.
    const KEEP: f32 = 0.9997;

    pub(crate) fn empty() -> Self {
        Self {
            weights: Box::new([0.0; BUCKETS]),
            total: 0.0,
            next: 1.0,
        }
    }

    /// What is believed of a fleet before it was ever seen: errors of a Laplace distribution, whose p95 is 1.6
    /// scales, with the weight of 20 truths.
    pub(crate) fn guess() -> Self {
        let mut spread = Self::empty();
        for rank in 0..10_u8 {
            let tail = (f32::from(rank) + 0.5) / 20.0;
            let error = -0.7 * (2.0 * tail).ln();
            spread.add(error);
            spread.add(-error);
        }
        spread
    }

    /// Takes in one error, in scales.
    pub(crate) fn add(&mut self, error: f32) {
        if !error.is_finite() {
            return;
        }
        let place = ((error / KNEE).asinh() + END) / (2.0 * END) * BUCKETS as f32;
        let bucket = (place.max(0.0) as usize).min(BUCKETS - 1);
        if let Some(weight) = self.weights.get_mut(bucket) {
            *weight += self.next;
            self.total += self.next;
        }
        self.next /= Self::KEEP;
        if self.next > 1e3 {
            let by = 1.0 / self.next;
            self.weights.iter_mut().for_each(|weight| *weight *= by);
            self.total *= by;
            self.next = 1.0;
        }
    }

    /// Quantiles of the errors at [`QUANTILES`], in scales; `prior` counts as `prior_weight` errors more.
    pub(crate) fn quantiles(&self, prior: &Self, prior_weight: f32) -> [f32; 4] {
        let own = 1.0 / self.next;
        let lent = if prior.total > 0.0 {
            prior_weight / prior.total
        } else {
            0.0
        };
        let total = self.total * own + prior.total * lent;
        let mut found = [0.0; 4];
        let (mut passed, mut rank) = (0.0_f32, 0_usize);
        for (bucket, (mine, theirs)) in self.weights.iter().zip(prior.weights.iter()).enumerate() {
            let weight = mine * own + theirs * lent;
            while let Some((slot, tau)) = found.get_mut(rank).zip(QUANTILES.get(rank)) {
                let wanted = *tau as f32 * total;
                if weight <= 0.0 || passed + weight < wanted {
                    break;
                }
                *slot = edge(bucket as f32 + (wanted - passed) / weight);
                rank += 1;
            }
            passed += weight;
        }
        let highest = found.get(rank.saturating_sub(1)).copied().unwrap_or_default();
        found.iter_mut().skip(rank).for_each(|slot| *slot = highest);
        found
    }
}

/// The error at a place among the buckets.
fn edge(place: f32) -> f32 {
    KNEE * (place / BUCKETS as f32 * 2.0 * END - END).sinh()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close_to_the_sorted_ones() {
        for factor in [0.02_f32, 1.0, 30.0] {
            let mut spread = Spread::empty();
            let error = |i: u16| factor * (f32::from(i) / 1_000.0 - 0.3);
            (0..1_000).for_each(|i| spread.add(error((i * 7) % 1_000)));
            for (found, tau) in spread.quantiles(&Spread::guess(), 0.0).into_iter().zip(QUANTILES) {
                let exact = factor * (tau as f32 - 0.3);
                assert!(
                    (found - exact).abs() < 0.06 * exact.abs() + 0.014,
                    "{factor} {tau}: {found} for {exact}"
                );
            }
        }
    }

    #[test]
    fn an_empty_spread_takes_the_prior_and_old_errors_fade() {
        let guess = Spread::guess();
        let cold = Spread::empty().quantiles(&guess, 10.0);
        assert!(cold.is_sorted() && (1.2..2.2).contains(&cold[2]), "{cold:?}");
        let mut spread = Spread::empty();
        (0..20_000).for_each(|_| spread.add(50.0));
        (0..30_000).for_each(|_| spread.add(0.5));
        let later = spread.quantiles(&guess, 0.0);
        assert!((later[3] - 0.5).abs() < 0.1, "{later:?}");
        assert!(spread.total.is_finite());
    }
}
