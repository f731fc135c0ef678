//! The lossy step: values to numbered levels, never off by more than the metric's bound.

mod lanes;

use std::sync::OnceLock;

pub(crate) use lanes::{LANES, Plan, Rows, Told, USUAL, differences};

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
    /// What levels from `-TABLED` on are, if there is room for it.
    table: Option<&'static Table>,
}

impl Quantizer {
    /// The levels of `bound`. One that is not valid has none; then every value travels raw.
    pub(crate) fn new(bound: Bound) -> Self {
        let scale = match bound {
            Bound::Absolute { step } => Scale::Linear { step },
            Bound::Relative { ratio, floor } => {
                let octave_levels = whole((0.375 * (1.0 + ratio) / ratio).ceil()).max(1).unsigned_abs();
                let mut scale = Logarithmic {
                    floor,
                    low_step: 2.0 * ratio * floor,
                    low_levels: whole((0.5 / ratio).ceil()).max(0).unsigned_abs(),
                    octave_levels,
                    table: None,
                };
                scale.table = table((ratio, floor), &scale);
                Scale::Logarithmic(scale)
            }
        };
        Self { bound, scale }
    }

    /// The value of `level`; not finite when there is no such level.
    pub(crate) fn value(&self, level: i64) -> f64 {
        match &self.scale {
            Scale::Linear { step } => level as f64 * step,
            Scale::Logarithmic(scale) => match scale.table {
                Some(table) if level.unsigned_abs() < TABLED as u64 => table.value(level),
                _ => scale.value(level),
            },
        }
    }

    /// Fills `out` with the values of `levels`, each times `unit` and its factor: of those that are not [`Self::ordinary`], something.
    #[inline]
    pub(crate) fn tell(&self, levels: impl Iterator<Item = i64>, (unit, factors): (f64, &[f64]), out: &mut [Reading]) {
        let rows = out.iter_mut().zip(levels).zip(factors);
        match &self.scale {
            Scale::Linear { step } => {
                rows.for_each(|((to, level), factor)| *to = Reading::of(float(level) * step * (unit * factor)));
            }
            Scale::Logarithmic(Logarithmic { table: Some(table), .. }) => {
                rows.for_each(|((to, level), factor)| *to = Reading::of(table.value(level) * (unit * factor)));
            }
            Scale::Logarithmic(scale) => {
                rows.for_each(|((to, level), factor)| *to = Reading::of(scale.value(level) * (unit * factor)));
            }
        }
    }

    /// The same of levels that go on `from` one by `steps` of less than 2^20. Returns the last; `None` if any is not [`Self::ordinary`].
    #[inline]
    pub(crate) fn tell_steps(
        &self,
        from: i64,
        steps: &[i64],
        (unit, factors): (f64, &[f64]),
        out: &mut [Reading],
    ) -> Option<i64> {
        let rows = out.iter_mut().zip(steps).zip(factors);
        let mut last = from;
        match &self.scale {
            Scale::Linear { step } => {
                for ((to, by), factor) in rows {
                    last += by;
                    *to = Reading::of(float(last) * step * (unit * factor));
                }
                // The steps of a frame do not lead further than that.
                (from.unsigned_abs() < 1 << (FLOAT_BITS - 1)).then_some(last)
            }
            Scale::Logarithmic(Logarithmic { table: Some(table), .. }) => {
                let mut all = 0;
                for ((to, by), factor) in rows {
                    last += by;
                    let place = last.wrapping_add(TABLED as i64).cast_unsigned();
                    all |= place;
                    *to = Reading::of(table.at(place) * (unit * factor));
                }
                (all < 2 * TABLED as u64).then_some(last)
            }
            Scale::Logarithmic(_) => None,
        }
    }

    /// Levels from `-2^n` to less than `2^n` have a value that stays finite when it is scaled a bit, and are quickly told.
    /// `None` if that takes a closer look.
    pub(crate) fn ordinary(&self) -> Option<u32> {
        match &self.scale {
            Scale::Linear { step } => is_ordinary(*step).then_some(FLOAT_BITS),
            Scale::Logarithmic(scale) => scale.table.map(|_| TABLED.ilog2()),
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

    /// Fills `levels` with those of `values`, which are counted in `unit` times the factors of each row: the way up, and the way down.
    /// Tells whether all are within `bound` and ordinary; if not, `levels` holds nothing of use.
    pub(crate) fn levels(
        &self,
        values: &[Reading],
        (unit, up, down): (f64, &[f64], &[f64]),
        bound: Bound,
        levels: &mut [i64],
    ) -> bool {
        match (&self.scale, bound) {
            (&Scale::Linear { step }, Bound::Absolute { step: within }) if is_ordinary(step) => {
                let (per_step, most) = (1.0 / (unit * step), within / 2.0);
                let (mut bad, mut all) = (0, 0);
                let rows = levels.iter_mut().zip(values).zip(down.iter().zip(up));
                for ((to, value), (down, up)) in rows {
                    let value = value.or_nan();
                    let rounded = value * (down * per_step) + WHOLE;
                    let told = (rounded - WHOLE) * step * (unit * up);
                    let level = whole_of(rounded);
                    *to = level;
                    bad |= u64::from((told - value).abs() > most || value.is_nan());
                    all |= level.wrapping_add(1 << FLOAT_BITS).cast_unsigned();
                }
                bad == 0 && all >> (FLOAT_BITS + 1) == 0
            }
            (Scale::Logarithmic(scale @ Logarithmic { table: Some(table), .. }), Bound::Relative { ratio, floor }) => {
                scale.guess(values, (1.0 / unit, down), levels);
                let (mut bad, mut all) = (0, 0);
                for ((level, value), up) in levels.iter().zip(values).zip(up) {
                    let (value, place) = (value.or_nan(), level.wrapping_add(TABLED as i64).cast_unsigned());
                    let magnitude = value.abs();
                    let most = ratio * if magnitude > floor { magnitude } else { floor };
                    let error = (table.at(place) * (unit * up) - value).abs();
                    bad |= u64::from(error > most || error.is_nan());
                    all |= place;
                }
                bad == 0 && all < 2 * TABLED as u64
            }
            _ => false,
        }
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

/// Whole numbers of so many bits, the sign apart, are what [`float`] takes.
const FLOAT_BITS: u32 = 50;

/// What is added to a number of less than 2^[`FLOAT_BITS`] has its whole part, rounded, in the lowest bits.
const WHOLE: f64 = (3_u64 << 51) as f64;

/// A whole number of at most [`FLOAT_BITS`] bits, exactly: two at once, where a processor has no such instruction.
#[inline]
fn float(number: i64) -> f64 {
    f64::from_bits(number.wrapping_add(WHOLE.to_bits().cast_signed()).cast_unsigned()) - WHOLE
}

/// The whole number that was added to [`WHOLE`].
#[inline]
const fn whole_of(raised: f64) -> i64 {
    raised
        .to_bits()
        .cast_signed()
        .wrapping_sub(WHOLE.to_bits().cast_signed())
}

const MANTISSA_BITS: u32 = 52;
const MANTISSA: u64 = (1 << MANTISSA_BITS) - 1;
const TWO_52: f64 = (1_u64 << MANTISSA_BITS) as f64;
const EXPONENT_BIAS: i64 = 1_023;

impl Logarithmic {
    /// Fills `levels` with what should be the nearest ones of `values` times a factor and that of their row.
    #[inline]
    fn guess(&self, values: &[Reading], (factor, factors): (f64, &[f64]), levels: &mut [i64]) {
        let per_floor = factor / self.floor;
        let (low, n) = (self.floor / self.low_step, self.octave_levels as f64);
        let base = self.low_levels as f64;
        let rows = levels.iter_mut().zip(values).zip(factors);
        for ((to, value), factor) in rows {
            let value = value.or_nan();
            let floors = value.abs() * (factor * per_floor);
            let bits = floors.to_bits();
            // The exponent as a mantissa: 2^52 and the bias are too much.
            let octave = f64::from_bits(bits >> MANTISSA_BITS | TWO_52.to_bits()) - (TWO_52 + EXPONENT_BIAS as f64);
            let x = f64::from_bits(bits & MANTISSA | 1_f64.to_bits()) - 1.0;
            let above = n * (octave + x * (4.0 - x) * (1.0 / 3.0)) + base;
            let position = if floors < 1.0 { floors * low } else { above };
            let magnitude = whole_of(position + WHOLE);
            let sign = -i64::from(value < 0.0);
            *to = (magnitude ^ sign) - sign;
        }
    }

    /// The level of a magnitude, not rounded.
    fn position(&self, magnitude: f64) -> f64 {
        if magnitude < self.floor {
            return magnitude / self.low_step;
        }
        let bits = (magnitude / self.floor).to_bits();
        let e = (bits >> MANTISSA_BITS) as i64 - EXPONENT_BIAS;
        let mantissa = bits & MANTISSA;
        let x = f64::from_bits(mantissa | (EXPONENT_BIAS as u64) << MANTISSA_BITS) - 1.0;
        self.low_levels as f64 + self.octave_levels as f64 * (e as f64 + x * (4.0 - x) / 3.0)
    }

    /// The value of a level.
    fn value(&self, level: i64) -> f64 {
        let magnitude = match level.unsigned_abs().checked_sub(self.low_levels) {
            Some(above) => self.floor * in_floors(above, self.octave_levels),
            None => level.unsigned_abs() as f64 * self.low_step,
        };
        if level < 0 { -magnitude } else { magnitude }
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

/// Levels below this, either way, are tabled: at 1 % they reach over 25 octaves above the floor.
const TABLED: usize = 1 << 10;

/// The values of all levels from `-TABLED` to less than `TABLED`.
#[derive(Debug)]
struct Table([f64; 2 * TABLED]);

impl Table {
    #[inline]
    fn value(&self, level: i64) -> f64 {
        self.at(level.wrapping_add(TABLED as i64).cast_unsigned())
    }

    /// The value of the level that is so many above the first.
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "the number of levels is a power of two"
    )]
    fn at(&self, place: u64) -> f64 {
        self.0[place as usize % (2 * TABLED)]
    }
}

/// Ratio and floor, and their table if all of it is finite when it is scaled a bit.
type Slot = ((f64, f64), Option<Box<Table>>);

/// The table of `key`, a ratio and a floor. Few are in use; past these, levels are worked out each time.
fn table(key: (f64, f64), scale: &Logarithmic) -> Option<&'static Table> {
    static TABLES: [OnceLock<Slot>; 16] = [const { OnceLock::new() }; 16];
    let new = || {
        let ordinary = is_ordinary(scale.floor) && is_ordinary(scale.low_step);
        let values = |at: usize| scale.value(at as i64 - TABLED as i64);
        let mut table = Box::new(Table([0.0; 2 * TABLED]));
        table
            .0
            .iter_mut()
            .enumerate()
            .for_each(|(at, value)| *value = values(at));
        let finite = table.0.iter().all(|value| value.abs() < 1e200);
        (key, Some(table).filter(|_| ordinary && finite))
    };
    let mut slots = TABLES.iter().map(|slot| slot.get_or_init(new));
    slots.find(|(of, _)| *of == key)?.1.as_deref()
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
