//! The lossy step: values to numbered levels, never off by more than the metric's bound.

use crate::Bound;

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
    low_levels: f64,
    /// `n`.
    octave_levels: f64,
}

impl Quantizer {
    /// The levels of `bound`. One that is not valid has none; then every value travels raw.
    pub(crate) fn new(bound: Bound) -> Self {
        let scale = match bound {
            Bound::Absolute { step } => Scale::Linear { step },
            Bound::Relative { ratio, floor } => Scale::Logarithmic(Logarithmic {
                floor,
                low_step: 2.0 * ratio * floor,
                low_levels: (0.5 / ratio).ceil(),
                octave_levels: (0.375 * (1.0 + ratio) / ratio).ceil(),
            }),
        };
        Self { bound, scale }
    }

    /// The value of `level`; not finite when there is no such level.
    pub(crate) fn value(&self, level: i64) -> f64 {
        match &self.scale {
            Scale::Linear { step } => level as f64 * step,
            Scale::Logarithmic(scale) => {
                let magnitude = scale.value(level.unsigned_abs() as f64);
                if level < 0 { -magnitude } else { magnitude }
            }
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
        self.low_levels + self.octave_levels * (e as f64 + x * (4.0 - x) / 3.0)
    }

    /// The magnitude of a level of 0 or more.
    fn value(&self, level: f64) -> f64 {
        if level < self.low_levels {
            return level * self.low_step;
        }
        let octaves = (level - self.low_levels) / self.octave_levels;
        let e = whole(octaves);
        if e > EXPONENT_BIAS {
            return f64::INFINITY;
        }
        let y = octaves - e as f64;
        let power = f64::from_bits(((e + EXPONENT_BIAS) as u64) << MANTISSA_BITS);
        self.floor * power * (3.0 - (4.0 - 3.0 * y).sqrt())
    }
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
