//! The way to levels, twelve rows at once: of what is ordinary, and in numbers of 32 bits, so that a processor works on several rows with
//! each instruction.

use super::{EXPONENT_BIAS, MANTISSA, MANTISSA_BITS, Quantizer, Scale, TABLED, TWO_52, WHOLE, is_ordinary};
use crate::{Bound, Reading};

/// So many rows are worked on at once.
pub(crate) const LANES: usize = 12;

/// A second has so many rows: these are worked on where they are.
pub(crate) const USUAL: usize = 10;

/// What is known of some rows; of those that there are not, all is 0.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rows {
    /// What a value is multiplied with to be in levels: 1, or of levels of counts the gap in seconds.
    pub(crate) down: [f64; LANES],
    /// All bits of each row that there is.
    pub(crate) keep: [i32; LANES],
    /// How many rows there are.
    pub(crate) count: usize,
    /// Which is the last; [`LANES`] if there is none.
    pub(crate) last: usize,
}

/// How far a run's levels lie from those before them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// All bits that any of the residuals has, the sign turned out of them.
    pub(crate) bits: i32,
    /// A bit for each row whose residual is not 0.
    pub(crate) marks: u32,
    /// How many these are.
    pub(crate) count: u32,
}

impl Told {
    /// Of no rows.
    pub(crate) const NONE: Self = Self {
        bits: 0,
        marks: 0,
        count: 0,
    };

    /// Of these rows and those behind them.
    pub(crate) const fn before(self, behind: Self) -> Self {
        Self {
            bits: self.bits | behind.bits,
            marks: self.marks | behind.marks << LANES,
            count: self.count + behind.count,
        }
    }
}

/// How the levels of a column are found in a frame in which they mean the same in all rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    scale: Straight,
    /// Levels in one of the column's unit, where the row's factor is 1; of relative bounds floors.
    per_unit: f64,
    /// How far from its level a value may be, in levels.
    most: f64,
}

#[derive(Debug, Clone, Copy)]
enum Straight {
    Linear,
    Logarithmic(Curve),
}

#[derive(Debug, Clone, Copy)]
struct Curve {
    /// Levels a floor, below it.
    low: f64,
    /// The floor's level.
    base: f64,
    /// Levels an octave.
    octave: f64,
}

/// Levels are further from 0 than 32 bits tell well.
const MOST_LEVEL: f64 = (1 << 29) as f64;

/// Ratios below this leave no room for what is lost in rounding.
const LEAST_RATIO: f64 = 1e-6;

/// Half a level, but for what may be lost in rounding.
const HALF: f64 = 0.5 - 1e-6;

/// A row's factor is at most 4/3 of the ruling one: that, and what may be lost in rounding.
const UNSURE: f64 = 0.74;

impl Plan {
    /// How `levels`, each worth `unit`, or `unit` a row's gap which is about so many seconds, are found for values that have to be within
    /// `bound`; `None` where it takes a closer look.
    pub(crate) fn new(levels: &Quantizer, (unit, gap_s): (f64, Option<f64>), bound: Bound) -> Option<Self> {
        // What levels of counts lie between is not within the bound.
        let most = |bound: f64, step: f64| match gap_s {
            None => HALF,
            Some(gap_s) => (UNSURE * bound * gap_s / step).min(HALF),
        };
        match (&levels.scale, bound) {
            (&Scale::Linear { step }, Bound::Absolute { step: within }) if is_ordinary(step) => Some(Self {
                scale: Straight::Linear,
                per_unit: 1.0 / (unit * step),
                most: most(within / 2.0, unit * step),
            }),
            (Scale::Logarithmic(scale), Bound::Relative { ratio, floor }) if ratio >= LEAST_RATIO => {
                scale.table.map(|_| Self {
                    scale: Straight::Logarithmic(Curve {
                        low: scale.floor / scale.low_step,
                        base: scale.low_levels as f64,
                        octave: scale.octave_levels as f64,
                    }),
                    per_unit: 1.0 / (unit * scale.floor),
                    most: most(ratio * floor, unit * scale.low_step),
                })
            }
            _ => None,
        }
    }

    /// Fills `levels` with those of `values`, and something behind them. Tells whether each is clearly within the bound, and if not, `levels`
    /// holds nothing of use.
    #[inline]
    pub(crate) fn levels<const N: usize>(&self, values: &[Reading; N], rows: &Rows, levels: &mut [i32; LANES]) -> bool {
        match self.scale {
            Straight::Linear => self.linear(values, rows, levels),
            Straight::Logarithmic(curve) => self.logarithmic(curve, values, rows, levels),
        }
    }
}

/// Fills `residuals` with how far each of `levels`, but for the first, is from the one before it, in rows that there are.
#[inline]
pub(crate) fn differences(levels: &[i32; LANES + 1], rows: &Rows, residuals: &mut [i32; LANES]) -> Told {
    let (bits, marks) = subtract(levels, rows, residuals);
    Told {
        bits,
        marks: marks & ((1 << LANES) - 1),
        count: marks >> LANES,
    }
}

/// Returns all bits of residuals, and marks with their number above them: in registers.
#[inline(never)]
fn subtract(levels: &[i32; LANES + 1], rows: &Rows, residuals: &mut [i32; LANES]) -> (i32, u32) {
    /// The bit of each row, and a one above all of them that is added up.
    const MARKS: [i32; LANES] = marks();
    // A number that the compiler does not know lets it work on four rows at once, as does that this is a function of its own.
    let lanes = rows.count.min(LANES).next_multiple_of(4);
    let (Some(before), Some(now), Some(keep), Some(each), Some(to)) = (
        levels.get(..lanes),
        levels.get(1..lanes + 1),
        rows.keep.get(..lanes),
        MARKS.get(..lanes),
        residuals.get_mut(..lanes),
    ) else {
        return (0, 0);
    };
    let (mut bits, mut marks) = (0, 0);
    for ((((now, before), keep), mark), to) in now.iter().zip(before).zip(keep).zip(each).zip(to) {
        let residual = (now - before) & keep;
        *to = residual;
        bits |= residual ^ residual >> 31;
        marks += if residual == 0 { 0 } else { *mark };
    }
    (bits, marks.cast_unsigned())
}

#[expect(clippy::indexing_slicing, reason = "it is worked out when this is compiled")]
const fn marks() -> [i32; LANES] {
    let mut all = [0; LANES];
    let mut at = 0;
    while at < LANES {
        all[at] = 1 << LANES | 1 << at;
        at += 1;
    }
    all
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "lanes are as many everywhere, and of a level the lower half is what is taken"
)]
impl Plan {
    /// Fills `levels` with those of `values`; tells whether each is within the bound.
    #[inline]
    fn linear<const N: usize>(&self, values: &[Reading; N], rows: &Rows, levels: &mut [i32; LANES]) -> bool {
        let mut good = u64::MAX;
        for at in 0..N {
            let position = values[at].or_nan() * (rows.down[at] * self.per_unit);
            let raised = position + WHOLE;
            levels[at] = raised.to_bits() as i32;
            let error = (position - (raised - WHOLE)).abs();
            // The sign of what is less than 0; what is no number has none.
            good &= (error - self.most).to_bits() & (position.abs() - MOST_LEVEL).to_bits();
        }
        good >> SIGN == 1
    }

    /// The same of values of 0 or more on levels whose bound is relative. From the floor on, the nearest level is within it: levels are
    /// at most `2 r / (1 + r)` apart there, as logarithms, and half of that is less than `ln(1 + r)`, by `r / 2` of it.
    #[inline]
    fn logarithmic<const N: usize>(
        &self,
        Curve { low, base, octave: n }: Curve,
        values: &[Reading; N],
        rows: &Rows,
        levels: &mut [i32; LANES],
    ) -> bool {
        let mut good = u64::MAX;
        for at in 0..N {
            let value = values[at].or_nan();
            let floors = value * (rows.down[at] * self.per_unit);
            let bits = floors.to_bits();
            // The exponent as a mantissa: 2^52 and the bias are too much. Of what is no number it is very large.
            let e = f64::from_bits(bits >> MANTISSA_BITS | TWO_52.to_bits()) - (TWO_52 + EXPONENT_BIAS as f64);
            let x = f64::from_bits(bits & MANTISSA | 1_f64.to_bits()) - 1.0;
            let above = n * (e + x * (4.0 - x) * (1.0 / 3.0)) + base;
            let is_low = floors < 1.0;
            let position = if is_low { floors * low } else { above };
            let raised = position + WHOLE;
            levels[at] = raised.to_bits() as i32;
            let error = (position - (raised - WHOLE)).abs();
            let error = if is_low { error } else { 0.0 };
            good &= (error - self.most).to_bits() & (position - LAST_TABLED).to_bits() & !value.to_bits();
        }
        good >> SIGN == 1
    }
}

/// Where the sign of a double is.
const SIGN: u32 = 63;

/// What is rounded to the last level that is tabled, or beyond.
const LAST_TABLED: f64 = TABLED as f64 - 1.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A bound, and the levels of counts that go with it.
    fn any_bound() -> impl Strategy<Value = (Bound, Bound)> {
        let relative = (-5.9..-0.05_f64, -6.0..6.0_f64).prop_map(|(ratio, floor)| {
            let (ratio, floor) = (10_f64.powf(ratio), 10_f64.powf(floor));
            let counts = Bound::Relative {
                ratio,
                floor: 0.5 / ratio,
            };
            (Bound::Relative { ratio, floor }, counts)
        });
        let absolute = (-6.0..6.0_f64).prop_map(|step| {
            (
                Bound::Absolute {
                    step: 10_f64.powf(step),
                },
                Bound::Absolute { step: 1.0 },
            )
        });
        prop_oneof![3 => relative, 1 => absolute]
    }

    proptest! {
        // Three of four have no plan.
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever is quickly found is within the bound, also in the middle of two levels, where rounding decides; and what lies on a
        /// level is quickly found.
        #[test]
        fn what_is_quickly_found_is_within_the_bound(
            (bound, counts) in any_bound(),
            is_rate in any::<bool>(),
            unit in -9.0..4.0_f64,
            gap in 0.76..1.32_f64,
            places in prop::array::uniform12((0_i64..1_000, prop_oneof![Just(0.0), Just(0.5), -0.5..0.5_f64, Just(1e-9)])),
        ) {
            let (levels, unit) = (Quantizer::new(if is_rate { counts } else { bound }), 10_f64.powf(unit));
            let (ruling_s, gap_s) = (0.1, 0.1 * gap);
            let (scale, down, up) = if is_rate {
                ((unit, Some(ruling_s)), gap_s, unit / gap_s)
            } else {
                ((1.0, None), 1.0, 1.0)
            };
            // What has no plan is found value by value.
            let Some(plan) = Plan::new(&levels, scale, bound) else { return Ok(()) };
            let rows = Rows { down: [down; LANES], keep: [-1; LANES], last: LANES - 1, count: LANES };
            let values = places.map(|(level, part)| {
                let (low, high) = (levels.value(level), levels.value(level + 1));
                Reading::new((low + (high - low) * part).max(0.0) * up)
            });
            let mut found = [0; LANES];
            if plan.levels(&values, &rows, &mut found) {
                for (value, level) in values.iter().zip(found) {
                    let value = value.value().unwrap();
                    let told = levels.value(level.into()) * up;
                    prop_assert!((told - value).abs() <= bound.max_error(value), "{value} became {told}");
                }
            }
            let exact = places.map(|(level, _)| Reading::new(levels.value(level) * up));
            if plan.levels(&exact, &rows, &mut found) {
                prop_assert_eq!(found.map(i64::from), places.map(|(level, _)| level));
            } else {
                // A limit may be smaller than what is lost in rounding, where a count is far more than the bound.
                prop_assert!(plan.most < 1e-9, "{:?}", plan);
            }
        }
    }
}
