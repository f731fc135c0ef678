//! What the network sees of one host at one moment, free of units: differences over the recent spread.

mod past;

use crate::window::{FOLD, Layout, RESOURCES, ResourceRow};
use past::{AVERAGES, LEVELS, Past, Span};

/// Added to a scale as a share of the reference, so that a flat series has a finite one.
const SCALE_FLOOR: f32 = 0.003;

/// Rows back from the newest whose values are features.
const LAGS: [usize; 18] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 30, 45, 60, 90, 120, 150, 180];

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
