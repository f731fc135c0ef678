//! Runs of residuals in plain bits, as a quick frame has them: as many bits each as the largest of the run takes, which the
//! run's class tells.

#![expect(clippy::cast_possible_truncation, reason = "classes and counts of bits are small")]

use super::{
    super::quantize::{LANES, Told},
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

/// How many residuals [`read`] writes and [`write()`] takes, and so what they need room for.
pub(super) const ROOM: usize = 2 * ROWS_AT_ONCE;

/// How far the residuals of a run are from 0, at most [`ROOM`] of them; those that are no numbers are very far.
pub(super) fn told(residuals: &[Cell]) -> Told {
    let (mut all, mut marks, mut count) = (0, 0, 0);
    for &residual in residuals.iter().rev() {
        // Without its sign, but for what is above the highest bit.
        all |= residual ^ residual >> 63;
        let told = u32::from(residual != 0);
        marks = marks << 1 | told;
        count += told;
    }
    let width = u64::BITS + 1 - all.leading_zeros();
    let bits = if width > WIDEST.into() { i32::MAX } else { all as i32 };
    Told { bits, marks, count }
}

/// Tells the residuals of a run, at most [`ROOM`] of them, which are not 0 where there are `marks`.
pub(super) fn write_run(class: u8, (residuals, marks): (&[Cell], u32), front: &mut Front) {
    if class == QUIET || class == ASIDE {
        return;
    }
    let parts = residuals.chunks(LANES).map(narrow);
    let mut lanes = [[0; LANES]; ROOM / LANES];
    lanes.iter_mut().zip(parts).for_each(|(to, part)| *to = part);
    let rows = residuals.len() as u32;
    write(class, (rows, marks), lanes.iter(), front);
}

/// The lower half of each number, and 0 behind them.
pub(super) fn narrow(residuals: &[Cell]) -> [i32; LANES] {
    let mut lanes = [0; LANES];
    lanes
        .iter_mut()
        .zip(residuals)
        .for_each(|(to, from)| *to = *from as i32);
    lanes
}

/// How a run of so many rows is told.
#[inline]
pub(super) fn class(told: &Told, rows: u32) -> u8 {
    let count = told.count;
    // In two's complement.
    let wide = u32::BITS + 1 - told.bits.leading_zeros();
    let sparse = (rows + count * wide < rows * wide) & (wide <= WIDEST_SPARSE.into());
    // Nothing is guessed.
    let class = wide + u32::from(SPARSE) * u32::from(sparse);
    let class = if wide > WIDEST.into() { ASIDE.into() } else { class };
    (class * u32::from(count != 0)) as u8
}

/// Tells the residuals of so many rows in the class that was chosen for them, neither [`QUIET`] nor [`ASIDE`]. Behind the
/// last row all is 0.
#[inline(never)]
pub(super) fn write<'a>(
    class: u8,
    (rows, marks): (u32, u32),
    residuals: impl Iterator<Item = &'a [i32; LANES]>,
    front: &mut Front,
) {
    if class > WIDEST {
        return write_sparse((class - SPARSE).into(), (rows, marks), residuals, front);
    }
    let width = u32::from(class);
    let mut left = rows;
    for part in residuals {
        let here = left.min(LANES as u32);
        left -= here;
        write_plain(width, here, part, front);
    }
}

/// Numbers of `width` bits, the first of them the lowest.
#[inline]
fn write_plain(width: u32, rows: u32, numbers: &[i32; LANES], front: &mut Front) {
    /// So many of at most 9 bits go out at once.
    const NARROW: usize = 2 * AT_ONCE;
    let mut left = rows;
    let mut push = |at_once: usize, part: &[i32]| {
        let here = left.min(at_once as u32);
        left -= here;
        // Two's complement of the whole, raised by as much for each number: borrows come out right.
        let place = |bits: i64, &number: &i32| (bits << width).wrapping_add(number.into());
        let bits = part.iter().rev().fold(0, place);
        let raise = HALVES.get(width as usize).copied().unwrap_or(0);
        let bits = bits.cast_unsigned().wrapping_add(raise) & ((1 << (width * here)) - 1);
        front.push(width * here, bits);
    };
    if width <= MOST_BITS / NARROW as u32 {
        for part in numbers.as_chunks::<NARROW>().0 {
            push(NARROW, part);
        }
    } else {
        for part in numbers.as_chunks::<AT_ONCE>().0 {
            push(AT_ONCE, part);
        }
    }
}

/// Of each width: half of what it can tell, in as many places as a number of 64 bits has, at most 6.
const HALVES: [u64; WIDEST as usize + 1] = halves();

#[expect(clippy::indexing_slicing, reason = "it is worked out when this is compiled")]
const fn halves() -> [u64; WIDEST as usize + 1] {
    let mut all = [0; WIDEST as usize + 1];
    let mut width = 1;
    while width <= WIDEST as usize {
        let mut at = 0;
        while at < 6 && (at + 1) * width <= 64 {
            all[width] |= 1_u64 << (at * width + width - 1);
            at += 1;
        }
        width += 1;
    }
    all
}

/// A bit a row, and numbers of `width` bits for those that have one.
#[inline]
fn write_sparse<'a>(
    width: u32,
    (rows, all): (u32, u32),
    residuals: impl Iterator<Item = &'a [i32; LANES]>,
    front: &mut Front,
) {
    let half = 1 << width >> 1;
    let (mut bits, mut count) = (u64::from(all), rows);
    let mut rest = all;
    for part in residuals {
        // A bit behind the last row is always there to be found.
        let mut marks = rest & (END - 1) | END;
        rest >>= LANES;
        while marks != END {
            if count + width * SPARSE_AT_ONCE as u32 > MOST_BITS {
                front.push(count, bits);
                (bits, count) = (0, 0);
            }
            // As many at once as there mostly are: little is guessed.
            for _ in 0..SPARSE_AT_ONCE {
                let row = marks.trailing_zeros();
                // All bits if it is a row.
                let told = row.wrapping_sub(LANES as u32).cast_signed() >> 31;
                let number = part.get(row as usize % LANES).copied().unwrap_or(0);
                marks = marks & marks.wrapping_sub(1) | END;
                bits |= u64::from(((number + half) & told).cast_unsigned()) << count;
                count += width & told.cast_unsigned();
            }
        }
    }
    front.push(count, bits);
}

/// The bit of the row behind the last lane.
const END: u32 = 1 << LANES;

/// In place of a class: it is that of the run before.
pub(super) const KEPT: u8 = u8::MAX;

/// Of so many runs it is told at once which have another class than the one before, and which.
const CLASSES_AT_ONCE: usize = 8;
const CLASS_BITS: u32 = 5;

/// Tells the classes of runs, or that they are [`KEPT`].
pub(super) fn write_classes(classes: &[u8], front: &mut Front) {
    let (parts, rest) = classes.as_chunks::<CLASSES_AT_ONCE>();
    for part in parts {
        write_some(part, front);
    }
    if !rest.is_empty() {
        write_some(rest, front);
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "of a number that is known there are fewer steps")]
fn write_some(classes: &[u8], front: &mut Front) {
    let rows = classes.len() as u32;
    let (mut marks, mut bits, mut count) = (0, 0, rows);
    for (row, &class) in classes.iter().enumerate() {
        // All bits if it is told.
        let told = u64::from(class ^ KEPT).wrapping_neg().cast_signed() >> 63;
        let told = told.cast_unsigned();
        marks |= (told & 1) << row;
        bits |= (u64::from(class) & told) << count;
        count += CLASS_BITS & told as u32;
    }
    front.push(count, marks | bits);
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
                let told = told(run);
                write_run(class(&told, run.len() as u32), (run, told.marks), &mut front);
            }
            let mut padded = front.bytes().to_vec();
            let all = padded.len();
            padded.extend([0; 8]);
            let mut bits = FrontBits::new(&padded);
            for run in &runs {
                let class = class(&told(run), run.len() as u32);
                prop_assert_eq!(class == QUIET, run.iter().all(|&residual| residual == 0));
                prop_assert!(class != ASIDE || run.iter().any(|residual| residual.unsigned_abs() >= 1 << (WIDEST - 1)));
                if class != QUIET && class != ASIDE {
                    let mut back = [7; ROOM];
                    read(class, run.len(), &mut back, &mut bits);
                    prop_assert_eq!(&back[..run.len()], &run[..]);
                }
            }
            prop_assert_eq!(bits.finish().unwrap(), all);
        }
    }
}
