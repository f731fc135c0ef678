//! Some rows of one column: their levels and residuals.

use std::ops::Range;

use super::super::{
    super::quantize::{LANES, Plan, Rows, Told, USUAL, differences},
    Cell,
};
use crate::Reading;

/// Some rows of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// The level before them, and theirs.
    levels: [i32; LANES + 1],
    pub(super) residuals: [i32; LANES],
    pub(super) told: Told,
    /// Whether levels were quickly found.
    pub(super) near: bool,
}

impl Part {
    /// Nothing but 0.
    pub(super) const EMPTY: Self = Self {
        levels: [0; LANES + 1],
        residuals: [0; LANES],
        told: Told::NONE,
        near: false,
    };

    /// Takes readings, at most [`LANES`], and finds their levels behind a `last` one; returns the new one, unless that is not quickly
    /// done.
    #[inline]
    pub(super) fn find(&mut self, readings: &[Reading], plan: &Plan, rows: &Rows, last: i32) -> Option<i32> {
        let [before, levels @ ..] = &mut self.levels;
        *before = last;
        self.near = if let Ok(values) = <&[Reading; USUAL]>::try_from(readings) {
            plan.levels(values, rows, levels)
        } else if let Ok(values) = <&[Reading; LANES]>::try_from(readings) {
            plan.levels(values, rows, levels)
        } else if readings.len() <= FEW {
            plan.levels(&padded::<FEW>(readings), rows, levels)
        } else {
            plan.levels(&padded::<LANES>(readings), rows, levels)
        };
        self.near.then(|| levels.get(rows.last).copied().unwrap_or(last))
    }

    /// The levels of its rows, and some behind them.
    #[inline]
    pub(super) fn levels(&self) -> impl Iterator<Item = i32> {
        self.levels.into_iter().skip(1)
    }

    /// How far its levels are from those before them.
    #[inline]
    pub(super) fn tell(&mut self, rows: &Rows) -> Told {
        if self.near {
            self.told = differences(&self.levels, rows, &mut self.residuals);
        }
        self.told
    }
}

/// What a run has left for a second part is mostly so few rows.
const FEW: usize = 2;

/// Readings, at most `N`, and 0 behind them.
#[inline]
fn padded<const N: usize>(readings: &[Reading]) -> [Reading; N] {
    let mut all = [Reading::of(0.0); N];
    all.iter_mut().zip(readings).for_each(|(to, from)| *to = *from);
    all
}

/// The same as [`Part::find`] of a column of several parts.
pub(super) fn find(
    parts: &mut [Part],
    readings: &[Reading],
    plan: &Plan,
    (runs, rows): (&[Range<usize>], &[Rows]),
    last: i32,
) -> Option<i32> {
    let each = rows.len() / runs.len();
    let mut last = last;
    let all = runs
        .iter()
        .zip(parts.chunks_exact_mut(each))
        .zip(rows.chunks_exact(each));
    for ((run, parts), rows) in all {
        let readings = readings.get(run.clone()).unwrap_or_default().chunks(LANES);
        let readings = readings.chain(std::iter::repeat(&[][..]));
        for ((part, rows), readings) in parts.iter_mut().zip(rows).zip(readings) {
            last = part.find(readings, plan, rows, last)?;
        }
    }
    Some(last)
}

/// Lets residuals that are too far for a quick class be told by symbols.
#[cold]
pub(super) fn widen(parts: &[Part], residuals: &mut [Cell]) {
    if parts.iter().all(|part| part.near) {
        let all = parts.iter().flat_map(|part| part.residuals);
        residuals
            .iter_mut()
            .zip(all)
            .for_each(|(to, residual)| *to = residual.into());
    }
}

/// All bits that any of `readings` has: none if all are 0.
#[inline]
pub(in super::super) fn all_bits(readings: &[Reading]) -> u64 {
    let any = |readings: &[Reading]| readings.iter().fold(0, |any, reading| any | reading.or_nan().to_bits());
    // Of the usual number, by the first and the last eight: without counting.
    match (readings.first_chunk::<8>(), readings.last_chunk::<8>()) {
        (Some(first), Some(last)) if readings.len() <= 16 => any(first) | any(last),
        _ => any(readings),
    }
}
