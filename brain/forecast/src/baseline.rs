//! Exponentially weighted averages, side by side, and which of them forecasts a horizon best.

/// Weights of the newest value in the averages kept side by side; of these each horizon uses the one with the
/// lowest recent error. From "nearly the last value" to a mean over some hundred rows.
pub(crate) const ALPHAS: [f32; 10] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9];

/// Values of the averages at one moment, in the order of [`ALPHAS`].
pub(crate) type Levels = [f32; ALPHAS.len()];

/// Exponentially weighted averages of one series.
#[derive(Debug, Clone, Default)]
pub(crate) struct Averages {
    levels: Option<Levels>,
}

impl Averages {
    /// Takes in the next value; a missing one (NaN) changes nothing.
    pub(crate) fn push(&mut self, value: f32) {
        if !value.is_finite() {
            return;
        }
        let levels = self.levels.get_or_insert([value; ALPHAS.len()]);
        for (level, alpha) in levels.iter_mut().zip(ALPHAS) {
            *level += alpha * (value - *level);
        }
    }

    pub(crate) const fn levels(&self) -> Option<Levels> {
        self.levels
    }
}

/// Which average forecast one horizon best lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct BestAlpha {
    errors: [f32; ALPHAS.len()],
}

impl BestAlpha {
    /// Share of an error that is left after one more; about 1000 rows count.
    const KEEP: f32 = 0.999;

    pub(crate) fn learn(&mut self, truth: f32, levels: &Levels) {
        for (error, level) in self.errors.iter_mut().zip(levels) {
            *error = Self::KEEP * *error + (truth - level).abs();
        }
    }

    /// The best average's value among `levels`.
    pub(crate) fn pick(&self, levels: &Levels) -> f32 {
        let by_error = self.errors.iter().zip(levels).min_by(|a, b| a.0.total_cmp(b.0));
        by_error.map_or(0.0, |(_, level)| *level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_begin_at_the_first_value_and_skip_gaps() {
        let mut averages = Averages::default();
        averages.push(f32::NAN);
        assert!(averages.levels().is_none());
        for value in [4.0, f32::NAN, 8.0] {
            averages.push(value);
        }
        let levels = averages.levels().unwrap();
        assert!((levels[7] - 6.0).abs() < 1e-6, "{levels:?}");
    }

    #[test]
    fn the_best_average_follows_the_series() {
        let mut best = BestAlpha::default();
        let mut levels = [0.0; ALPHAS.len()];
        levels[3] = 5.0;
        best.learn(5.0, &levels);
        assert_eq!(best.pick(&levels), 5.0);
    }
}
