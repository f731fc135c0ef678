//! The lossy step: values to numbered levels, never off by more than the metric's bound.

use std::sync::OnceLock;

use crate::{Bound, Reading};

/// The largest level: whole numbers up to it are exact as `f64`.
pub(crate) const MAX_LEVEL: i64 = 1 << 53;

/// The levels of one metric: the values that it can have on the wire, numbered from 0 at zero in both directions.
///
/// [`Bound::Absolute`]: level times step. [`Bound::Relative`], the sign apart, with `k` levels below the floor
/// and `n` an octave above it:
/// - below the floor, levels `2 * ratio * floor` apart;
/// - above it level `k + n * (e + y)`, where the value is `2^e * (1 + x)` floors and `y = x * (4 - x) / 3`.
///
/// `e + y` stands for the binary logarithm: its slope lies between 8 % below and 4 % above the logarithm's,
/// which costs 38 levels an octave instead of 35 at 1 %. In return it takes only operations that IEEE 754
/// defines to the last bit, so that every reader on every machine gets the same value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantizer {
    bound: Bound,
    scale: Scale,
}

#[derive(Debug, Clone, Copy)]
enum Scale {
    Linear { step: f64 },
    Logarithmic(Logarithmic),
}

#[derive(Debug, Clone, Copy)]
struct Logarithmic {
    floor: f64,
    /// Distance of levels below the floor.
    low_step: f64,
    /// `k`: the level of the floor.
    low_levels: u64,
    /// `n`, at least 1.
    octave_levels: u64,
    /// How many floors the levels from the floor on are, as far as they are tabled.
    floors: &'static [f64],
}

impl Quantizer {
    /// The levels of `bound`. One that is not valid has none; then every value travels raw.
    pub(crate) fn new(bound: Bound) -> Self {
        let scale = match bound {
            Bound::Absolute { step } => Scale::Linear { step },
            Bound::Relative { ratio, floor } => {
                let octave_levels = whole((0.375 * (1.0 + ratio) / ratio).ceil()).max(1).unsigned_abs();
                Scale::Logarithmic(Logarithmic {
                    floor,
                    low_step: 2.0 * ratio * floor,
                    low_levels: whole((0.5 / ratio).ceil()).max(0).unsigned_abs(),
                    octave_levels,
                    floors: floors(octave_levels),
                })
            }
        };
        Self { bound, scale }
    }

    /// The value of `level`; not finite when there is no such level.
    pub(crate) fn value(&self, level: i64) -> f64 {
        match &self.scale {
            Scale::Linear { step } => level as f64 * step,
            Scale::Logarithmic(scale) => {
                let magnitude = scale.value(level.unsigned_abs());
                if level < 0 { -magnitude } else { magnitude }
            }
        }
    }

    /// Appends the values of `levels`, each times its factor and `unit`. They are finite for [`Self::ordinary`] levels.
    #[inline]
    pub(crate) fn tell(&self, levels: &[i64], (factors, unit): (&[f64], f64), out: &mut Vec<Reading>) {
        let rows = levels.iter().zip(factors);
        match &self.scale {
            Scale::Linear { step } => {
                out.extend(rows.map(|(&level, factor)| Reading::of(level as f64 * step * (unit * factor))));
            }
            Scale::Logarithmic(scale) => out.extend(rows.map(|(&level, factor)| {
                let magnitude = scale.value(level.unsigned_abs());
                let value = if level < 0 { -magnitude } else { magnitude };
                Reading::of(value * (unit * factor))
            })),
        }
    }

    /// Levels up to this, either way, have a value that stays finite when it is scaled a bit. 0 if that takes a closer look.
    pub(crate) fn ordinary(&self) -> u64 {
        match &self.scale {
            Scale::Linear { step } if is_ordinary(*step) => MAX_LEVEL.unsigned_abs(),
            Scale::Logarithmic(scale) if is_ordinary(scale.floor) && is_ordinary(scale.low_step) => {
                let octaves = scale.octave_levels.saturating_mul(ORDINARY_OCTAVES);
                MAX_LEVEL.unsigned_abs().min(scale.low_levels.saturating_add(octaves))
            }
            _ => 0,
        }
    }

    /// The level whose value is within the bound of the finite `value`, if there is one.
    pub(crate) fn level(&self, value: f64) -> Option<i64> {
        let level = self.nearest(value)?;
        // Looking is surer than proving, for any ratio and step.
        if self.holds(level, value) {
            return Some(level);
        }
        self.neighbour(level, value)
    }

    /// The level that the finite `value` is nearest to, unless that is out of range. Its value may be out of bound.
    pub(crate) fn nearest(&self, value: f64) -> Option<i64> {
        let position = match &self.scale {
            Scale::Linear { step } => value.abs() / step,
            Scale::Logarithmic(scale) => scale.position(value.abs()),
        };
        if position.is_nan() || position >= MAX_LEVEL as f64 {
            return None;
        }
        let magnitude = whole(position + 0.5);
        Some(if value < 0.0 { -magnitude } else { magnitude })
    }

    fn holds(&self, level: i64, value: f64) -> bool {
        (self.value(level) - value).abs() <= self.bound.max_error(value)
    }

    /// Rounding in the last bit may have led to the wrong side of the middle between two levels.
    #[cold]
    fn neighbour(&self, level: i64, value: f64) -> Option<i64> {
        let level = if self.value(level) > value {
            level - 1
        } else {
            level + 1
        };
        self.holds(level, value).then_some(level)
    }
}

/// A value in the middle of what `f64` can hold.
pub(crate) fn is_ordinary(value: f64) -> bool {
    (1e-60..1e60).contains(&value)
}

/// An ordinary floor and so many octaves above it are finite, and so they are times an ordinary unit.
const ORDINARY_OCTAVES: u64 = 400;

const MANTISSA_BITS: u32 = 52;
const EXPONENT_BIAS: i64 = 1_023;

impl Logarithmic {
    /// The level of a magnitude, not rounded.
    fn position(&self, magnitude: f64) -> f64 {
        if magnitude < self.floor {
            return magnitude / self.low_step;
        }
        let bits = (magnitude / self.floor).to_bits();
        let e = (bits >> MANTISSA_BITS) as i64 - EXPONENT_BIAS;
        let mantissa = bits & ((1 << MANTISSA_BITS) - 1);
        let x = f64::from_bits(mantissa | (EXPONENT_BIAS as u64) << MANTISSA_BITS) - 1.0;
        self.low_levels as f64 + self.octave_levels as f64 * (e as f64 + x * (4.0 - x) / 3.0)
    }

    /// The magnitude of a level of 0 or more.
    #[inline]
    fn value(&self, level: u64) -> f64 {
        let Some(above) = level.checked_sub(self.low_levels) else {
            return level as f64 * self.low_step;
        };
        let index = usize::try_from(above).unwrap_or(usize::MAX);
        let tabled = self.floors.get(index).copied();
        self.floor * tabled.unwrap_or_else(|| in_floors(above, self.octave_levels))
    }
}

/// How many floors the level is that is `above` the floor's, with `n` levels an octave.
fn in_floors(above: u64, n: u64) -> f64 {
    let octaves = above as f64 / n as f64;
    let octave = whole(octaves);
    if octave > EXPONENT_BIAS {
        return f64::INFINITY;
    }
    let power = f64::from_bits(((octave + EXPONENT_BIAS) as u64) << MANTISSA_BITS);
    let y = octaves - octave as f64;
    power * (3.0 - (4.0 - 3.0 * y).sqrt())
}

/// Octaves of more levels than this have no table.
const MOST_TABLED: usize = 64;

/// How many octaves are tabled.
const TABLED_OCTAVES: u64 = 24;

/// The table of all metrics with `n` levels an octave.
fn floors(n: u64) -> &'static [f64] {
    static TABLES: [OnceLock<Vec<f64>>; MOST_TABLED + 1] = [const { OnceLock::new() }; MOST_TABLED + 1];
    let table = usize::try_from(n).ok().and_then(|index| TABLES.get(index));
    table.map_or(&[], |table| {
        table.get_or_init(|| (0..n * TABLED_OCTAVES).map(|above| in_floors(above, n)).collect())
    })
}

/// The whole part of a number of 0 or more.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the fraction is to go; what no i64 holds becomes the largest one"
)]
const fn whole(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn levels_lie_where_the_format_says() {
        let rate = Quantizer::new(Bound::Relative {
            ratio: 0.01,
            floor: 100.0,
        });
        let check = |level, value: f64| {
            assert_eq!(rate.value(level), value);
            assert_eq!(rate.value(-level), -value);
            assert_eq!(rate.level(value), Some(level), "{value}");
            assert_eq!(rate.level(-value), Some(-level), "-{value}");
        };
        check(0, 0.0);
        check(1, 2.0);
        check(49, 98.0);
        check(50, 100.0);
        check(50 + 38, 200.0);
        check(50 + 10 * 38, 102_400.0);
        check(50 + 19, 100.0 * (3.0 - 2.5_f64.sqrt()));
        let share = Quantizer::new(Bound::Absolute { step: 0.01 });
        assert_eq!((share.level(0.374), share.level(-0.376)), (Some(37), Some(-38)));
        assert_eq!(share.value(37), 0.37);
    }

    #[test]
    fn what_has_no_level_is_told_so() {
        let check = |bound, value: f64| assert_eq!(Quantizer::new(bound).level(value), None, "{bound:?}");
        check(Bound::Absolute { step: 1.0 }, 1e16);
        check(
            Bound::Absolute {
                step: f64::MIN_POSITIVE,
            },
            1.0,
        );
        check(Bound::Absolute { step: 0.0 }, 1.0);
        check(Bound::Absolute { step: f64::NAN }, 1.0);
        check(
            Bound::Relative {
                ratio: 1e-17,
                floor: 1.0,
            },
            1.0,
        );
        check(
            Bound::Relative {
                ratio: 0.01,
                floor: f64::MIN_POSITIVE,
            },
            f64::MAX,
        );
    }

    proptest! {
        /// Else values would travel raw, correct but long.
        #[test]
        fn ordinary_bounds_have_a_level_for_ordinary_values(
            ratio in 1e-5..0.9_f64,
            floor in 1e-9..1e9_f64,
            value in -1e18..1e18_f64,
            decades in -30..1,
        ) {
            let value = value * 10_f64.powi(decades);
            let relative = Quantizer::new(Bound::Relative { ratio, floor });
            let level = relative.level(value);
            prop_assert!(level.is_some());
            prop_assert_eq!(relative.level(relative.value(level.unwrap())), level);
            let whole = value.trunc();
            if whole.abs() < 9e15 {
                let level = Quantizer::new(Bound::Absolute { step: 1.0 }).level(whole);
                prop_assert_eq!(level.map(|level| level as f64), Some(whole));
            }
        }
    }
}
