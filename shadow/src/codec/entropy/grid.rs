//! Values to levels and back, in counts where the time that a rate is taken over is known.

use super::{super::quantize::Quantizer, Cell, RAW, missing_cell};
use crate::{Bound, Grain, Metric, Reading, rate::per_second};

/// A level that leaves more open is not worth telling by grains.
const MOST_GRAINS: f64 = 4_294_967_296.0;

/// The levels of one metric, which may depend on the row.
///
/// A rate of few counts jumps between few values, and these move with the time that it is taken over. So where
/// that time is known, its levels are levels of the count: [`Bound::Relative`] has each count up to `0.5 / ratio`
/// and relative steps above, [`Bound::Absolute`] has each count unless a count is less than a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    bound: Bound,
    grain: Option<Grain>,
    values: Quantizer,
    counts: Quantizer,
    /// Whether 0 is a level.
    has_zero: bool,
}

/// What levels depend on in one row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Moment {
    /// Microseconds that rates are taken over; 0 = not known.
    pub(super) gap_us: u32,
    /// The same in seconds, where it last changed by more than a third; 0 = not known.
    pub(super) ruling_s: f64,
    /// 1 / `gap_us` in seconds.
    pub(super) per_s: f64,
}

impl Moment {
    /// The moment of a row.
    pub(super) fn new(gap_us: u32, ruling_us: u32) -> Self {
        Self {
            gap_us,
            ruling_s: f64::from(ruling_us) / 1e6,
            per_s: if gap_us == 0 { 0.0 } else { 1e6 / f64::from(gap_us) },
        }
    }
}

impl Grid {
    /// The levels of `metric`.
    pub(super) fn new(metric: &Metric) -> Self {
        let counts = match metric.bound {
            Bound::Absolute { .. } => Bound::Absolute { step: 1.0 },
            Bound::Relative { ratio, .. } => Bound::Relative {
                ratio,
                floor: 0.5 / ratio,
            },
        };
        let (values, counts) = (Quantizer::new(metric.bound), Quantizer::new(counts));
        Self {
            bound: metric.bound,
            grain: metric.grain.filter(|grain| grain.is_valid()),
            values,
            counts,
            has_zero: values.value(0) == 0.0 && counts.value(0) == 0.0,
        }
    }

    /// Whether levels depend on the row.
    pub(super) const fn is_rate(&self) -> bool {
        matches!(self.grain, Some(Grain::Rate { .. }))
    }

    /// Whether a level means the same as in `other`, in the same row.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.bound == other.bound && self.grain == other.grain
    }

    /// What one count is in the metric's unit, if levels are levels of counts.
    fn count(&self, moment: &Moment) -> Option<f64> {
        let Some(Grain::Rate { unit }) = self.grain else {
            return None;
        };
        let told_by_value = match self.bound {
            Bound::Absolute { step } => unit <= step * moment.ruling_s,
            Bound::Relative { .. } => false,
        };
        (moment.gap_us > 0 && !told_by_value).then_some(unit * moment.per_s)
    }

    /// The level of the finite `value` that is within the bound, if there is one.
    pub(super) fn level(&self, value: f64, moment: &Moment) -> Option<i64> {
        let Some(count) = self.count(moment) else {
            return self.values.level(value);
        };
        let level = self.counts.nearest(value / count)?;
        let told = self.counts.value(level) * count;
        ((told - value).abs() <= self.bound.max_error(value)).then_some(level)
    }

    /// The values of a column of `cells`, which begin at one of a moment: `None` where there is no level.
    pub(super) fn each_value(
        &self,
        cells: impl Iterator<Item = Cell>,
        moments: &[Moment],
        mut put: impl FnMut(Cell, f64),
    ) {
        // Most cells repeat the one before.
        let mut seen = (Cell::MIN, false, 0.0);
        for (cell, moment) in cells.zip(moments) {
            let count = self.count(moment);
            if (cell, count.is_some()) != (seen.0, seen.1) {
                let levels = if count.is_some() { &self.counts } else { &self.values };
                seen = (cell, count.is_some(), levels.value(cell));
            }
            put(cell, count.map_or(seen.2, |count| seen.2 * count));
        }
    }

    /// The levels of a column of readings that `moments` go with, or why there are none.
    pub(super) fn each_level<'a>(
        &self,
        readings: &[Reading],
        moments: &[Moment],
        cells: impl Iterator<Item = &'a mut Cell>,
    ) {
        let mut seen = (None, RAW);
        for ((reading, moment), cell) in readings.iter().zip(moments).zip(cells) {
            let value = reading.or_nan();
            let count = self.count(moment);
            // Most readings repeat the one before, or are 0.
            let key = Some((value.to_bits(), count.map(f64::to_bits)));
            if seen.0 != key {
                let level = match reading.missing() {
                    Some(why) => missing_cell(why),
                    None if value == 0.0 && self.has_zero => 0,
                    None => self.level(value, moment).unwrap_or(RAW),
                };
                seen = (key, level);
            }
            *cell = seen.1;
        }
    }

    /// The value of `level`; not finite when there is no such level.
    pub(super) fn value(&self, level: i64, moment: &Moment) -> f64 {
        match self.count(moment) {
            Some(count) => self.counts.value(level) * count,
            None => self.values.value(level),
        }
    }

    /// The level in `now` of what was `level` in `before`; 0 if there is none.
    pub(super) fn renew(&self, level: i64, before: &Moment, now: &Moment) -> i64 {
        let value = self.value(level, before);
        if !value.is_finite() {
            return 0;
        }
        self.level(value, now).unwrap_or(0)
    }

    /// The exact value of `count` grains, if it is known what values are made of.
    pub(super) fn exact(&self, count: f64, moment: &Moment) -> Option<f64> {
        match self.grain? {
            Grain::Gauge { unit } => Some(count * unit),
            Grain::Rate { unit } if moment.gap_us > 0 => Some(per_second(count, unit, moment.gap_us)),
            Grain::Rate { .. } => None,
        }
    }

    /// The numbers of grains that a value may have that was told as `told`: the first and how many, at most 2^32.
    pub(super) fn grains(&self, told: f64, moment: &Moment) -> Option<(f64, f64)> {
        let grain = match self.grain? {
            Grain::Gauge { unit } => unit,
            Grain::Rate { unit } if moment.gap_us > 0 => unit * moment.per_s,
            Grain::Rate { .. } => return None,
        };
        let middle = told / grain;
        // The bound is relative to the value, not to what is told; and sums are not exact.
        let reach = self.bound.max_error(told) / grain * 1.031_25 + middle.abs() * 1e-12;
        let (first, last) = ((middle - reach).ceil(), (middle + reach).floor());
        let count = last - first + 1.0;
        ((1.0..=MOST_GRAINS).contains(&count) && middle.abs() < 1e15).then_some((first, count))
    }
}
