//! Runs of residuals in plain bits, as a quick frame has them: Golomb-Rice codes (Robert Rice, "Some practical universal
//! noiseless coding techniques", JPL 79-22) whose parameter the run's class tells.
//!
//! Low bits stand apart from what is above them, so that nothing waits for the value before it.

#![expect(clippy::cast_possible_truncation, reason = "classes and counts of bits are small")]

use super::{
    super::CodecError,
    Cell,
    class::QUIET,
    front::{Front, FrontBits, MOST_BITS},
};

/// The residuals of the run are told by symbols, in a class that is told behind this one.
pub(super) const ASIDE: u8 = 31;

/// Classes from this on tell which rows have another residual than 0, and only these.
const SPARSE: u8 = 19;

/// How many low bits the last class before [`SPARSE`] has, and the last one of all.
const MOST_LOW: u32 = 17;
const MOST_LOW_SPARSE: u32 = 11;

/// Numbers of more bits are told aside.
const MOST_WIDTH: u32 = 40;

/// What a quick class is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    /// Whether only residuals that are not 0 are told.
    sparse: bool,
    /// How many low bits of each are told as they are.
    low: u32,
}

impl Form {
    const fn of(class: u8) -> Self {
        let sparse = class >= SPARSE;
        let first = if sparse { SPARSE } else { QUIET + 1 };
        Self {
            sparse,
            low: (class - first) as u32,
        }
    }
}

/// A residual as a number of 0 or more: 0, -1, 1, -2, ...
#[inline]
const fn fold(residual: Cell) -> u64 {
    (residual << 1 ^ residual >> 63).cast_unsigned()
}

#[inline]
const fn unfold(number: u64) -> Cell {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// The class that `residuals`, at most 24, are told in: [`ASIDE`] if that is none of the quick ones.
#[inline]
pub(super) fn choose(residuals: &[Cell]) -> u8 {
    let (mut sum, mut zeros, mut all) = (0_u64, 0, 0);
    for &residual in residuals {
        let number = fold(residual);
        all |= number;
        sum = sum.wrapping_add(number);
        zeros += u64::from(number == 0);
    }
    if all == 0 {
        return QUIET;
    }
    if all >> MOST_WIDTH != 0 {
        return ASIDE;
    }
    let rows = residuals.len() as u64;
    let told = rows - zeros;
    let (low, cost) = cheapest(sum, rows);
    let (low_sparse, cost_sparse) = cheapest(sum - told, told);
    if cost_sparse + rows < cost && low_sparse <= MOST_LOW_SPARSE {
        SPARSE + low_sparse as u8
    } else if low <= MOST_LOW {
        QUIET + 1 + low as u8
    } else {
        ASIDE
    }
}

/// How many low bits `count` numbers of this sum should have, and what they then cost at most.
#[inline]
fn cheapest(sum: u64, count: u64) -> (u32, u64) {
    // The mean of numbers that are spread as Rice codes like it is some 1.5 times what the low bits tell.
    let mut low = (sum * 2 / (3 * count) | 1).ilog2();
    // What is above the low bits is read at once.
    while (sum >> low) + count > MOST_BITS.into() {
        low += 1;
    }
    (low, (sum >> low) + count * u64::from(1 + low))
}

/// Tells `residuals` in a `class` that was chosen for them, neither [`QUIET`] nor [`ASIDE`].
#[inline]
pub(super) fn write(class: u8, residuals: &[Cell], front: &mut Front) {
    let form = Form::of(class);
    if !form.sparse {
        return write_all(form.low, residuals.iter().map(|&residual| fold(residual)), front);
    }
    let mut marks = 0;
    for (row, &residual) in residuals.iter().enumerate() {
        marks |= u64::from(residual != 0) << row;
    }
    front.push(residuals.len() as u32, marks);
    let told = residuals.iter().filter(|&&residual| residual != 0);
    write_all(form.low, told.map(|&residual| fold(residual) - 1), front);
}

/// Low bits of all numbers, then what is above them: so many zeros and a one each.
#[inline]
fn write_all(low: u32, numbers: impl Iterator<Item = u64>, front: &mut Front) {
    let (mut ones, mut end) = (0_u64, 0);
    let (mut lows, mut count) = (0, 0);
    let mask = (1 << low) - 1;
    for number in numbers {
        end += (number >> low) as u32;
        ones |= 1 << (end % u64::BITS);
        end += 1;
        lows |= (number & mask) << count;
        count += low;
        if count > MOST_BITS - MOST_LOW {
            front.push(count, lows);
            (lows, count) = (0, 0);
        }
    }
    front.push(count, lows);
    front.push(end, ones);
}

/// Fills `run`, at most 24 rows, by residuals of a `class`, neither [`QUIET`] nor [`ASIDE`].
#[inline]
pub(super) fn read(class: u8, run: &mut [Cell], front: &mut FrontBits<'_>) -> Result<(), CodecError> {
    let form = Form::of(class);
    if form.sparse {
        return read_sparse(form.low, run, front);
    }
    let width = form.low * run.len() as u32;
    let mut ones = Ones::new(front.look(width));
    let mask = (1 << form.low) - 1;
    if width <= MOST_BITS {
        let mut lows = front.look(0);
        for residual in run {
            *residual = unfold(ones.next() << form.low | (lows & mask));
            lows >>= form.low;
        }
    } else {
        let mut ahead = 0;
        for residual in run {
            *residual = unfold(ones.next() << form.low | (front.look(ahead) & mask));
            ahead += form.low;
        }
    }
    front.skip(width + ones.read()?);
    Ok(())
}

fn read_sparse(low: u32, run: &mut [Cell], front: &mut FrontBits<'_>) -> Result<(), CodecError> {
    run.fill(0);
    let rows = run.len() as u32;
    let mut marks = front.look(0) & ((1 << rows) - 1);
    front.skip(rows);
    let width = low * marks.count_ones();
    let mut ones = Ones::new(front.look(width));
    let mask = (1 << low) - 1;
    let mut ahead = 0;
    while marks != 0 {
        let row = marks.trailing_zeros() as usize;
        marks &= marks - 1;
        if let Some(residual) = run.get_mut(row) {
            *residual = unfold((ones.next() << low | (front.look(ahead) & mask)) + 1);
        }
        ahead += low;
    }
    front.skip(width + ones.read()?);
    Ok(())
}

/// Numbers told as so many zeros and a one.
struct Ones {
    bits: u64,
    /// Behind the last one.
    end: u32,
}

impl Ones {
    const fn new(bits: u64) -> Self {
        Self { bits, end: 0 }
    }

    #[inline]
    const fn next(&mut self) -> u64 {
        let at = self.bits.trailing_zeros();
        self.bits &= self.bits.wrapping_sub(1);
        let zeros = at.wrapping_sub(self.end);
        self.end = at + 1;
        zeros as u64
    }

    /// How many bits were read.
    fn read(&self) -> Result<u32, CodecError> {
        let whole = self.end <= MOST_BITS;
        whole.then_some(self.end).ok_or(CodecError::Invalid("run"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn residuals() -> impl Strategy<Value = Vec<Cell>> {
        let one = (0_u32..42, any::<i64>()).prop_map(|(bits, any)| any >> (63 - bits));
        let scale = (0_u32..42).prop_flat_map(|bits| vec((0..=bits, any::<i64>()), 1..24));
        let alike = scale.prop_map(|all| all.into_iter().map(|(bits, any)| any >> (63 - bits)).collect());
        let seldom = vec(prop_oneof![4 => Just(0), 1 => -9_i64..9], 1..24);
        prop_oneof![vec(one, 1..24), alike, seldom]
    }

    proptest! {
        /// Runs come back one behind the other, and nothing is left.
        #[test]
        fn what_is_written_is_read(runs in vec(residuals(), 0..20)) {
            let mut front = Front::default();
            for run in &runs {
                let class = choose(run);
                if class != QUIET && class != ASIDE {
                    write(class, run, &mut front);
                }
            }
            let mut padded = front.bytes().to_vec();
            let all = padded.len();
            padded.extend([0; 8]);
            let mut bits = FrontBits::new(&padded);
            for run in &runs {
                let class = choose(run);
                prop_assert_eq!(class == QUIET, run.iter().all(|&residual| residual == 0));
                prop_assert!(class != ASIDE || run.iter().any(|residual| residual.unsigned_abs() >= 1 << 17));
                if class != QUIET && class != ASIDE {
                    let mut told = vec![7; run.len()];
                    read(class, &mut told, &mut bits).unwrap();
                    prop_assert_eq!(&told, run);
                }
            }
            prop_assert_eq!(bits.finish().unwrap(), all);
        }
    }
}
