//! Grid rows to resources, and which rows a forecast looks at.

use shadow::{Channel, Resource};

use crate::config::{Config, rows};

/// Values of the five resources at one moment, in the order of [`Resource::ALL`]; NaN = missing.
pub(crate) type ResourceRow = [f32; Resource::ALL.len()];

/// The number of resources.
pub(crate) const RESOURCES: usize = Resource::ALL.len();

/// Consecutive bins that are folded into one LSTM input: fewer, wider steps are faster and were not worse.
pub(crate) const FOLD: usize = 4;

/// Most bins that the window is averaged into, whatever the grid.
const BINS: usize = 60;

/// The sums of a row's channels by resource.
///
/// `row`: columns in the order of [`Channel::ALL`], NaN = missing. Returns values in the order of
/// [`Resource::ALL`], in their units; a resource with a missing channel is missing (NaN).
pub fn resources(row: &[f32; Channel::COUNT]) -> [f32; 5] {
    let mut sums = [0.0; RESOURCES];
    for (channel, value) in Channel::ALL.into_iter().zip(row) {
        if let Some(sum) = sums.get_mut(channel.resource().index()) {
            *sum += if value.is_finite() { *value } else { f32::NAN };
        }
    }
    sums
}

/// The rows that a forecast looks at, counted back from the newest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    /// Seconds between rows.
    pub(crate) step_s: u32,
    /// Horizons in rows.
    pub(crate) horizons: Vec<usize>,
    /// Rows looked at in all.
    pub(crate) lookback: usize,
    /// Rows averaged into a bin of the LSTM's window.
    pub(crate) bin: usize,
    /// LSTM inputs in a window, oldest first; each is [`FOLD`] bins of all resources.
    pub(crate) inputs: usize,
    /// Rows of the statistics windows: 5 min, 15 min, 1 h, 4 h, 1 day, within the lookback.
    pub(crate) windows: [usize; 5],
    /// Rows in an hour.
    pub(crate) hour: usize,
    /// Rows in a day.
    pub(crate) day: usize,
}

impl Layout {
    pub(crate) fn new(config: &Config) -> Self {
        let lookback = config.lookback_rows();
        let bin = config.window_rows().div_ceil(BINS);
        let minutes = [5, 15, 60, 240, 1_440];
        Self {
            step_s: config.step_s,
            horizons: config.horizon_rows(),
            lookback,
            bin,
            inputs: config.window_rows().div_ceil(bin * FOLD).max(1),
            windows: minutes.map(|minutes| rows(minutes * 60, config.step_s).max(2).min(lookback)),
            hour: rows(3_600, config.step_s),
            day: rows(86_400, config.step_s),
        }
    }

    /// Values of one LSTM input.
    pub(crate) const fn input_width() -> usize {
        FOLD * RESOURCES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_summed_and_gaps_stay_gaps() {
        let row = [0.5, 0.25, 1.0, 2.0, f32::NAN, 4.0, f32::INFINITY];
        let [cpu, memory, network, disk, power] = resources(&row);
        assert_eq!((cpu, memory, network), (0.5, 0.25, 3.0));
        assert!(disk.is_nan() && power.is_nan());
    }

    #[test]
    fn every_grid_has_about_fifteen_inputs() {
        for (step_s, bin, inputs) in [(2, 15, 15), (10, 3, 15), (60, 1, 15), (300, 1, 9)] {
            let layout = Layout::new(&Config::for_step(step_s));
            assert_eq!((layout.bin, layout.inputs), (bin, inputs), "step {step_s}");
        }
    }
}
