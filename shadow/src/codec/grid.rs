//! The grid of a metric: which values a frame can tell, by index.

use crate::Bound;

/// The largest index: whole numbers up to it are exact as `f64`.
pub(super) const MAX_INDEX: i64 = 1 << 53;

/// The values that one metric can have on the wire.
///
/// [`Bound::Absolute`]: index times step. [`Bound::Relative`], the sign apart, with `k` cells below the floor
/// and `n` an octave above it:
/// - below the floor, cells of `2 * ratio * floor` each;
/// - above it index `k + n * (e + y)`, where the value is `2^e * (1 + x)` floors and `y = x * (4 - x) / 3`.
///
/// `e + y` stands for the binary logarithm: its slope lies between 8 % below and 4 % above the logarithm's,
/// which costs 38 cells an octave instead of 35 at 1 %. In return it takes only operations that IEEE 754 defines
/// to the last bit, so that every reader on every machine gets the same value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
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
    /// Width of a cell below the floor.
    low_step: f64,
    /// `k`: the index of the floor.
    low_cells: f64,
    /// `n`.
    octave_cells: f64,
}

impl Grid {
    /// The grid of `bound`. One that is not valid has no values; then every value travels raw.
    pub(super) fn new(bound: Bound) -> Self {
        let scale = match bound {
            Bound::Absolute { step } => Scale::Linear { step },
            Bound::Relative { ratio, floor } => Scale::Logarithmic(Logarithmic {
                floor,
                low_step: 2.0 * ratio * floor,
                low_cells: (0.5 / ratio).ceil(),
                octave_cells: (0.375 * (1.0 + ratio) / ratio).ceil(),
            }),
        };
        Self { bound, scale }
    }

    /// The value at `index`; not finite when the grid does not reach as far.
    pub(super) fn value(&self, index: i64) -> f64 {
        match &self.scale {
            Scale::Linear { step } => index as f64 * step,
            Scale::Logarithmic(scale) => {
                let magnitude = scale.value(index.unsigned_abs() as f64);
                if index < 0 { -magnitude } else { magnitude }
            }
        }
    }

    /// The index whose value is within the bound of the finite `value`; `None` when the grid has none.
    pub(super) fn index(&self, value: f64) -> Option<i64> {
        let position = match &self.scale {
            Scale::Linear { step } => value.abs() / step,
            Scale::Logarithmic(scale) => scale.position(value.abs()),
        };
        if position.is_nan() || position >= MAX_INDEX as f64 {
            return None;
        }
        let magnitude = whole(position + 0.5);
        let index = if value < 0.0 { -magnitude } else { magnitude };
        let told = self.value(index);
        if (told - value).abs() <= self.bound.max_error(value) {
            return Some(index);
        }
        self.neighbour(index, told, value)
    }

    /// Rounding in the last bit may have led to the wrong side of a cell's edge.
    #[cold]
    fn neighbour(&self, index: i64, told: f64, value: f64) -> Option<i64> {
        let index = if told > value { index - 1 } else { index + 1 };
        let holds = (self.value(index) - value).abs() <= self.bound.max_error(value);
        holds.then_some(index)
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

const MANTISSA_BITS: u32 = 52;
const EXPONENT_BIAS: i64 = 1_023;

impl Logarithmic {
    /// The index of a magnitude, not rounded.
    fn position(&self, magnitude: f64) -> f64 {
        if magnitude < self.floor {
            return magnitude / self.low_step;
        }
        let bits = (magnitude / self.floor).to_bits();
        let e = (bits >> MANTISSA_BITS) as i64 - EXPONENT_BIAS;
        let mantissa = bits & ((1 << MANTISSA_BITS) - 1);
        let x = f64::from_bits(mantissa | (EXPONENT_BIAS as u64) << MANTISSA_BITS) - 1.0;
        self.low_cells + self.octave_cells * (e as f64 + x * (4.0 - x) / 3.0)
    }

    /// The magnitude at an index of 0 or more.
    fn value(&self, index: f64) -> f64 {
        if index < self.low_cells {
            return index * self.low_step;
        }
        let octaves = (index - self.low_cells) / self.octave_cells;
        let e = whole(octaves);
        if e > EXPONENT_BIAS {
            return f64::INFINITY;
        }
        let y = octaves - e as f64;
        let power = f64::from_bits(((e + EXPONENT_BIAS) as u64) << MANTISSA_BITS);
        self.floor * power * (3.0 - (4.0 - 3.0 * y).sqrt())
    }
}
