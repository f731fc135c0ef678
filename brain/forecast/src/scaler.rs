//! Statistics of the features over the training moments. They travel with the weights.

use serde::{Deserialize, Serialize};

/// Added to each deviation, so that a feature that never changes stays finite.
const FLOOR: f64 = 1e-3;

/// Features are cut at this many deviations.
const LIMIT: f32 = 5.0;

/// Mean and deviation of each feature of each resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scaler {
    /// `[resource, feature]`.
    pub(crate) mean: Vec<f32>,
    /// `[resource, feature]`, above 0.
    pub(crate) deviation: Vec<f32>,
}

impl Scaler {
    /// Fits to rows of `[resource, feature]`, all `width` long.
    pub(crate) fn fit<'a>(rows: impl Iterator<Item = &'a [f32]>, width: usize) -> Self {
        let (mut sums, mut squares, mut count) = (vec![0.0_f64; width], vec![0.0_f64; width], 0.0_f64);
        for row in rows {
            count += 1.0;
            for ((sum, square), value) in sums.iter_mut().zip(&mut squares).zip(row) {
                *sum += f64::from(*value);
                *square += f64::from(*value) * f64::from(*value);
            }
        }
        let count = count.max(1.0);
        let deviation = |(sum, square): (&f64, &f64)| ((square - sum * sum / count).max(0.0) / count).sqrt() + FLOOR;
        Self {
            mean: sums.iter().map(|sum| (sum / count) as f32).collect(),
            deviation: sums.iter().zip(&squares).map(|pair| deviation(pair) as f32).collect(),
        }
    }

    /// Standardises a row of `[resource, feature]` in place.
    pub(crate) fn apply(&self, row: &mut [f32]) {
        for (value, (mean, deviation)) in row.iter_mut().zip(self.mean.iter().zip(&self.deviation)) {
            *value = ((*value - mean) / deviation).clamp(-LIMIT, LIMIT);
        }
    }

    /// Whether it has `width` usable entries.
    pub(crate) fn fits(&self, width: usize) -> bool {
        let usable = self.mean.iter().all(|mean| mean.is_finite())
            && self
                .deviation
                .iter()
                .all(|deviation| deviation.is_finite() && *deviation > 0.0);
        usable && self.mean.len() == width && self.deviation.len() == width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_standardised_and_cut() {
        let rows = [[1.0_f32, 7.0], [3.0, 7.0]];
        let scaler = Scaler::fit(rows.iter().map(<[f32; 2]>::as_slice), 2);
        assert!(scaler.fits(2) && !scaler.fits(3));
        let mut row = [3.0, 100.0];
        scaler.apply(&mut row);
        assert!((row[0] - 1.0).abs() < 0.01 && row[1] == 5.0, "{row:?}");
    }
}
