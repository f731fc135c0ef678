//! Exact maxima and minima: of each second of the epoch and metric that asks for it, the row that holds the extreme comes
//! back exactly, and no other row of that second passes it.
//!
//! Told are the row, unless the extreme is what levels say anyway, and which of the few values that its level leaves open.
//! Clamping the others to the extreme never makes their error larger.

use std::ops::Range;

use super::{
    super::CodecError,
    coder::{Coder, EXTREME},
    grid::{Grid, Moment},
};
use crate::{
    Catalogue, Metric, Reading, UnixMs,
    frame::{MAX_SAMPLES, end_of_span},
};

/// The extreme of what levels say is that of the second.
const TOLD: u8 = 0;
/// Rows of a second from this on have no symbol of their own.
const ROWS: u8 = 15;
/// The symbol of all of them: row and way follow.
pub(super) const ELSEWHERE: u8 = 1 + 2 * ROWS;
/// Bits of such a row.
const ROW_BITS: u32 = MAX_SAMPLES.ilog2();

const INVALID: CodecError = CodecError::Invalid("extreme");

/// How the value of an extreme is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The number of its grains.
    Grains,
    /// 64 bits.
    Raw,
}

/// An extreme that is told by the number of its grains.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Counted from the first that its level leaves open.
    number: u64,
    /// How many its level leaves open.
    of: f64,
    exact: f64,
}

/// The highest or the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Maximum,
    Minimum,
}

impl Side {
    /// Turns values so that the extreme is the largest.
    #[inline]
    fn turn(self, value: f64) -> f64 {
        match self {
            Self::Maximum => value,
            Self::Minimum => -value,
        }
    }
}

/// The rows of each second of the epoch.
pub(super) fn seconds(epoch: u64, times_ms: &[UnixMs], out: &mut Vec<Range<usize>>) {
    out.clear();
    let mut end_ms = UnixMs::MIN;
    for (row, &time_ms) in times_ms.iter().enumerate() {
        match out.last_mut() {
            Some(last) if time_ms < end_ms => last.end = row + 1,
            _ => {
                out.push(row..row + 1);
                end_ms = end_of_span(epoch, time_ms, 1_000);
            }
        }
    }
}

/// The metrics that ask for extremes, and their columns.
pub(super) fn asking(catalogue: &Catalogue) -> Vec<(usize, Metric)> {
    let metrics = catalogue.metrics().iter().cloned().enumerate();
    metrics.filter(|(_, metric)| metric.key || metric.minimum).collect()
}

/// One column with extremes.
pub(super) struct Extremes<'a> {
    pub(super) grid: &'a Grid,
    pub(super) moments: &'a [Moment],
    pub(super) seconds: &'a [Range<usize>],
    /// Whether the column stays as it is in the whole frame.
    pub(super) still: bool,
}

impl Extremes<'_> {
    /// Codes the extremes that `metric` asks for, and puts them into `told`: the column as its levels say. `sent` is the column as
    /// it was taken; a reader has none.
    pub(super) fn code(
        &self,
        coder: &mut impl Coder,
        metric: &Metric,
        told: &mut [Reading],
        sent: Option<&[Reading]>,
    ) -> Result<(), CodecError> {
        for second in self.seconds {
            let sent = sent.and_then(|sent| sent.get(second.clone()));
            let moments = self.moments.get(second.clone()).unwrap_or_default();
            let Some(told) = told.get_mut(second.clone()) else {
                continue;
            };
            if metric.key {
                let extreme = self.code_one(coder, Side::Maximum, moments, (told, sent))?;
                // A writer has no further use for it.
                if sent.is_none() || metric.minimum {
                    settle(Side::Maximum, told, extreme);
                }
            }
            if metric.minimum {
                let extreme = self.code_one(coder, Side::Minimum, moments, (told, sent))?;
                settle(Side::Minimum, told, extreme);
            }
        }
        Ok(())
    }

    /// Codes that all extremes that `metric` asks for are what levels say.
    pub(super) fn code_none(&self, coder: &mut impl Coder, metric: &Metric) {
        for _ in 0..self.seconds.len() * (usize::from(metric.key) + usize::from(metric.minimum)) {
            coder.symbol(self.context(), TOLD);
        }
    }

    fn context(&self) -> usize {
        EXTREME + usize::from(self.still)
    }

    /// Codes the extreme of a second; returns its row and value if that is told.
    fn code_one(
        &self,
        coder: &mut impl Coder,
        side: Side,
        moments: &[Moment],
        (told, sent): (&[Reading], Option<&[Reading]>),
    ) -> Result<Option<(usize, f64)>, CodecError> {
        let extreme = sent.and_then(|sent| find(side, told, sent));
        let known = extreme.and_then(|(row, value)| self.number(told.get(row), moments.get(row), value));
        let way = if known.is_some() { Way::Grains } else { Way::Raw };
        let Some((row, way)) = code_row(coder, self.context(), extreme.map(|(row, _)| (row, way))) else {
            return Ok(None);
        };
        let level = told.get(row).and_then(|reading| reading.value()).ok_or(INVALID)?;
        let exact = match way {
            Way::Grains => match known {
                Some(known) => {
                    coder.front(width(known.of), known.number);
                    known.exact
                }
                None => self.grains(coder, moments.get(row), level)?,
            },
            Way::Raw => f64::from_bits(coder.front(64, extreme.map_or(0, |(_, value)| value.to_bits()))),
        };
        exact.is_finite().then_some(Some((row, exact))).ok_or(INVALID)
    }

    /// Which of the possible numbers of grains gives `sent`, if one does.
    fn number(&self, told: Option<&Reading>, moment: Option<&Moment>, sent: f64) -> Option<Known> {
        let (told, moment) = (told?.value()?, moment?);
        let (first, of) = self.grid.grains(told, moment)?;
        let one = self.grid.exact(1.0, moment)?;
        // Any rounding will do, for what comes of it is looked at.
        let number = (sent / one + TO_WHOLE) - TO_WHOLE - first;
        let exact = self.grid.exact(first + number, moment)?;
        (number >= 0.0 && number < of && exact.to_bits() == sent.to_bits()).then(|| Known {
            number: whole(number),
            of,
            exact,
        })
    }

    /// What a reader makes of the number that follows.
    fn grains(&self, coder: &mut impl Coder, moment: Option<&Moment>, level: f64) -> Result<f64, CodecError> {
        let moment = moment.ok_or(INVALID)?;
        let (first, of) = self.grid.grains(level, moment).ok_or(INVALID)?;
        let number = coder.front(width(of), 0);
        self.grid.exact(first + number as f64, moment).ok_or(INVALID)
    }
}

/// Bits of a number below `of`, which is whole.
const fn width(of: f64) -> u32 {
    u64::BITS - (whole(of) - 1).leading_zeros()
}

/// The row that holds the extreme of what was sent and its value, unless it is what is told anyway, or there is none. A row
/// without a value is none.
fn find(side: Side, told: &[Reading], sent: &[Reading]) -> Option<(usize, f64)> {
    let extreme = most(side, sent);
    if extreme == most(side, told) {
        return None;
    }
    let is_it = |reading: &Reading| side.turn(reading.or_nan()) == extreme;
    let rows = sent.iter().enumerate().rev();
    // The first of them, and nothing is guessed; there is none where nothing has a value.
    let row = rows.fold(
        None,
        |first, (row, reading)| if is_it(reading) { Some(row) } else { first },
    )?;
    Some((row, side.turn(extreme)))
}

/// The largest value, turned; four at once.
#[inline]
fn most(side: Side, readings: &[Reading]) -> f64 {
    let larger = |most: f64, value: f64| if value > most { value } else { most };
    let mut most = [f64::NEG_INFINITY; 4];
    let (fours, rest) = readings.as_chunks::<4>();
    for four in fours {
        for (most, reading) in most.iter_mut().zip(four) {
            *most = larger(*most, side.turn(reading.or_nan()));
        }
    }
    for (most, reading) in most.iter_mut().zip(rest) {
        *most = larger(*most, side.turn(reading.or_nan()));
    }
    most.into_iter().fold(f64::NEG_INFINITY, larger)
}

/// What rounds a number of less than 2^51 when it is added and taken away again.
const TO_WHOLE: f64 = (3_u64 << 51) as f64;

/// Puts the extreme where it is, if it is told, and lets no reading pass it.
#[inline]
fn settle(side: Side, told: &mut [Reading], extreme: Option<(usize, f64)>) {
    let Some((row, exact)) = extreme else { return };
    for reading in told.iter_mut() {
        let value = reading.or_nan();
        let passes = match side {
            Side::Maximum => value > exact,
            Side::Minimum => value < exact,
        };
        *reading = if passes { Reading::of(exact) } else { *reading };
    }
    told.iter_mut()
        .skip(row)
        .take(1)
        .for_each(|to| *to = Reading::of(exact));
}

/// Codes which row is told and how, if one is.
#[expect(clippy::cast_possible_truncation, reason = "rows are few")]
fn code_row(coder: &mut impl Coder, context: usize, row: Option<(usize, Way)>) -> Option<(usize, Way)> {
    let symbol = match row {
        None => TOLD,
        Some((row, way)) if row < ROWS.into() => 1 + 2 * row as u8 + u8::from(way == Way::Raw),
        Some(_) => ELSEWHERE,
    };
    let way = |raw| if raw { Way::Raw } else { Way::Grains };
    match coder.symbol(context, symbol) {
        TOLD => None,
        ELSEWHERE.. => {
            let told = row.map_or(0, |(row, way)| row << 1 | usize::from(way == Way::Raw));
            let told = coder.front(ROW_BITS + 1, told as u64);
            Some((told as usize >> 1, way(told & 1 == 1)))
        }
        symbol => Some((usize::from(symbol - 1) / 2, way(symbol % 2 == 0))),
    }
}

/// A whole number of 0 or more, below 2^53.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
const fn whole(number: f64) -> u64 {
    number as u64
}
