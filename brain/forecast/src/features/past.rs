//! One track up to a moment: windows, averages, earlier cycles, quantiles.

use crate::window::Layout;

/// Weights of the averages among the features.
pub(super) const AVERAGES: [f32; 5] = [0.1, 0.2, 0.35, 0.5, 0.7];

/// Rows that these averages read: the slowest has forgotten all but 1e-12 of what is older.
const AVERAGE_ROWS: usize = 256;

/// Quantiles of the last week among the features.
pub(super) const LEVELS: [f32; 4] = [0.1, 0.5, 0.9, 0.99];

/// Days of the levels and of the same moment on earlier days.
const DAYS: usize = 7;

/// Added to a scale, so that a flat series has a finite one.
pub(super) const SCALE_FLOOR: f32 = 0.003;

/// Statistics of one window, relative to the newest value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) mean: f32,
    pub(super) deviation: f32,
    pub(super) high: f32,
    pub(super) low: f32,
}

/// A track's newest known value, the statistics of the layout's windows, and how many values are known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spans {
    pub(super) last: f32,
    pub(super) windows: [Span; 5],
    pub(super) known: usize,
}

impl Spans {
    /// The recent spread, above 0: deviations of the windows from 15 min on.
    pub(super) fn scale(&self) -> f32 {
        scale(
            self.windows
                .iter()
                .skip(1)
                .map(|span| span.deviation * span.deviation)
                .sum(),
        )
    }
}

/// The scale from the sum of the variances of the four windows from 15 min on.
fn scale(variances: f32) -> f32 {
    (variances / 4.0).sqrt() + SCALE_FLOOR
}

/// Lanes of the sums below: what the compiler does side by side.
const LANES: usize = 8;

/// Sums over differences, lane by lane.
#[derive(Clone, Copy)]
struct Sums {
    sum: [f64; LANES],
    squares: [f64; LANES],
    known: [f64; LANES],
    high: [f32; LANES],
    low: [f32; LANES],
}

impl Sums {
    const EMPTY: Self = Self {
        sum: [0.0; LANES],
        squares: [0.0; LANES],
        known: [0.0; LANES],
        high: [f32::NEG_INFINITY; LANES],
        low: [f32::INFINITY; LANES],
    };

    fn add(&mut self, values: &[f32], last: f32) {
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            self.add_chunk(chunk, last);
        }
        let mut padded = [f32::NAN; LANES];
        padded.iter_mut().zip(rest).for_each(|(slot, value)| *slot = *value);
        self.add_chunk(&padded, last);
    }

    fn add_chunk(&mut self, values: &[f32; LANES], last: f32) {
        let differences = values.map(|value| value - last);
        let known = differences.map(f32::is_finite);
        let or = |other: f32| {
            let mut filled = differences;
            for (value, known) in filled.iter_mut().zip(known) {
                *value = if known { *value } else { other };
            }
            filled
        };
        let (zeros, highs, lows) = (or(0.0).map(f64::from), or(f32::NEG_INFINITY), or(f32::INFINITY));
        for (sum, value) in self.sum.iter_mut().zip(zeros) {
            *sum += value;
        }
        for (square, value) in self.squares.iter_mut().zip(zeros) {
            *square += value * value;
        }
        for (count, known) in self.known.iter_mut().zip(known) {
            *count += if known { 1.0 } else { 0.0 };
        }
        for (high, value) in self.high.iter_mut().zip(highs) {
            *high = if value > *high { value } else { *high };
        }
        for (low, value) in self.low.iter_mut().zip(lows) {
            *low = if value < *low { value } else { *low };
        }
    }

    fn span(&self) -> Span {
        let [sum, squares, count] = [self.sum, self.squares, self.known].map(|lanes| lanes.iter().sum::<f64>());
        if count < 1.0 {
            return Span::default();
        }
        let variance = (squares - sum * sum / count).max(0.0) / (count - 1.0).max(1.0);
        Span {
            mean: (sum / count) as f32,
            deviation: variance.sqrt() as f32,
            high: self.high.into_iter().fold(f32::NEG_INFINITY, f32::max),
            low: self.low.into_iter().fold(f32::INFINITY, f32::min),
        }
    }
}

/// One track up to a moment, at most the layout's lookback of it, the newest value last; NaN = missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Past<'a>(pub(super) &'a [f32]);

impl Past<'_> {
    /// The value `rows` rows before the newest, NaN when there is none.
    pub(super) fn ago(&self, rows: usize) -> f32 {
        let row = self.0.len().checked_sub(rows + 1).and_then(|row| self.0.get(row));
        row.copied().unwrap_or(f32::NAN)
    }

    pub(super) fn spans(&self, layout: &Layout) -> Spans {
        let last = self.0.iter().rev().copied().find(|value| value.is_finite());
        let mut spans = Spans {
            last: last.unwrap_or(f32::NAN),
            ..Spans::default()
        };
        let (mut sums, mut end) = (Sums::EMPTY, self.0.len());
        for (span, rows) in spans.windows.iter_mut().zip(layout.windows) {
            let begin = self.0.len().saturating_sub(rows);
            sums.add(self.0.get(begin..end).unwrap_or_default(), spans.last);
            *span = sums.span();
            end = begin;
        }
        spans.known = sums.known.iter().sum::<f64>() as usize;
        spans
    }

    pub(super) fn averages(&self) -> [f32; 5] {
        let mut averages = [f32::NAN; 5];
        let newest = self
            .0
            .get(self.0.len().saturating_sub(AVERAGE_ROWS)..)
            .unwrap_or(self.0);
        for &value in newest.iter().filter(|value| value.is_finite()) {
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

    /// Values at the target's phase of earlier cycles, as many as exist, all of them in the past: an hour before it, mean
    /// and highest of up to four hours; mean, highest and deviation of up to seven days; a day before it, mean and highest
    /// of the quarters of an hour around.
    pub(super) fn same_phase(&self, layout: &Layout, horizon: usize) -> [f32; 9] {
        let before = |cycle: usize| cycle.checked_sub(horizon).map_or(f32::NAN, |rows| self.ago(rows));
        let hours = [1, 2, 3, 4].map(|hours| before(hours * layout.hour));
        let over_hours = Few::of(hours.into_iter());
        let days: [f32; DAYS] = std::array::from_fn(|day| before((day + 1) * layout.day));
        let over_days = Few::of(days.into_iter());
        let oldest = (layout.day + layout.quarter).saturating_sub(horizon);
        let newest = layout.day.checked_sub(horizon + layout.quarter);
        let around = newest.map_or(&[][..], |newest| self.between(oldest, newest));
        let over_day = Few::of(around.iter().copied());
        [
            hours[0],
            over_hours.mean,
            over_hours.high,
            over_days.mean,
            over_days.high,
            over_days.deviation,
            days[0],
            over_day.mean,
            over_day.high,
        ]
    }

    /// The values from `oldest` rows ago to `newest` rows ago, both included.
    fn between(&self, oldest: usize, newest: usize) -> &[f32] {
        let end = self.0.len().saturating_sub(newest);
        let begin = self.0.len().saturating_sub(oldest + 1);
        self.0.get(begin..end).unwrap_or_default()
    }

    /// [`LEVELS`] of the last week, from one value each 5 min.
    pub(super) fn levels(&self, layout: &Layout) -> [f32; 4] {
        let week = self.0.iter().rev().take(DAYS * layout.day + 1).step_by(layout.thin);
        let mut values: Vec<f32> = week.copied().filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f32::total_cmp);
        LEVELS.map(|level| interpolate(&values, level))
    }
}

/// Mean, highest and deviation (population) of the finite ones among a few values; NaN when there is none.
struct Few {
    mean: f32,
    high: f32,
    deviation: f32,
}

impl Few {
    fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let known = values.filter(|value| value.is_finite());
        let (mut sum, mut count, mut high) = (0.0_f64, 0.0_f64, f32::NAN);
        for value in known.clone() {
            sum += f64::from(value);
            count += 1.0;
            high = high.max(value);
        }
        let mean = sum / count;
        let squares: f64 = known.map(|value| (f64::from(value) - mean).powi(2)).sum();
        Self {
            mean: mean as f32,
            high,
            deviation: (squares / count).sqrt() as f32,
        }
    }
}

/// Quantile of rising values by linear interpolation; NaN when there are none.
fn interpolate(values: &[f32], level: f32) -> f32 {
    let place = f64::from(level) * values.len().saturating_sub(1) as f64;
    let (low, part) = (place.floor() as usize, place.fract() as f32);
    let at = |index: usize| values.get(index).copied();
    match (at(low), at(low + 1)) {
        (Some(low), Some(high)) => low + part * (high - low),
        (Some(low), None) => low,
        _ => f32::NAN,
    }
}

/// The scale at each row of a track, as [`Spans::scale`] gives it for the newest: one pass over all rows.
pub(crate) fn scales(layout: &Layout, values: &[f32]) -> Vec<f32> {
    let first = values.iter().copied().find(|value| value.is_finite()).unwrap_or(0.0);
    let mut sums: Vec<[f64; 3]> = Vec::with_capacity(values.len() + 1);
    let mut sum = [0.0_f64; 3];
    sums.push(sum);
    for value in values {
        let difference = f64::from(value - first);
        if difference.is_finite() {
            let [count, plain, squares] = sum;
            sum = [count + 1.0, plain + difference, squares + difference * difference];
        }
        sums.push(sum);
    }
    let variance = |end: usize, rows: usize| {
        let (until, from) = (sums.get(end), sums.get(end.saturating_sub(rows)));
        let (Some(until), Some(from)) = (until, from) else {
            return 0.0;
        };
        let [count, plain, squares] =
            std::array::from_fn(|i| until.get(i).unwrap_or(&0.0) - from.get(i).unwrap_or(&0.0));
        if count < 2.0 {
            return 0.0;
        }
        ((squares - plain * plain / count).max(0.0) / (count - 1.0)) as f32
    };
    let windows = layout.windows.iter().skip(1);
    let at = |end: usize| scale(windows.clone().map(|rows| variance(end, *rows)).sum());
    (1..=values.len()).map(at).collect()
}
