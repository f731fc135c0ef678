//! Exact maxima and minima: of each second of the epoch and metric that asks for it, the row that holds the extreme comes
//! back exactly, and no other row of that second passes it.
//!
//! Told are the row, as its place among those that lie highest (lowest) by their levels, and which of the few
//! values that its level leaves open. Clamping the others to the extreme never makes their error larger.

use std::{cmp::Ordering, ops::Range};

use super::{
    super::CodecError,
    coder::{Coder, EXTREME},
    grid::{Grid, Moment},
};
use crate::{
    Metric, Reading, UnixMs,
    frame::{MAX_SAMPLES, end_of_span},
};

/// How the value is told: it is what its level says.
const TOLD: u8 = 0;
/// The number of its grains.
const GRAINS: u8 = 1;
/// 64 bits.
const RAW: u8 = 2;
/// How many ways there are.
const WAYS: usize = 3;

/// Places from this on have no symbol of their own.
const FAR: usize = 10;
/// The symbol of all of them: place and way follow.
pub(super) const ELSEWHERE: u8 = 30;
/// Bits of such a place, and of the way.
const PLACE_BITS: u32 = MAX_SAMPLES.ilog2();
const WAY_BITS: u32 = 2;

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
const NEAR: usize = 10;

/// An extreme whose value is still to be told.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    side: Side,
    column: usize,
    second: Range<usize>,
    row: usize,
    way: u8,
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
    /// `told` is the column as its levels say, `sent` as it was taken; a reader has none. Whether the column is `still` in
    /// the whole frame is the context.
    pub(super) fn pick(
        &self,
        coder: &mut impl Coder,
        (column, metric, still): (usize, &Metric, bool),
        readings: (&[Reading], Option<&[Reading]>),
        pending: &mut Vec<Pending>,
    ) -> Result<(), CodecError> {
        let what = |side| (side, column, still, metric.minimum);
        for second in self.seconds {
            let mut maximum = None;
            if metric.key {
                maximum = self.pick_one(coder, what(Side::Maximum), second, readings, None, pending)?;
            }
            if metric.minimum {
                self.pick_one(coder, what(Side::Minimum), second, readings, maximum, pending)?;
            }
        }
        Ok(())
    }

    /// The row that holds the extreme, if there is to be a minimum or something is to be done for it. A second without values, or
    /// with none but `taken`, has no extreme.
    fn pick_one(
        &self,
        coder: &mut impl Coder,
        (side, column, still, minimum): (Side, usize, bool, bool),
        second: &Range<usize>,
        (told, sent): (&[Reading], Option<&[Reading]>),
        taken: Option<usize>,
        pending: &mut Vec<Pending>,
    ) -> Result<Option<usize>, CodecError> {
        let ranks = Ranks {
            told,
            second,
            side,
            taken,
        };
        if ranks.all().next().is_none() {
            return Ok(None);
        }
        let (mut place, mut way) = (0, TOLD);
        if let Some((sent, row)) = sent.and_then(|sent| Some((sent, extreme_row(&ranks, sent)?))) {
            place = ranks.place_of(row);
            way = self.way(row, told, sent);
        }
        (place, way) = code_place(coder, still, place, way);
        // What leads and is what its level says is there already. Most are, and who asks for no minimum need not know the row.
        let leads = place == 0 && way == TOLD;
        if leads && !minimum {
            return Ok(None);
        }
        let row = ranks.row_at(place).ok_or(CodecError::Invalid("extreme"))?;
        if !leads {
            pending.push(Pending {
                side,
                column,
                second: second.clone(),
                row,
                way,
            });
        }
        Ok(Some(row))
    }

    fn way(&self, row: usize, told: &[Reading], sent: &[Reading]) -> u8 {
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
        let exact = match pending.way {
            TOLD => level,
            GRAINS => self.grains(coder, row, level, sent)?,
            RAW => f64::from_bits(coder.tail(64, sent.map_or(0, f64::to_bits))),
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
        let number = coder.tail(width, number);
        self.grid.exact(first + number as f64, moment).ok_or(invalid)
    }
}

/// Codes a place and a way.
#[expect(clippy::cast_possible_truncation, reason = "there are few of both")]
fn code_place(coder: &mut impl Coder, still: bool, place: usize, way: u8) -> (usize, u8) {
    let near = place < FAR;
    let symbol = if near { (place * WAYS) as u8 + way } else { ELSEWHERE };
    let symbol = usize::from(coder.symbol(EXTREME + usize::from(still), symbol));
    if symbol < FAR * WAYS {
        return (symbol / WAYS, (symbol % WAYS) as u8);
    }
    let place = coder.bits(PLACE_BITS, place as u64) as usize;
    (place, coder.bits(WAY_BITS, way.into()) as u8)
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

/// The rows of a second that have a value, and are not `taken`.
#[derive(Clone, Copy)]
struct Ranks<'a> {
    told: &'a [Reading],
    second: &'a Range<usize>,
    side: Side,
    taken: Option<usize>,
}

impl Ranks<'_> {
    fn all(&self) -> impl Iterator<Item = Rank> {
        let rows = self.told.get(self.second.clone()).unwrap_or_default();
        rows.iter().zip(self.second.clone()).filter_map(|(reading, row)| {
            let told = self.side.turn(reading.value()?);
            (Some(row) != self.taken).then_some(Rank { told, row })
        })
    }

    /// The one before all others.
    fn first(&self) -> Option<Rank> {
        self.all()
            .reduce(|best, next| if next.told > best.told { next } else { best })
    }

    /// How many rows lie before `row`.
    fn place_of(&self, row: usize) -> usize {
        let own = self.all().find(|rank| rank.row == row);
        own.map_or(0, |own| self.all().filter(|rank| rank.leads(&own)).count())
    }

    /// The row with `place` rows before it.
    fn row_at(&self, place: usize) -> Option<usize> {
        if place < NEAR {
            let mut found = self.first()?;
            for _ in 0..place {
                let behind = self.all().filter(|rank| found.leads(rank));
                found = behind.reduce(|best, next| if next.told > best.told { next } else { best })?;
            }
            return Some(found.row);
        }
        let mut ranks: Vec<Rank> = self.all().collect();
        ranks.sort_unstable_by(|a, b| {
            let falling = b.told.partial_cmp(&a.told).unwrap_or(Ordering::Equal);
            falling.then(a.row.cmp(&b.row))
        });
        ranks.get(place).map(|rank| rank.row)
    }
}

/// The row that holds the extreme of what was sent; of several the one whose level lies highest.
fn extreme_row(ranks: &Ranks<'_>, sent: &[Reading]) -> Option<usize> {
    let key = |rank: Rank| Some((ranks.side.turn(value(sent, rank.row)?), rank));
    let best = ranks.all().filter_map(key).reduce(|best, next| {
        let leads = next.0 > best.0 || (next.0 == best.0 && next.1.leads(&best.1));
        if leads { next } else { best }
    });
    best.map(|(_, rank)| rank.row)
}

fn value(readings: &[Reading], row: usize) -> Option<f64> {
    readings.get(row).and_then(|reading| reading.value())
}

/// A whole number of 0 or more, below 2^53.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
const fn whole(number: f64) -> u64 {
    number as u64
}
