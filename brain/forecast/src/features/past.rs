//! One resource of the rows up to a moment: windows, averages, earlier cycles, quantiles.

use shadow::Resource;

use crate::window::{Layout, ResourceRow};

/// Weights of the averages among the features.
pub(super) const AVERAGES: [f32; 5] = [0.1, 0.2, 0.35, 0.5, 0.7];

/// Rows that these averages read: the slowest has forgotten all but a thousandth of what is older.
const AVERAGE_ROWS: usize = 64;

/// Quantiles of the lookback among the features.
pub(super) const LEVELS: [f32; 4] = [0.1, 0.5, 0.9, 0.99];

/// Most rows that these quantiles are taken from.
const LEVEL_ROWS: usize = 288;

/// Statistics of one window of one resource, relative to the newest value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) mean: f32,
    pub(super) deviation: f32,
    pub(super) high: f32,
    pub(super) low: f32,
}

/// One resource of the rows up to a moment.
pub(super) struct Past<'a> {
    pub(super) rows: &'a [ResourceRow],
    pub(super) resource: usize,
}

impl Past<'_> {
    /// The value `rows` rows before the newest, NaN when there is none.
    pub(super) fn ago(&self, rows: usize) -> f32 {
        let row = self.rows.len().checked_sub(rows + 1).and_then(|row| self.rows.get(row));
        row.and_then(|row| row.get(self.resource)).copied().unwrap_or(f32::NAN)
    }

    /// Newest first, with gaps as NaN.
    fn newest_first(&self) -> impl Iterator<Item = f32> {
        self.rows
            .iter()
            .rev()
            .map(|row| row.get(self.resource).copied().unwrap_or(f32::NAN))
    }

    /// Highest absolute value for rates and watts; 1 for shares of capacity and for what is always 0.
    pub(super) fn reference(&self) -> f32 {
        let share = Resource::ALL
            .get(self.resource)
            .is_some_and(|resource| resource.unit() == "1");
        let high = if share {
            1.0
        } else {
            self.newest_first().fold(0.0_f32, |high, value| high.max(value.abs()))
        };
        if high > 0.0 { high } else { 1.0 }
    }

    /// The newest known value, the statistics of the layout's windows, and how many values are known.
    pub(super) fn spans(&self, layout: &Layout) -> (f32, [Span; 5], usize) {
        let last = self.newest_first().find(|value| value.is_finite()).unwrap_or(f32::NAN);
        let mut spans = [Span::default(); 5];
        let (mut sum, mut squares, mut known) = (0.0_f64, 0.0_f64, 0_usize);
        let (mut high, mut low) = (f32::NEG_INFINITY, f32::INFINITY);
        let mut values = self.newest_first();
        let mut read = 0;
        for (span, &rows) in spans.iter_mut().zip(&layout.windows) {
            for value in values.by_ref().take(rows - read) {
                let difference = value - last;
                if difference.is_finite() {
                    sum += f64::from(difference);
                    squares += f64::from(difference) * f64::from(difference);
                    known += 1;
                    high = high.max(difference);
                    low = low.min(difference);
                }
            }
            read = rows;
            if known > 0 {
                let count = known as f64;
                let variance = (squares - sum * sum / count).max(0.0) / (count - 1.0).max(1.0);
                *span = Span {
                    mean: (sum / count) as f32,
                    deviation: variance.sqrt() as f32,
                    high,
                    low,
                };
            }
        }
        (last, spans, known)
    }

    pub(super) fn averages(&self) -> [f32; 5] {
        let mut averages = [f32::NAN; 5];
        let newest = self.rows.iter().skip(self.rows.len().saturating_sub(AVERAGE_ROWS));
        for value in newest
            .filter_map(|row| row.get(self.resource))
            .copied()
            .filter(|value| value.is_finite())
        {
            for (average, alpha) in averages.iter_mut().zip(AVERAGES) {
                *average = if average.is_finite() {
                    *average + alpha * (value - *average)
                } else {
                    value
                };
            }
        }
        averages
    }

    /// Values at the target's phase of earlier cycles: 20 and 30 min and an hour before it, mean and highest of
    /// up to four hours, a day before it with the quarter of an hour around. All of them are in the past.
    pub(super) fn same_phase(&self, layout: &Layout, horizon: usize) -> [f32; 8] {
        let before = |cycle: usize| cycle.checked_sub(horizon).map_or(f32::NAN, |rows| self.ago(rows));
        let hours = [1, 2, 3, 4].map(|hours| before(hours * layout.hour));
        let (hours_mean, hours_high) = mean_high(hours.into_iter());
        let around = layout.hour / 4;
        let day = (layout.day + around).saturating_sub(horizon);
        let near = (day.saturating_sub(2 * around)..=day).map(|rows| self.ago(rows));
        let (day_mean, day_high) = if layout.day < layout.lookback {
            mean_high(near)
        } else {
            (f32::NAN, f32::NAN)
        };
        let minutes = |minutes: usize| before(layout.hour * minutes / 60);
        [
            minutes(20),
            minutes(30),
            hours[0],
            hours_mean,
            hours_high,
            before(layout.day),
            day_mean,
            day_high,
        ]
    }

    pub(super) fn levels(&self) -> [f32; 4] {
        let every = self.rows.len().div_ceil(LEVEL_ROWS).max(1);
        let mut values: Vec<f32> = self
            .newest_first()
            .step_by(every)
            .filter(|value| value.is_finite())
            .collect();
        values.sort_unstable_by(f32::total_cmp);
        LEVELS.map(|level| interpolate(&values, level))
    }
}

/// Mean and highest of the finite values; NaN when there is none.
fn mean_high(values: impl Iterator<Item = f32>) -> (f32, f32) {
    let (mut sum, mut known, mut high) = (0.0, 0.0, f32::NAN);
    for value in values.filter(|value| value.is_finite()) {
        sum += value;
        known += 1.0;
        high = high.max(value);
    }
    (sum / known, high)
}

/// Quantile of rising values by linear interpolation; NaN when there are none.
fn interpolate(values: &[f32], level: f32) -> f32 {
    let place = level * values.len().saturating_sub(1) as f32;
    let (low, part) = (place.floor() as usize, place.fract());
    let at = |index: usize| values.get(index).copied();
    match (at(low), at(low + 1)) {
        (Some(low), Some(high)) => low + part * (high - low),
        (Some(low), None) => low,
        _ => f32::NAN,
    }
}
