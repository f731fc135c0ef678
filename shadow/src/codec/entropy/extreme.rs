//! Exact maxima and minima: of each unix second and metric that asks for it, the row that holds the extreme comes
//! back exactly, and no other row of that second passes it.
//!
//! Told are the row, as its place among those that lie highest (lowest) by their levels, and which of the few
//! values that its level leaves open. Clamping the others to the extreme never makes their error larger.

use std::ops::Range;

use super::{
    super::CodecError,
    coder::{Coder, PICK},
    grid::{Grid, Moment},
};
use crate::{Metric, Reading, UnixMs};

/// How the value is told: the number of its grains.
const GRAINS: i64 = 0;
/// It is what its level says.
const TOLD: i64 = 1;
/// 64 bits.
const RAW: i64 = 2;

/// The highest or the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Maximum,
    Minimum,
}

impl Side {
    /// Turns values so that the extreme is the largest.
    fn turn(self, value: f64) -> f64 {
        match self {
            Self::Maximum => value,
            Self::Minimum => -value,
        }
    }
}

/// An extreme whose value is still to be told.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    side: Side,
    column: usize,
    second: Range<usize>,
    row: usize,
    how: i64,
}

impl Pending {
    /// Of which column.
    pub(super) const fn column(&self) -> usize {
        self.column
    }
}

/// The rows of each unix second.
pub(super) fn seconds(times_ms: &[UnixMs], out: &mut Vec<Range<usize>>) {
    out.clear();
    for (row, time_ms) in times_ms.iter().enumerate() {
        let second = time_ms.div_euclid(1_000);
        let same = row > 0
            && times_ms
                .get(row - 1)
                .is_some_and(|before| before.div_euclid(1_000) == second);
        match out.last_mut() {
            Some(last) if same => last.end = row + 1,
            _ => out.push(row..row + 1),
        }
    }
}

/// One column with extremes.
pub(super) struct Extremes<'a> {
    pub(super) grid: &'a Grid,
    pub(super) moments: &'a [Moment],
    pub(super) seconds: &'a [Range<usize>],
}

impl Extremes<'_> {
    /// Codes which rows hold the extremes of `metric` and how their values are told.
    ///
    /// `told` is the column as its levels say, `sent` as it was taken; a reader has none.
    pub(super) fn pick(
        &self,
        coder: &mut impl Coder,
        (column, metric): (usize, &Metric),
        told: &[Reading],
        sent: Option<&[Reading]>,
        pending: &mut Vec<Pending>,
    ) -> Result<(), CodecError> {
        for second in self.seconds {
            let mut maximum = None;
            if metric.key {
                maximum = self.pick_one(coder, (Side::Maximum, column, second), (told, sent), None, pending)?;
            }
            if metric.minimum {
                self.pick_one(coder, (Side::Minimum, column, second), (told, sent), maximum, pending)?;
            }
        }
        Ok(())
    }

    /// The row that holds the extreme. A second without values, or with none but `taken`, has no extreme.
    fn pick_one(
        &self,
        coder: &mut impl Coder,
        (side, column, second): (Side, usize, &Range<usize>),
        (told, sent): (&[Reading], Option<&[Reading]>),
        taken: Option<usize>,
        pending: &mut Vec<Pending>,
    ) -> Result<Option<usize>, CodecError> {
        let mut rows: Vec<(usize, f64)> = Vec::with_capacity(second.len());
        for row in second.clone().filter(|&row| Some(row) != taken) {
            let value = told.get(row).and_then(|reading| reading.value());
            rows.extend(value.map(|value| (row, side.turn(value))));
        }
        if rows.is_empty() {
            return Ok(None);
        }
        // The sort is stable: of equal rows the first is first.
        rows.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let (mut place, mut how) = (0, TOLD);
        if let Some(sent) = sent {
            place = extreme_place(&rows, sent, side);
            if let Some(&(row, _)) = rows.get(place) {
                how = self.how(row, told, sent);
            }
        }
        let place = coder.number(PICK, place as i64)?;
        let how = coder.number(PICK + 1, how)?;
        let picked = usize::try_from(place).ok().and_then(|place| rows.get(place));
        let &(row, _) = picked.ok_or(CodecError::Invalid("extreme"))?;
        pending.push(Pending {
            side,
            column,
            second: second.clone(),
            row,
            how,
        });
        Ok(Some(row))
    }

    fn how(&self, row: usize, told: &[Reading], sent: &[Reading]) -> i64 {
        let (Some(told), Some(sent)) = (value(told, row), value(sent, row)) else {
            return RAW;
        };
        if told.to_bits() == sent.to_bits() {
            return TOLD;
        }
        self.number(row, told, sent).map_or(RAW, |_| GRAINS)
    }

    /// Which of the possible numbers of grains gives `sent`, if one does.
    fn number(&self, row: usize, told: f64, sent: f64) -> Option<u64> {
        let moment = self.moments.get(row)?;
        let (first, count) = self.grid.grains(told, moment)?;
        let one = self.grid.exact(1.0, moment)?;
        let number = (sent / one).round() - first;
        let exact = self.grid.exact(first + number, moment)?;
        (number >= 0.0 && number < count && exact.to_bits() == sent.to_bits()).then(|| whole(number))
    }

    /// Codes the value of an extreme, puts it into `told` and clamps its second to it.
    pub(super) fn tell(
        &self,
        coder: &mut impl Coder,
        pending: &Pending,
        told: &mut [Reading],
        sent: Option<&[Reading]>,
    ) -> Result<(), CodecError> {
        let (row, side) = (pending.row, pending.side);
        let level = value(told, row).ok_or(CodecError::Invalid("extreme"))?;
        let sent = sent.and_then(|sent| value(sent, row));
        let exact = match pending.how {
            TOLD => level,
            GRAINS => self.grains(coder, row, level, sent)?,
            RAW => f64::from_bits(coder.tail(64, sent.map_or(0, f64::to_bits))?),
            _ => return Err(CodecError::Invalid("extreme")),
        };
        if !exact.is_finite() {
            return Err(CodecError::Invalid("extreme"));
        }
        for (at, reading) in told
            .iter_mut()
            .enumerate()
            .take(pending.second.end)
            .skip(pending.second.start)
        {
            if at == row {
                *reading = Reading::new(exact);
            } else if reading.value().is_some_and(|value| side.turn(value) > side.turn(exact)) {
                *reading = Reading::new(exact);
            }
        }
        Ok(())
    }

    fn grains(&self, coder: &mut impl Coder, row: usize, level: f64, sent: Option<f64>) -> Result<f64, CodecError> {
        let invalid = CodecError::Invalid("extreme");
        let moment = self.moments.get(row).ok_or(invalid.clone())?;
        let (first, count) = self.grid.grains(level, moment).ok_or(invalid.clone())?;
        let number = sent.and_then(|sent| self.number(row, level, sent)).unwrap_or(0);
        let width = u64::BITS - (whole(count) - 1).leading_zeros();
        let number = coder.tail(width, number)?;
        self.grid.exact(first + number as f64, moment).ok_or(invalid)
    }
}

/// The place of the row that holds the extreme of `sent`.
///
/// Of several it is the one whose level lies lowest: the others then are clamped to it, and a relay that
/// encodes what was decoded finds the same.
fn extreme_place(rows: &[(usize, f64)], sent: &[Reading], side: Side) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (place, &(row, _)) in rows.iter().enumerate() {
        let value = value(sent, row).map_or(f64::NEG_INFINITY, |value| side.turn(value));
        if value >= best.1 {
            best = (place, value);
        }
    }
    best.0
}

fn value(readings: &[Reading], row: usize) -> Option<f64> {
    readings.get(row).and_then(|reading| reading.value())
}

/// A whole number of 0 or more, below 2^53.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
const fn whole(number: f64) -> u64 {
    number as u64
}
