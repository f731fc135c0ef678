//! Values to levels and back, in counts where the time that a rate is taken over is known.

use super::{
    super::quantize::{Plan, Quantizer, is_ordinary},
    Cell, RAW, cell_missing, is_level,
    lanes::all_bits,
    missing_cell,
};
use crate::{Bound, Grain, Metric, Reading, rate::per_seconds};

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
    /// 1 / the grain's unit.
    per_unit: f64,
    values: Quantizer,
    counts: Quantizer,
    /// Whether 0 is a level.
    has_zero: bool,
    /// Levels from `-2^n` to less than `2^n` have finite values in any row, which are quickly told.
    ordinary: Option<u32>,
}

/// What levels depend on in one row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Moment {
    /// Microseconds that rates are taken over; 0 = not known.
    pub(super) gap_us: u32,
    /// The same in seconds, where it last changed by more than a third; 0 = not known.
    pub(super) ruling_s: f64,
    /// `gap_us` in seconds.
    pub(super) gap_s: f64,
    /// 1 / `gap_us` in seconds.
    pub(super) per_s: f64,
}

impl Moment {
    /// The moment of a row.
    pub(super) fn new(gap_us: u32, ruling_us: u32) -> Self {
        Self {
            gap_us,
            ruling_s: f64::from(ruling_us) / 1e6,
            gap_s: f64::from(gap_us) / 1e6,
            per_s: if gap_us == 0 { 0.0 } else { 1e6 / f64::from(gap_us) },
        }
    }
}

/// The moments of a frame.
#[derive(Debug, Default)]
pub(super) struct Moments {
    pub(super) rows: Vec<Moment>,
    /// Of each: 1 / gap in seconds.
    per_s: Vec<f64>,
    /// The gap in seconds.
    gaps_s: Vec<f64>,
    /// Of each 1: what gauges are scaled by.
    ones: Vec<f64>,
    /// Whether a rate's levels mean the same in all rows, but for what a count is worth.
    alike: bool,
}

impl Moments {
    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.per_s.clear();
        self.gaps_s.clear();
        self.ones.clear();
        self.alike = true;
    }

    /// Whether a rate's levels mean the same in all rows, but for what a count is worth.
    pub(super) const fn alike(&self) -> bool {
        self.alike
    }

    /// Adds a row.
    pub(super) fn push(&mut self, moment: Moment) {
        let first = self.rows.first().copied().unwrap_or(moment);
        self.alike &= moment.is_like(&first);
        self.per_s.push(moment.per_s);
        self.gaps_s.push(moment.gap_s);
        self.ones.push(1.0);
        self.rows.push(moment);
    }
}

impl Moment {
    /// Whether a rate's levels mean the same as in `other`, but for what a count is worth.
    #[inline]
    pub(super) fn is_like(&self, other: &Self) -> bool {
        !self.rules_otherwise(other) && (self.gap_us > 0) == (other.gap_us > 0)
    }

    /// Whether levels of rates are others than in `before`.
    #[inline]
    pub(super) fn rules_otherwise(&self, before: &Self) -> bool {
        self.ruling_s != before.ruling_s
    }
}

/// What levels are in all rows of a frame.
#[derive(Debug, Clone, Copy)]
enum Alike {
    /// Levels of values.
    Values,
    /// Levels of counts of a unit.
    Counts(f64),
}

/// Levels in a frame, the unit that they are counted in, and a factor of each row that goes with it.
type Scaled<'a> = (&'a Quantizer, (f64, &'a [f64]));

/// How one metric's levels become another's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Translation {
    /// They are the same.
    Same,
    /// Both are rates: a count is so many of the other's.
    Counts(f64),
    /// By their values.
    Values,
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
            per_unit: match metric.grain {
                Some(Grain::Gauge { unit } | Grain::Rate { unit }) => 1.0 / unit,
                None => 1.0,
            },
            values,
            counts,
            ordinary: match metric.grain {
                Some(Grain::Rate { unit }) if !is_ordinary(unit) => None,
                _ => values.ordinary().min(counts.ordinary()),
            },
            has_zero: values.value(0) == 0.0 && counts.value(0) == 0.0,
        }
    }

    /// Whether levels depend on the row.
    pub(super) const fn is_rate(&self) -> bool {
        matches!(self.grain, Some(Grain::Rate { .. }))
    }

    /// Whether a level means the same as in `other`, in the same row.
    fn is_same(&self, other: &Self) -> bool {
        self.bound == other.bound && self.grain == other.grain
    }

    /// What one count is in the metric's unit, if levels are levels of counts.
    #[inline]
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

    /// What levels are in a frame with these `moments`; `None` where that may not be the same in all rows, or where levels are out of
    /// the ordinary.
    #[inline]
    fn alike(&self, moments: &Moments) -> Option<Alike> {
        self.ordinary?;
        let Some(Grain::Rate { unit }) = self.grain else {
            return Some(Alike::Values);
        };
        let counts = moments.rows.first().and_then(|moment| self.count(moment)).is_some();
        let alike = if counts { Alike::Counts(unit) } else { Alike::Values };
        moments.alike.then_some(alike)
    }

    /// How levels are found in such a frame, and whether they are levels of counts; `None` where that takes a closer look.
    pub(super) fn plan(&self, moments: &Moments) -> Option<(Plan, bool)> {
        let (levels, scale) = match self.alike(moments).filter(|_| self.has_zero)? {
            Alike::Counts(unit) => (&self.counts, (unit, Some(moments.rows.first()?.ruling_s))),
            Alike::Values => (&self.values, (1.0, None)),
        };
        Some((Plan::new(levels, scale, self.bound)?, scale.1.is_some()))
    }

    /// How levels become values in such a frame.
    #[inline]
    fn quickly<'a>(&'a self, moments: &'a Moments) -> Option<Scaled<'a>> {
        Some(match self.alike(moments)? {
            Alike::Counts(unit) => (&self.counts, (unit, &moments.per_s)),
            Alike::Values => (&self.values, (1.0, &moments.ones)),
        })
    }

    /// Whether levels that are `raised` by 2^n, taken together, are [`Self::ordinary`].
    #[inline]
    fn is_ordinary(&self, all: i64) -> bool {
        self.ordinary.is_some_and(|bits| all.cast_unsigned() >> (bits + 1) == 0)
    }

    /// Fills `column` with the readings of a `level` that stays. Tells whether it has a value.
    #[inline]
    pub(super) fn tell_still(&self, level: i64, moments: &Moments, column: &mut [Reading]) -> bool {
        if level == 0 && self.has_zero {
            column.fill(Reading::of(0.0));
            return true;
        }
        let raised = level.wrapping_add(1 << self.ordinary.unwrap_or(0));
        let Some((levels, (unit, factors))) = self.quickly(moments).filter(|_| self.is_ordinary(raised)) else {
            return self.tell_each(std::iter::repeat(&level), moments, column);
        };
        let value = levels.value(level);
        for (to, factor) in column.iter_mut().zip(factors) {
            *to = Reading::of(value * (unit * factor));
        }
        true
    }

    /// Fills `column` with the readings of levels that go on `from` one by these steps. Returns the last level; `None` where that is not
    /// quickly done.
    #[inline]
    pub(super) fn tell_steps(
        &self,
        from: i64,
        steps: &[i64],
        moments: &Moments,
        column: &mut [Reading],
    ) -> Option<i64> {
        let (levels, scale) = self.quickly(moments)?;
        levels.tell_steps(from, steps, scale, column)
    }

    /// Fills `column` with the readings of `cells`, which go with `moments`; of what is raw, something else. Tells whether every
    /// level has a value.
    pub(super) fn tell(&self, cells: &[Cell], moments: &Moments, column: &mut [Reading]) -> bool {
        let raise = 1 << self.ordinary.unwrap_or(0);
        let all = cells.iter().fold(0, |all, &cell| all | cell.wrapping_add(raise));
        match self.quickly(moments).filter(|_| self.is_ordinary(all)) {
            Some((levels, scale)) => levels.tell(cells.iter().copied(), scale, column),
            None => return self.tell_each(cells.iter(), moments, column),
        }
        true
    }

    /// The same of levels that a [`Plan`] has found.
    pub(super) fn tell_ordinary(
        &self,
        levels: impl Iterator<Item = i32>,
        moments: &Moments,
        column: &mut [Reading],
    ) -> bool {
        let Some((grid, scale)) = self.quickly(moments) else {
            return false;
        };
        grid.tell(levels.map(i64::from), scale, column);
        true
    }

    #[cold]
    fn tell_each<'a>(&self, cells: impl Iterator<Item = &'a Cell>, moments: &Moments, column: &mut [Reading]) -> bool {
        let mut finite = true;
        for ((to, &cell), moment) in column.iter_mut().zip(cells).zip(&moments.rows) {
            *to = if is_level(cell) {
                let value = self.value(cell, moment);
                finite &= value.is_finite();
                Reading::new(value)
            } else {
                cell_missing(cell).map_or(Reading::FAILED, Reading::from)
            };
        }
        finite
    }

    /// Whether 0 is a level.
    #[inline]
    pub(super) const fn has_zero(&self) -> bool {
        self.has_zero
    }

    /// The levels of a column of readings that `moments` go with, or why there are none. Tells whether all are levels.
    pub(super) fn each_level(&self, readings: &[Reading], moments: &Moments, cells: &mut [Cell]) -> bool {
        if self.has_zero && all_bits(readings) == 0 {
            cells.fill(0);
            return true;
        }
        let quick = self.alike(moments).is_some_and(|alike| {
            let (levels, scale) = match alike {
                Alike::Counts(unit) => (&self.counts, (unit, &*moments.per_s, &*moments.gaps_s)),
                Alike::Values => (&self.values, (1.0, &*moments.ones, &*moments.ones)),
            };
            levels.levels(readings, scale, self.bound, cells)
        });
        quick || self.levels_one_by_one(readings, moments, cells)
    }

    #[cold]
    fn levels_one_by_one(&self, readings: &[Reading], moments: &Moments, cells: &mut [Cell]) -> bool {
        let mut seen = (None, RAW);
        let mut all = true;
        for ((reading, moment), cell) in readings.iter().zip(&moments.rows).zip(cells) {
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
            all &= is_level(*cell);
        }
        all
    }

    /// How levels of `other` become the nearest ones of this metric.
    pub(super) fn translation(&self, other: &Self) -> Translation {
        match (self.grain, other.grain) {
            _ if self.is_same(other) => Translation::Same,
            (Some(Grain::Rate { unit: to }), Some(Grain::Rate { unit: from })) => Translation::Counts(from / to),
            _ => Translation::Values,
        }
    }

    /// What is `level` in `other`, as the nearest level of this metric, in the same row.
    #[inline]
    pub(super) fn translate(&self, translation: Translation, other: &Self, level: i64, moment: &Moment) -> Option<i64> {
        match translation {
            Translation::Same => Some(level),
            Translation::Counts(factor) if self.count(moment).is_some() && other.count(moment).is_some() => {
                self.counts.nearest(other.counts.value(level) * factor)
            }
            _ => {
                let value = other.value(level, moment);
                match self.count(moment) {
                    Some(count) => self.counts.nearest(value / count),
                    None => self.values.nearest(value),
                }
            }
        }
    }

    /// The value of `level`; not finite when there is no such level.
    #[inline]
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
            Grain::Rate { unit } if moment.gap_us > 0 => Some(per_seconds(count, unit, moment.gap_s)),
            Grain::Rate { .. } => None,
        }
    }

    /// The numbers of grains that a value may have that was told as `told`: the first and how many, at most 2^32.
    pub(super) fn grains(&self, told: f64, moment: &Moment) -> Option<(f64, f64)> {
        let per_grain = match self.grain? {
            Grain::Gauge { .. } => self.per_unit,
            Grain::Rate { .. } if moment.gap_us > 0 => self.per_unit * moment.gap_s,
            Grain::Rate { .. } => return None,
        };
        let middle = told * per_grain;
        // The bound is relative to the value, not to what is told; and sums are not exact.
        let reach = self.bound.max_error(told) * per_grain * 1.031_25 + middle.abs() * 1e-12;
        let (first, last) = (-floor(reach - middle), floor(middle + reach));
        let count = last - first + 1.0;
        ((1.0..=MOST_GRAINS).contains(&count) && middle.abs() < 1e15).then_some((first, count))
    }
}

/// The whole part of a number of less than 2^53, rounded down.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "what is larger is not used")]
fn floor(number: f64) -> f64 {
    let whole = number as i64 as f64;
    if whole > number { whole - 1.0 } else { whole }
}
