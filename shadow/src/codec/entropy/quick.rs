//! Runs of residuals in plain bits, as a quick frame has them: as many bits each as the largest of the run takes, which the
//! run's class tells.

#![expect(clippy::cast_possible_truncation, reason = "classes and counts of bits are small")]

use super::{
    Cell,
    class::QUIET,
    front::{Front, FrontBits, MOST_BITS},
};

/// The residuals of the run are told by symbols, in a class that is told behind this one.
pub(super) const ASIDE: u8 = 31;

/// Classes from 1 on have so many bits, up to this one.
const WIDEST: u8 = 18;
/// Those behind it tell which rows have another residual than 0, and only these, in so many bits less than the class.
const SPARSE: u8 = WIDEST - 1;
const WIDEST_SPARSE: u8 = ASIDE - 1 - SPARSE;

/// So many numbers are always taken at once.
const AT_ONCE: usize = MOST_BITS as usize / WIDEST as usize;

/// The same where only those are told that are not 0.
const SPARSE_AT_ONCE: usize = MOST_BITS as usize / WIDEST_SPARSE as usize;

/// How many bits two's complement takes that tells all numbers whose [`bits`] these are.
#[inline]
const fn width(bits: i64) -> u32 {
    u64::BITS + 1 - bits.leading_zeros()
}

/// A number without its sign, but for what is above the highest bit.
#[inline]
const fn bits(number: i64) -> i64 {
    number ^ number >> 63
}

/// How a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// [`ASIDE`] if it is none of the others.
    pub(super) class: u8,
    /// The rows whose residuals are not 0.
    marks: u64,
}

/// How `residuals`, at most 24, are told.
#[inline]
pub(super) fn choose(residuals: &[Cell]) -> Choice {
    let (mut all, mut marks) = (0, 0);
    // From the last on, for then a mark is a step and no shift of its own.
    for &residual in residuals.iter().rev() {
        all |= bits(residual);
        marks = marks << 1 | u64::from(residual != 0);
    }
    let choice = |class| Choice { class, marks };
    if marks == 0 {
        return choice(QUIET);
    }
    let (rows, told, wide) = (residuals.len() as u32, marks.count_ones(), width(all));
    let sparse = rows + told * wide < rows * wide && wide <= WIDEST_SPARSE.into();
    let plain = if wide > WIDEST.into() { ASIDE } else { wide as u8 };
    choice(if sparse { SPARSE + wide as u8 } else { plain })
}

/// Tells `residuals` in the class that was chosen for them, neither [`QUIET`] nor [`ASIDE`].
#[inline]
pub(super) fn write(choice: Choice, residuals: &[Cell], front: &mut Front) {
    let class = choice.class;
    if class > WIDEST {
        return write_sparse((class - SPARSE).into(), choice.marks, residuals, front);
    }
    let width = u32::from(class);
    let all = width * residuals.len() as u32;
    if all <= MOST_BITS {
        return front.push(all, pack(width, residuals));
    }
    for part in residuals.chunks(AT_ONCE) {
        front.push(width * part.len() as u32, pack(width, part));
    }
}

/// Numbers of `width` bits, the first of them the lowest.
#[inline]
fn pack(width: u32, numbers: &[i64]) -> u64 {
    let half = 1 << width >> 1;
    let place = |bits, &number: &i64| bits << width | (number + half).cast_unsigned();
    numbers.iter().rev().fold(0, place)
}

/// Nothing is guessed in it either.
#[inline]
fn write_sparse(width: u32, mut marks: u64, residuals: &[Cell], front: &mut Front) {
    let half = 1 << width >> 1;
    front.push(residuals.len() as u32, marks);
    for part in residuals.chunks(SPARSE_AT_ONCE) {
        let (mut bits, mut count) = (0, 0);
        for &residual in part {
            let told = (marks & 1).cast_signed();
            marks >>= 1;
            bits |= ((residual + half) & -told).cast_unsigned() << count;
            count += width & (-told).cast_unsigned() as u32;
        }
        front.push(count, bits);
    }
}

/// In place of a class: it is that of the run before.
pub(super) const KEPT: u8 = u8::MAX;

/// Of so many runs it is told at once which have another class than the one before, and which.
const CLASSES_AT_ONCE: usize = 8;
const CLASS_BITS: u32 = 5;

/// Tells the classes of runs, or that they are [`KEPT`].
pub(super) fn write_classes(classes: &[u8], front: &mut Front) {
    for part in classes.chunks(CLASSES_AT_ONCE) {
        let (mut marks, mut bits, mut count) = (0, 0, 0);
        for (row, &class) in part.iter().enumerate() {
            let told = u64::from(class != KEPT);
            marks |= told << row;
            bits |= (u64::from(class) & told.wrapping_neg()) << count;
            count += CLASS_BITS & told.wrapping_neg() as u32;
        }
        let rows = part.len() as u32;
        front.push(rows + count, marks | bits << rows);
    }
}

/// Reads what [`write_classes`] wrote of so many runs.
pub(super) fn read_classes(count: usize, classes: &mut Vec<u8>, front: &mut FrontBits<'_>) {
    classes.resize(count, KEPT);
    for part in classes.chunks_mut(CLASSES_AT_ONCE) {
        let rows = part.len() as u32;
        let mut marks = front.look(0);
        let mut bits = marks >> rows;
        let mut taken = rows;
        for class in part {
            let told = (marks & 1).wrapping_neg();
            marks >>= 1;
            *class = (bits & ((1 << CLASS_BITS) - 1) | !told) as u8;
            let count = CLASS_BITS & told as u32;
            bits >>= count;
            taken += count;
        }
        front.skip(taken);
    }
}

/// So many rows are always read at once, whether the run has as many or not: so that nothing is guessed.
const ROWS_AT_ONCE: usize = 12;

/// How many residuals [`read`] writes at most, and so what it needs room for.
pub(super) const ROOM: usize = 2 * ROWS_AT_ONCE;

/// Reads the residuals of `rows` rows, at most [`ROOM`], told in a `class` that is neither [`QUIET`] nor [`ASIDE`], to the begin of `to`.
/// What is behind them is written over.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call costs as much as some of the values")]
pub(super) fn read(class: u8, rows: usize, to: &mut [Cell], front: &mut FrontBits<'_>) {
    let rows = rows as u32;
    let Some((first, rest)) = to.split_first_chunk_mut() else {
        return;
    };
    let second = if rows as usize > ROWS_AT_ONCE {
        rest.first_chunk_mut()
    } else {
        None
    };
    if class > WIDEST {
        let width = u32::from(class - SPARSE);
        let marks = front.look(0) & ((1 << rows) - 1);
        front.skip(rows);
        read_sparse(width, marks, first, front);
        if let Some(second) = second {
            read_sparse(width, marks >> ROWS_AT_ONCE, second, front);
        }
        return;
    }
    let width = u32::from(class);
    unpack(width, 0, first, front);
    if let Some(second) = second {
        unpack(width, width * ROWS_AT_ONCE as u32, second, front);
    }
    front.skip(width * rows);
}

/// Numbers of `width` bits each, so many bits ahead.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call costs as much as some of the values")]
fn unpack(width: u32, mut ahead: u32, numbers: &mut [i64; ROWS_AT_ONCE], front: &FrontBits<'_>) {
    let (mask, half) = ((1 << width) - 1, 1 << width >> 1);
    for part in numbers.as_chunks_mut::<AT_ONCE>().0 {
        let mut bits = front.look(ahead);
        for number in part {
            *number = (bits & mask).cast_signed() - half;
            bits >>= width;
        }
        ahead += width * AT_ONCE as u32;
    }
}

/// Numbers of `width` bits each where there are marks, else 0.
#[inline]
fn read_sparse(width: u32, mut marks: u64, numbers: &mut [i64; ROWS_AT_ONCE], front: &mut FrontBits<'_>) {
    let (mask, half) = ((1 << width) - 1, 1 << width >> 1);
    for part in numbers.as_chunks_mut::<SPARSE_AT_ONCE>().0 {
        let mut bits = front.look(0);
        let mut taken = 0;
        for number in part {
            let told = -(marks & 1).cast_signed();
            marks >>= 1;
            *number = ((bits & mask).cast_signed() - half) & told;
            let count = width & told.cast_unsigned() as u32;
            bits >>= count;
            taken += count;
        }
        front.skip(taken);
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
                let choice = choose(run);
                if choice.class != QUIET && choice.class != ASIDE {
                    write(choice, run, &mut front);
                }
            }
            let mut padded = front.bytes().to_vec();
            let all = padded.len();
            padded.extend([0; 8]);
            let mut bits = FrontBits::new(&padded);
            for run in &runs {
                let class = choose(run).class;
                prop_assert_eq!(class == QUIET, run.iter().all(|&residual| residual == 0));
                prop_assert!(class != ASIDE || run.iter().any(|residual| residual.unsigned_abs() >= 1 << (WIDEST - 1)));
                if class != QUIET && class != ASIDE {
                    let mut told = [7; ROOM];
                    read(class, run.len(), &mut told, &mut bits);
                    prop_assert_eq!(&told[..run.len()], &run[..]);
                }
            }
            prop_assert_eq!(bits.finish().unwrap(), all);
        }
    }
}
