//! Exact maxima and minima: of each second of the epoch and metric that asks for it, the row that holds the extreme comes
//! back exactly, and no other row of that second passes it.
//!
//! Told are the row, as its place among those that lie highest (lowest) by their levels, and which of the few
//! values that its level leaves open. Clamping the others to the extreme never makes their error larger.

use std::{cmp::Ordering, ops::Range};

use super::{
    super::CodecError,
    coder::{Coder, PICK},
    grid::{Grid, Moment},
};
use crate::{Metric, Reading, UnixMs, frame::end_of_span};

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

/// Up to this place looking again and again is quicker than sorting.
const NEAR: usize = 4;

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

/// The rows of each second of the epoch.
pub(super) fn seconds(epoch: u64, times_ms: &[UnixMs], out: &mut Vec<Range<usize>>) {
    out.clear();
    let mut end_ms = None;
    for (row, &time_ms) in times_ms.iter().enumerate() {
        match out.last_mut() {
            Some(last) if end_ms.is_some_and(|end_ms| time_ms < end_ms) => last.end = row + 1,
            _ => {
                out.push(row..row + 1);
                end_ms = Some(end_of_span(epoch, time_ms, 1_000));
            }
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
        let mut ranks = Ranks::new(told, second, side, taken);
        let Some(&Rank { row: first, .. }) = ranks.0.first() else {
            return Ok(None);
        };
        let (mut place, mut how) = (0, TOLD);
        if let Some(sent) = sent {
            let row = extreme_row(&ranks, sent, side).unwrap_or(first);
            place = ranks.place_of(row);
            how = self.how(row, told, sent);
        }
        let place = coder.number(PICK, place as i64)?;
        let how = coder.number(PICK + 1, how)?;
        let place = usize::try_from(place).ok().filter(|&place| place < ranks.0.len());
        let row = place
            .and_then(|place| ranks.row_at(place))
            .ok_or(CodecError::Invalid("extreme"))?;
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
        let second = told.get_mut(pending.second.clone()).unwrap_or_default();
        for (at, reading) in (pending.second.start..).zip(second) {
            let passes = reading.value().is_some_and(|value| side.turn(value) > side.turn(exact));
            if at == row || passes {
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

/// A row of a second that has a value.
#[derive(Debug, Clone, Copy)]
struct Rank {
    /// What its level says, turned so that the extreme is the largest.
    told: f64,
    row: usize,
}

impl Rank {
    /// Whether it lies before `other`: higher, or as high and earlier.
    fn leads(&self, other: &Self) -> bool {
        self.told > other.told || (self.told == other.told && self.row < other.row)
    }
}

/// The rows of a second that have a value, in any order.
struct Ranks(Vec<Rank>);

impl Ranks {
    fn new(told: &[Reading], second: &Range<usize>, side: Side, taken: Option<usize>) -> Self {
        let rows = told.get(second.clone()).unwrap_or_default();
        let ranks = rows.iter().zip(second.clone()).filter_map(|(reading, row)| {
            let told = side.turn(reading.value()?);
            (Some(row) != taken).then_some(Rank { told, row })
        });
        let mut all = Vec::with_capacity(rows.len());
        all.extend(ranks);
        Self(all)
    }

    /// How many rows lie before `row`.
    fn place_of(&self, row: usize) -> usize {
        let own = self.0.iter().find(|rank| rank.row == row);
        own.map_or(0, |own| self.0.iter().filter(|rank| rank.leads(own)).count())
    }

    /// The row with `place` rows before it.
    fn row_at(&mut self, place: usize) -> Option<usize> {
        if place > NEAR {
            self.0.sort_unstable_by(|a, b| {
                let falling = b.told.partial_cmp(&a.told).unwrap_or(Ordering::Equal);
                falling.then(a.row.cmp(&b.row))
            });
            return self.0.get(place).map(|rank| rank.row);
        }
        let mut found = None;
        for _ in 0..=place {
            let ranks = self.0.iter().enumerate();
            let (at, _) = ranks.reduce(|best, next| if next.1.leads(best.1) { next } else { best })?;
            found = Some(self.0.swap_remove(at).row);
        }
        found
    }
}

/// The row that holds the extreme of what was sent.
///
/// Of several it is the one whose level lies lowest: the others then are clamped to it.
fn extreme_row(ranks: &Ranks, sent: &[Reading], side: Side) -> Option<usize> {
    let key = |rank: &Rank| Some((side.turn(value(sent, rank.row)?), -rank.told, rank.row));
    let best = ranks
        .0
        .iter()
        .filter_map(key)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    best.map(|(_, _, row)| row)
}

fn value(readings: &[Reading], row: usize) -> Option<f64> {
    readings.get(row).and_then(|reading| reading.value())
}

/// A whole number of 0 or more, below 2^53.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
const fn whole(number: f64) -> u64 {
    number as u64
}
