//! How long and how fast a training goes.

use crate::config::Config;

/// Batches that a pass has at least: few moments are shown in smaller ones, not more often.
const BATCHES_A_PASS: usize = 16;

/// Smallest batch.
const MIN_BATCH: usize = 32;

/// Steps over which the learning rate rises at the start.
const WARM_UP: f64 = 100.0;

/// Fewest steps, as far as the settings allow.
const LEAST_STEPS: usize = 150;

/// How long and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) batch: usize,
    pub(super) steps: usize,
    pub(super) rate: f64,
}

impl Plan {
    pub(super) fn new(config: &Config, samples: usize, warm: bool) -> Self {
        let training = &config.training;
        let batch = (samples / BATCHES_A_PASS).clamp(MIN_BATCH, training.batch.max(MIN_BATCH));
        let wanted = (training.passes * samples / batch).max(LEAST_STEPS);
        let steps = wanted.min(training.max_steps);
        if warm {
            Self {
                batch,
                steps: steps.div_ceil(2),
                rate: training.learning_rate / 3.0,
            }
        } else {
            Self {
                batch,
                steps,
                rate: training.learning_rate,
            }
        }
    }

    /// A rise, then half a cosine down to a hundredth.
    pub(super) fn rate_at(&self, step: usize) -> f64 {
        let (at, steps) = (step as f64, self.steps as f64);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * at / steps).cos());
        self.rate * (at / WARM_UP).min(1.0) * (0.01 + 0.99 * cosine)
    }
}
