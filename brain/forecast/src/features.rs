//! What the network sees of one host at one moment, free of units: differences over the recent spread.

mod columns;
mod past;
#[cfg(test)]
mod tests;

use std::f32::consts::LN_2;

use crate::window::{Layout, Look, Place};
pub(crate) use columns::Columns;
pub(crate) use past::scales;
use past::{AVERAGES, LEVELS, Past, Spans};

/// Rows back from the newest whose values are features.
const LAGS: [usize; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 30];

/// One host at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Moment {
    /// By target.
    pub(crate) targets: Vec<Standing>,
    /// The scale of each channel.
    pub(crate) scales: Vec<f32>,
    /// `[target, feature]`, in the order of [`names`].
    pub(crate) statistics: Vec<f32>,
}

/// Where a target stands at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Standing {
    /// The newest known value over the mark; NaN when the lookback has none.
    pub(crate) last: f32,
    /// Recent spread over the mark, above 0.
    pub(crate) scale: f32,
    /// What 1 is in the target's unit: 1 for shares of a capacity, else the high mark of the past.
    pub(crate) mark: f32,
    /// Rows of the last day that have a value.
    pub(crate) known: usize,
}

/// Quantiles of each target over the last week, in its unit. They are taken once an hour.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Levels(Vec<[f32; 4]>);

impl Levels {
    /// Those of the rows up to `row`.
    pub(crate) fn new(layout: &Layout, columns: &Columns, row: usize) -> Self {
        let of = |place: &Place| {
            let past = Past(columns.past(layout, place.track, row));
            past.levels(layout).map(|level| level * columns.mark(place.track))
        };
        Self(layout.targets.iter().map(of).collect())
    }
}

/// Features of each target.
pub(crate) fn count(layout: &Layout) -> usize {
    names(layout).len()
}

/// Names of the features of a target, in order; they are kept with the weights.
pub(crate) fn names(layout: &Layout) -> Vec<String> {
    let mut names: Vec<String> = LAGS.iter().map(|lag| format!("lag{lag}")).collect();
    for rows in layout.windows {
        names.extend(["mean", "deviation", "high", "low"].map(|what| format!("{what}{rows}")));
    }
    names.extend(AVERAGES.iter().map(|alpha| format!("average{alpha}")));
    for horizon in &layout.horizons {
        let of = [
            "hour",
            "hours_mean",
            "hours_high",
            "days_mean",
            "days_high",
            "days_deviation",
            "day",
            "day_mean",
            "day_high",
        ];
        names.extend(of.map(|what| format!("{what}_{horizon}")));
    }
    names.extend(LEVELS.iter().map(|level| format!("level{level}")));
    names.push("value".to_owned());
    for other in 1..layout.channels {
        names.extend(["value", "change", "mean_short", "mean_long"].map(|what| format!("other{other}_{what}")));
    }
    names.push("log_scale".to_owned());
    names
}

/// Describes one row of `columns` by itself and those before it, at most the layout's lookback.
///
/// What does not exist, or is missing, becomes 0: no change.
pub(crate) fn describe(layout: &Layout, columns: &Columns, row: usize, levels: &Levels) -> Moment {
    let spans: Vec<Spans> = (0..layout.tracks.len())
        .map(|track| Past(columns.past(layout, track, row)).spans(layout))
        .collect();
    let others: Vec<[f32; 4]> = spans
        .iter()
        .take(layout.channels)
        .enumerate()
        .map(|(track, spans)| beside(&Past(columns.past(layout, track, row)), spans))
        .collect();
    let mut moment = Moment {
        scales: spans.iter().take(layout.channels).map(Spans::scale).collect(),
        ..Moment::default()
    };
    for (target, place) in layout.targets.iter().enumerate() {
        let Some(own) = spans.get(place.track) else { continue };
        let mark = columns.mark(place.track);
        let levels = levels
            .0
            .get(target)
            .map_or([f32::NAN; 4], |levels| levels.map(|level| level / mark));
        let past = Past(columns.past(layout, place.track, row));
        own_features(layout, &past, own, &levels, &mut moment.statistics);
        let others = place.others.iter().filter_map(|other| others.get(*other));
        moment.statistics.extend(others.flatten());
        moment.statistics.push(own.scale().ln());
        moment.targets.push(Standing {
            last: own.last,
            scale: own.scale(),
            mark,
            known: own.known,
        });
    }
    moment
}

fn own_features(layout: &Layout, past: &Past<'_>, own: &Spans, levels: &[f32; 4], out: &mut Vec<f32>) {
    let (last, by) = (own.last, 1.0 / f64::from(own.scale()));
    let mut add = |difference: f32| out.push(asinh(f64::from(difference) * by));
    for lag in LAGS {
        add(past.ago(lag) - last);
    }
    for span in &own.windows {
        [span.mean, span.deviation, span.high, span.low]
            .into_iter()
            .for_each(&mut add);
    }
    past.averages().into_iter().for_each(|average| add(average - last));
    for &horizon in &layout.horizons {
        let [
            hour,
            hours,
            hours_high,
            days,
            days_high,
            deviation,
            day,
            around,
            around_high,
        ] = past.same_phase(layout, horizon);
        let values = [hour, hours, hours_high, days, days_high].map(|value| value - last);
        values.into_iter().for_each(&mut add);
        add(deviation);
        for value in [day, around, around_high] {
            add(value - last);
        }
    }
    for level in levels {
        add(level - last);
    }
    out.push(finite(last));
}

/// A channel as it is beside a target: its value, its last change, and how far it is from its means of 15 min and a day.
fn beside(past: &Past<'_>, spans: &Spans) -> [f32; 4] {
    let by = 1.0 / f64::from(spans.scale());
    let [_, short, _, _, long] = spans.windows;
    let [change, short, long] =
        [spans.last - past.ago(1), -short.mean, -long.mean].map(|difference| asinh(f64::from(difference) * by));
    [finite(spans.last), change, short, long]
}

/// Appends what one LSTM reads at `row`: `[input, fold, channel]`, oldest first, bins of rows as asinh of their mean (and
/// highest) difference from the newest value over the channel's scale. `scales` are those of the moment.
pub(crate) fn sequence(
    layout: &Layout,
    look: &Look,
    columns: &Columns,
    row: usize,
    scales: &[f32],
    out: &mut Vec<f32>,
) {
    let width = look.width(layout.channels);
    let begin = out.len();
    out.resize(begin + look.ends.len() * width, 0.0);
    let Some(window) = out.get_mut(begin..) else { return };
    let of_bin = if look.highs { 2 } else { 1 };
    let mut bins = Vec::with_capacity(window.len() / layout.channels.max(1));
    for (channel, scale) in scales.iter().take(layout.channels).enumerate() {
        let past = columns.past(layout, channel, row);
        let Some(last) = past.iter().rev().copied().find(|value| value.is_finite()) else {
            continue;
        };
        let by = 1.0 / *scale;
        bins.clear();
        for (mean, high) in look.ends.iter().flat_map(|end| look.bins(past, *end, last)) {
            bins.push(mean * by);
            if look.highs {
                bins.push(high * by);
            }
        }
        for value in &mut bins {
            *value = swift_asinh(*value);
        }
        let slots = window.chunks_mut(of_bin).skip(channel).step_by(layout.channels);
        for (slot, bin) in slots.zip(bins.chunks(of_bin)) {
            slot.copy_from_slice(bin);
        }
    }
}

impl Look {
    /// Mean and highest of the bins of the input that ends `end` rows before the newest of `past`, less `last`; NaN of what does
    /// not exist.
    fn bins<'a>(&'a self, past: &'a [f32], end: usize, last: f32) -> impl Iterator<Item = (f32, f32)> + 'a {
        (0..self.fold).rev().map(move |back| {
            let until = past.len().saturating_sub(end + back * self.bin);
            let inside = past.get(until.saturating_sub(self.bin)..until).unwrap_or(&[]);
            match inside {
                [value] => (value - last, value - last),
                _ => mean_and_high(inside, last),
            }
        })
    }
}

fn mean_and_high(values: &[f32], last: f32) -> (f32, f32) {
    let (mut sum, mut known, mut high) = (0.0_f64, 0.0_f64, f32::NAN);
    for value in values.iter().filter(|value| value.is_finite()) {
        sum += f64::from(value - last);
        known += 1.0;
        high = high.max(value - last);
    }
    ((sum / known) as f32, high)
}

/// What an area hyperbolic sine takes at most: beyond it its square would be no number.
const MOST: f32 = 1e9;

/// Coefficients of (ln(1 + m) - m + m^2 / 2) / m^3 for m from -.3 to .42, the highest first (Moshier's Cephes, `logf`).
const LN: [f32; 9] = [
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_9e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_8e-1,
    2.000_071_5e-1,
    -2.499_999_4e-1,
    3.333_333e-1,
];

/// Area hyperbolic sine within 2e-7, absolutely where it is small; 0 of what is no number. Unlike [`asinh`] it becomes vectors:
/// of a moment there are thousands.
fn swift_asinh(value: f32) -> f32 {
    let size = value.abs().min(MOST);
    let bits = (size + (size * size + 1.0).sqrt()).to_bits();
    // ln(m 2^e) with m from sqrt(1/2) to sqrt(2).
    let exponent = bits.wrapping_sub(0x3f35_04f3) >> 23;
    let m = f32::from_bits(bits.wrapping_sub(exponent << 23)) - 1.0;
    let square = m * m;
    let rest = LN.iter().fold(0.0, |sum, factor| sum * m + factor);
    let ln = exponent as f32 * LN_2 + (m - 0.5 * square + square * m * rest);
    if value.is_finite() { ln.copysign(value) } else { 0.0 }
}

/// Area hyperbolic sine; 0 of what is no number.
fn asinh(value: f64) -> f32 {
    let size = value.abs();
    let result = (size + (size * size + 1.0).sqrt()).ln().copysign(value);
    finite(result as f32)
}

const fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}
