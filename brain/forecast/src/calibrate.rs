//! Quantile tracking: a published quantile moves up when too many truths lie above it, and down when too few.

/// How far one truth moves a quantile, in scales. Larger steps cost accuracy at the median and gained nothing
/// (measured on two fleets at 60 s and 300 s).
const STEP: f32 = 0.005;

/// Farthest that a quantile is moved, in scales.
const LIMIT: f32 = 2.0;

/// Offsets of the Q quantiles of one series and horizon, in scales.
///
/// Online subgradient steps on the pinball loss, as in Gibbs and Candes, "Adaptive conformal inference under
/// distribution shift" (2021), on the quantile itself: in the long run the share of truths at or below each
/// quantile is its nominal one whatever the series does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tracker<const Q: usize> {
    offsets: [f32; Q],
}

impl<const Q: usize> Tracker<Q> {
    pub(crate) const fn new() -> Self {
        Self { offsets: [0.0; Q] }
    }

    /// Moves `quantiles` by what was learnt, in units of `scale`, and makes them rising and not below 0.
    pub(crate) fn publish(&self, quantiles: [f32; Q], scale: f32) -> [f32; Q] {
        let mut moved = quantiles;
        for (value, offset) in moved.iter_mut().zip(self.offsets) {
            *value += offset * scale;
        }
        rising(moved)
    }

    /// Learns from the `truth` that came for what was published at the quantiles `taus`.
    pub(crate) fn learn(&mut self, truth: f32, published: &[f32; Q], taus: [f64; Q]) {
        for ((offset, quantile), tau) in self.offsets.iter_mut().zip(published).zip(taus) {
            let below = if truth <= *quantile { 1.0 } else { 0.0 };
            *offset = (*offset + STEP * (tau as f32 - below)).clamp(-LIMIT, LIMIT);
        }
    }
}

/// Makes quantiles rising and not below 0.
pub(crate) fn rising<const Q: usize>(quantiles: [f32; Q]) -> [f32; Q] {
    let mut high = 0.0_f32;
    quantiles.map(|value| {
        high = high.max(value);
        high
    })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use shadow::QUANTILES;

    use super::*;

    #[test]
    fn coverage_comes_to_the_nominal_share_on_a_drifting_series() {
        let mut random = StdRng::seed_from_u64(3);
        let (mut tracker, mut covered, mut counted) = (Tracker::<4>::new(), [0_u32; 4], 0_u32);
        for moment in 0..20_000_u16 {
            let spread = 1.0 + f32::from(moment) / 8_000.0;
            let truth = 100.0 + f32::from(moment) / 300.0 + spread * (random.random::<f32>() - 0.5);
            let published = tracker.publish([100.0 + f32::from(moment) / 300.0; 4], 1.0);
            if moment > 2_000 {
                counted += 1;
                for (count, quantile) in covered.iter_mut().zip(published) {
                    *count += u32::from(truth <= quantile);
                }
            }
            tracker.learn(truth, &published, QUANTILES);
        }
        for (count, tau) in covered.into_iter().zip(QUANTILES) {
            let share = f64::from(count) / f64::from(counted);
            assert!((share - tau).abs() < 0.02, "p{:.0}: {share}", tau * 100.0);
        }
    }

    #[test]
    fn what_is_published_rises_and_is_not_negative() {
        let tracker = Tracker {
            offsets: [1.0, 0.0, -2.0, 0.0],
        };
        assert_eq!(tracker.publish([-5.0, 1.0, 2.0, 1.5], 1.0), [0.0, 1.0, 1.0, 1.5]);
    }
}
