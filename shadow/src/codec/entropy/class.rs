//! How far residuals lie from 0: a class a column and run of rows, which the writer chooses and tells.
//!
//! One choice for some ten residuals costs less than it saves, and then nothing is left to be worked out between one
//! residual and the next.

#![expect(clippy::cast_possible_truncation, reason = "classes and costs are small")]

use std::ops::Range;

use super::{
    Cell,
    coder::{ESCAPE, symbol_of},
    is_level,
    priors::{SYMBOLS, bits},
};

/// How many classes there are.
pub(super) const CLASSES: usize = 32;

/// All residuals of the run are 0, and none is told.
pub(super) const QUIET: u8 = 0;

/// Stands for the class before the first.
pub(super) const NONE: u8 = CLASSES as u8;

/// How many of the low bits of residuals of each class are told raw.
pub(super) const SHIFTS: [u8; CLASSES] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 6, 8, 11, 14, 18, 22,
];

/// Runs have at least so many rows, but for frames that have fewer, and less than twice as many.
const RUN: usize = 12;

/// How many runs so many rows make.
pub(super) const fn runs(rows: usize) -> usize {
    if rows < RUN { 1 } else { rows / RUN }
}

/// The rows of run `at` of so many rows: runs are as even as whole numbers are.
pub(super) fn run(rows: usize, at: usize) -> Range<usize> {
    match runs(rows) {
        1 => 0..rows,
        runs => rows * at / runs..rows * (at + 1) / runs,
    }
}

/// The rows of all runs of a series.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Range<usize>>);

impl Runs {
    /// All of them.
    pub(super) fn all(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Becomes those of so many rows.
    pub(super) fn of(&mut self, rows: usize) -> &[Range<usize>] {
        if self.0.last().map_or(0, |last| last.end) != rows {
            self.0.clear();
            self.0.extend((0..runs(rows)).map(|at| run(rows, at)));
        }
        &self.0
    }
}

/// Kinds of residuals whose costs are known: 0, two an octave of either sign, and what is no number.
const KINDS: usize = 2 + 2 * SIZES;
const SIZES: usize = 96;
/// Costs are told in parts of a bit.
const PARTS: f64 = 16.0;

/// What residuals cost in each class.
#[derive(Debug)]
pub(super) struct Costs {
    /// Of each kind of residual.
    residuals: Vec<[i16; CLASSES]>,
    /// Of telling the class behind each class.
    classes: Vec<[i16; CLASSES]>,
}

impl Costs {
    /// The costs where `frequencies` of each class tell residuals, and `classes` of each class before tell classes.
    pub(super) fn new<'a>(
        frequencies: impl Iterator<Item = &'a [u16; SYMBOLS]>,
        classes: impl Iterator<Item = &'a [u16; SYMBOLS]>,
    ) -> Self {
        let mut residuals = vec![[MOST; CLASSES]; KINDS];
        for (class, (frequencies, &shift)) in frequencies.zip(&SHIFTS).enumerate() {
            let escape = bits(frequencies, ESCAPE);
            for (kind, costs) in residuals.iter_mut().enumerate() {
                let cost = match representative(kind) {
                    None => escape + 3.0,
                    Some(residual) => match symbol_of(residual, shift.into()) {
                        Some((symbol, (count, _))) if bits(frequencies, symbol).is_finite() => {
                            bits(frequencies, symbol) + f64::from(count)
                        }
                        _ => escape + 6.0 + (residual.unsigned_abs() as f64).log2(),
                    },
                };
                costs.iter_mut().skip(class).take(1).for_each(|to| *to = parts(cost));
            }
        }
        let classes = classes.map(|frequencies| std::array::from_fn(|class| parts(bits(frequencies, class as u8))));
        Self {
            residuals,
            classes: classes.collect(),
        }
    }

    /// The class that `residuals`, not all of them 0, cost least in, behind the class `before`.
    pub(super) fn choose(&self, before: u8, residuals: &[Cell]) -> u8 {
        let mut sums = self.classes.get(usize::from(before)).copied().unwrap_or_default();
        for &residual in residuals {
            let costs = self.residuals.get(kind(residual)).unwrap_or(&[0; CLASSES]);
            for (sum, &cost) in sums.iter_mut().zip(costs) {
                *sum = sum.wrapping_add(cost);
            }
        }
        // Cost and class in one number, so that the least of them tells both.
        let keys = (0..)
            .zip(sums)
            .skip(1)
            .map(|(class, sum)| i32::from(sum) << CLASS_BITS | class);
        let least = keys.fold(i32::MAX, i32::min);
        (least % CLASSES as i32) as u8
    }
}

const CLASS_BITS: u32 = CLASSES.ilog2();

/// No residual is said to cost more, so that those of a run add up to an `i16`.
const MOST: i16 = i16::MAX / (2 * RUN as i16);

fn parts(bits: f64) -> i16 {
    (bits * PARTS).round().clamp(0.0, f64::from(MOST)) as i16
}

/// Which kind a residual is of.
#[inline]
fn kind(residual: Cell) -> usize {
    if !is_level(residual) {
        return 1;
    }
    let magnitude = residual.unsigned_abs();
    // Twice the binary logarithm, and 2 of 0.
    let octave = (magnitude | 1).ilog2();
    let half = (magnitude << 1 >> octave) as usize & 1;
    let size = (2 * octave as usize + half).min(SIZES - 1);
    let kind = 2 + 2 * size + usize::from(residual < 0);
    if residual == 0 { 0 } else { kind }
}

/// One in the middle of a kind; `None` of what is no number.
fn representative(kind: usize) -> Option<i64> {
    let size = match kind {
        0 => return Some(0),
        1 => return None,
        _ => kind / 2 - 1,
    };
    let octave = (size / 2).min(54);
    let least = (2 + size as i64 % 2) << octave >> 1;
    let middle = least + (1_i64 << octave >> 2);
    Some(if kind % 2 == 1 { -middle } else { middle })
}
