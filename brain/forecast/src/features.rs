//! What the network sees of one host at one moment, free of units: differences over the recent spread.

use shadow::Resource;

use crate::window::{FOLD, Layout, RESOURCES, ResourceRow};

/// Added to a scale as a share of the reference, so that a flat series has a finite one.
const SCALE_FLOOR: f32 = 0.003;

/// Rows back from the newest whose values are features.
const LAGS: [usize; 18] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 30, 45, 60, 90, 120, 150, 180];

/// Weights of the averages among the features.
const AVERAGES: [f32; 5] = [0.1, 0.2, 0.35, 0.5, 0.7];

/// Rows that these averages read: the slowest has forgotten all but a thousandth of what is older.
const AVERAGE_ROWS: usize = 64;

/// Quantiles of the lookback among the features.
const LEVELS: [f32; 4] = [0.1, 0.5, 0.9, 0.99];

/// Most rows that these quantiles are taken from.
const LEVEL_ROWS: usize = 288;

/// Statistics of one window of one resource, relative to the newest value.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    mean: f32,
    deviation: f32,
    high: f32,
    low: f32,
}

/// One host at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moment {
    /// The newest known value of each resource; NaN when the lookback has none.
    pub(crate) last: ResourceRow,
    /// Recent spread of each resource, in its unit, above 0.
    pub(crate) scale: ResourceRow,
    /// What a large value of each resource is: 1 for shares of capacity, else the highest value looked at.
    pub(crate) reference: ResourceRow,
    /// Rows looked at that have a value.
    pub(crate) known: [usize; RESOURCES],
    /// `[input, fold, resource]`, oldest first: bins of the window as asinh of the difference from the newest
    /// value over the scale.
    pub(crate) sequence: Vec<f32>,
    /// `[resource, feature]`, in the order of [`names`].
    pub(crate) statistics: Vec<f32>,
}

/// Features of each resource.
pub(crate) fn count(layout: &Layout) -> usize {
    names(layout).len()
}

/// Names of the features of a resource, in order; they are kept with the weights.
pub(crate) fn names(layout: &Layout) -> Vec<String> {
    let mut names: Vec<String> = LAGS.iter().map(|lag| format!("lag{lag}")).collect();
    for rows in layout.windows {
        names.extend(["mean", "deviation", "high", "low"].map(|what| format!("{what}{rows}")));
    }
    names.extend(AVERAGES.iter().map(|alpha| format!("average{alpha}")));
    for horizon in &layout.horizons {
        let of = [
            "ago20m",
            "ago30m",
            "hour",
            "hours_mean",
            "hours_high",
            "day",
            "day_mean",
            "day_high",
        ];
        names.extend(of.map(|what| format!("{what}_{horizon}")));
    }
    names.extend(LEVELS.iter().map(|level| format!("level{level}")));
    for other in 1..RESOURCES {
        names.extend(["value", "change", "mean_short", "mean_long"].map(|what| format!("other{other}_{what}")));
    }
    names.extend(["value".to_owned(), "log_scale".to_owned()]);
    names
}

/// Describes the newest of `rows` by itself and those before it, at most the layout's lookback.
///
/// `rows`: oldest first. What does not exist, or is missing, becomes 0: no change.
pub(crate) fn describe(layout: &Layout, rows: &[ResourceRow]) -> Moment {
    let rows = rows.get(rows.len().saturating_sub(layout.lookback)..).unwrap_or(rows);
    let mut moment = Moment::default();
    let mut spans = [[Span::default(); 5]; RESOURCES];
    for resource in 0..RESOURCES {
        let series = Past { rows, resource };
        let (last, spans_of, known) = series.spans(layout);
        let reference = series.reference();
        let squares: f32 = spans_of
            .iter()
            .skip(1)
            .map(|span| span.deviation * span.deviation)
            .sum();
        set(&mut moment.last, resource, last);
        set(
            &mut moment.scale,
            resource,
            (squares / 4.0).sqrt() + SCALE_FLOOR * reference,
        );
        set(&mut moment.reference, resource, reference);
        set(&mut moment.known, resource, known);
        set(&mut spans, resource, spans_of);
    }
    moment.sequence = sequence(layout, rows, &moment);
    moment.statistics = statistics(layout, rows, &moment, &spans);
    moment
}

fn set<T>(array: &mut [T; RESOURCES], index: usize, value: T) {
    if let Some(slot) = array.get_mut(index) {
        *slot = value;
    }
}

fn sequence(layout: &Layout, rows: &[ResourceRow], moment: &Moment) -> Vec<f32> {
    let bins = layout.inputs * FOLD;
    let mut sequence = vec![0.0; bins * RESOURCES];
    for (bin, out) in sequence.chunks_exact_mut(RESOURCES).rev().enumerate() {
        let end = rows.len().saturating_sub(bin * layout.bin);
        let Some(inside) = rows.get(end.saturating_sub(layout.bin)..end) else {
            continue;
        };
        for (resource, slot) in out.iter_mut().enumerate() {
            let at = (moment.last.get(resource), moment.scale.get(resource));
            let (Some(last), Some(scale)) = at else { continue };
            let (mut sum, mut known) = (0.0, 0.0);
            for value in inside
                .iter()
                .filter_map(|row| row.get(resource))
                .filter(|value| value.is_finite())
            {
                sum += value - last;
                known += 1.0;
            }
            if known > 0.0 {
                *slot = (sum / known / scale).asinh();
            }
        }
    }
    sequence
}

fn statistics(layout: &Layout, rows: &[ResourceRow], moment: &Moment, spans: &[[Span; 5]; RESOURCES]) -> Vec<f32> {
    let mut out = Vec::new();
    for resource in 0..RESOURCES {
        let numbers = (
            moment.last.get(resource),
            moment.scale.get(resource),
            moment.reference.get(resource),
        );
        let (Some(&last), Some(&scale), Some(&reference)) = numbers else {
            continue;
        };
        let past = Past { rows, resource };
        let mut add = |difference: f32| out.push(finite((difference / scale).asinh()));
        for lag in LAGS {
            add(past.ago(lag) - last);
        }
        for span in spans.get(resource).into_iter().flatten() {
            [span.mean, span.deviation, span.high, span.low]
                .into_iter()
                .for_each(&mut add);
        }
        past.averages().into_iter().for_each(|average| add(average - last));
        for &horizon in &layout.horizons {
            past.same_phase(layout, horizon)
                .into_iter()
                .for_each(|value| add(value - last));
        }
        past.levels().into_iter().for_each(|level| add(level - last));
        for other in (1..RESOURCES).map(|turn| (resource + turn) % RESOURCES) {
            out.extend(other_features(&Past { rows, resource: other }, moment, spans));
        }
        out.push(finite(last / reference));
        out.push(finite((scale / reference).ln()));
    }
    out
}

/// Another resource of the host: its value over the reference, its last change, its means.
fn other_features(past: &Past<'_>, moment: &Moment, spans: &[[Span; 5]; RESOURCES]) -> [f32; 4] {
    let other = past.resource;
    let numbers = (
        moment.last.get(other),
        moment.scale.get(other),
        moment.reference.get(other),
        spans.get(other),
    );
    let (Some(last), Some(scale), Some(reference), Some(spans)) = numbers else {
        return [0.0; 4];
    };
    let [_, short, _, _, long] = spans;
    let changes = [last - past.ago(1), -short.mean, -long.mean];
    let [change, short, long] = changes.map(|difference| finite((difference / scale).asinh()));
    [finite(last / reference), change, short, long]
}

fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

/// One resource of the rows up to a moment.
struct Past<'a> {
    rows: &'a [ResourceRow],
    resource: usize,
}

impl Past<'_> {
    /// The value `rows` rows before the newest, NaN when there is none.
    fn ago(&self, rows: usize) -> f32 {
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
    fn reference(&self) -> f32 {
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
    fn spans(&self, layout: &Layout) -> (f32, [Span; 5], usize) {
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

    fn averages(&self) -> [f32; 5] {
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
    fn same_phase(&self, layout: &Layout, horizon: usize) -> [f32; 8] {
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

    fn levels(&self) -> [f32; 4] {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    fn layout() -> Layout {
        Layout::new(&Config::for_step(60))
    }

    #[test]
    fn features_have_names_and_the_right_values() {
        let layout = layout();
        let rows: Vec<ResourceRow> = (0..100_u8)
            .map(|row| [f32::from(row) / 100.0, 0.5, 0.0, 0.0, f32::NAN])
            .collect();
        let moment = describe(&layout, &rows);
        let names = names(&layout);
        assert_eq!(moment.statistics.len(), RESOURCES * names.len());
        assert_eq!(moment.sequence.len(), layout.inputs * Layout::input_width());
        let of = |name: &str| moment.statistics[names.iter().position(|known| known == name).unwrap()];
        let scaled = |difference: f32| (difference / moment.scale[0]).asinh();
        for (name, expected) in [
            ("lag1", scaled(-0.01)),
            ("lag30", scaled(-0.30)),
            ("lag120", 0.0),
            ("mean5", scaled(-0.02)),
            ("low60", scaled(-0.59)),
            ("high1440", scaled(0.0)),
            ("ago30m_5", scaled(-0.25)),
            ("hour_10", scaled(-0.50)),
            ("level0.5", scaled(-0.495)),
            ("value", 0.99),
            ("other1_value", 0.5),
        ] {
            assert!(
                (of(name) - expected).abs() < 1e-4,
                "{name}: {} for {expected}",
                of(name)
            );
        }
        assert!((moment.scale[1] - SCALE_FLOOR).abs() < 1e-7, "flat: {:?}", moment.scale);
        assert!(moment.last[4].is_nan() && moment.known == [100, 100, 100, 100, 0]);
    }

    #[test]
    fn rates_have_no_unit() {
        let layout = layout();
        let rows = |unit: f32| -> Vec<ResourceRow> {
            (0..200_u16)
                .map(|row| [0.1, 0.2, unit * f32::from(row * 37 % 101), 0.0, f32::NAN])
                .collect()
        };
        let (small, large) = (describe(&layout, &rows(1.0)), describe(&layout, &rows(1e6)));
        for (a, b) in small.statistics.iter().zip(&large.statistics) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn nothing_poisons_the_features(
            rows in prop::collection::vec(prop::array::uniform5(prop_oneof![
                Just(f32::NAN), Just(0.0_f32), 0.0_f32..1e9
            ]), 0..300)
        ) {
            let moment = describe(&layout(), &rows);
            prop_assert!(moment.statistics.iter().chain(&moment.sequence).chain(&moment.scale).all(|v| v.is_finite()));
            prop_assert!(moment.scale.iter().all(|scale| *scale > 0.0));
        }
    }
}
