//! What a reader does for each column: residuals to levels, by what is known of the columns before it.

use super::{
    super::CodecError,
    BACK, Cell, RAW,
    class::{self, QUIET},
    coder::Reading,
    grid::{Grid, Moment, Moments},
    is_level,
    link::{self, Hint, Hints},
    memory::Column,
    sheet::Sheet,
};
use crate::Reading as Value;

/// What goes with the columns of a frame.
pub(super) struct Frame<'a> {
    pub(super) grids: &'a [Grid],
    /// The row before the first, and all rows.
    pub(super) before: Moment,
    pub(super) moments: &'a Moments,
    /// Whether levels of rates change their meaning within the frame.
    pub(super) renewed: bool,
    /// Whether no column follows another, and a level means the same in all rows, but for what a count is worth.
    pub(super) apart: bool,
}

/// Memory for the column at hand.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    hints: Hints,
    pub(super) steps: Vec<i64>,
    /// Values without a level.
    pub(super) raw: Vec<f64>,
}

impl Frame<'_> {
    /// Reads `column`, number `at`, whose runs are told in these `ways`, into `values`. Tells whether it stays as it is.
    #[inline]
    pub(super) fn read(
        &self,
        coder: &mut Reading<'_>,
        (at, column, ways): (usize, &mut Column, &[u8]),
        (sheet, scratch): (&mut Sheet, &mut Scratch),
        values: &mut [Value],
    ) -> Result<bool, CodecError> {
        let Some(grid) = self.grids.get(at) else {
            return Ok(true);
        };
        let quiet = ways.iter().all(|&way| way == QUIET);
        let mut plain = column.missed().is_none() && !self.renewed;
        if quiet && plain && column.stays() {
            let (_, cells, surprises) = sheet.split(at);
            cells.fill(column.last);
            surprises.fill(0);
            let known = grid.tell_still(column.last, self.moments, values);
            return known.then_some(true).ok_or(CodecError::Value { column: at });
        }
        let (before, cells, residuals) = sheet.split(at);
        let rows = residuals.len();
        for (number, &way) in ways.iter().enumerate() {
            let run = residuals.get_mut(class::run(rows, number)).unwrap_or_default();
            plain &= coder.run(way, run, &mut scratch.raw)?;
        }
        let rows = &self.moments.rows;
        let hint = scratch.hints.of(&before, (at, column.link), (self.grids, rows));
        if !plain {
            self.closely(column, at, (cells, residuals), hint)?;
        } else if column.is_apart() {
            column.add(cells, residuals);
        } else {
            column.follow_all(cells, residuals, hint);
        }
        // Numbers that have symbols do not leave this range by so much within a frame that sums overflow.
        if !column.is_known() {
            return Err(CodecError::Invalid("level"));
        }
        if !grid.tell(cells, self.moments, values) {
            return Err(CodecError::Value { column: at });
        }
        let without = cells.iter().zip(values).filter(|(cell, _)| **cell == RAW);
        let told = without.zip(scratch.raw.drain(..));
        told.for_each(|((_, value), raw)| *value = Value::of(raw));
        Ok(false)
    }

    /// The same where cells are missing or have no level, or levels change their meaning.
    #[cold]
    fn closely(
        &self,
        column: &mut Column,
        at: usize,
        (cells, residuals): (&mut [Cell], &mut [i64]),
        hint: Hint<'_>,
    ) -> Result<(), CodecError> {
        let Some(grid) = self.grids.get(at) else { return Ok(()) };
        let mut before = self.before;
        let rows = cells.iter_mut().zip(residuals).zip(&self.moments.rows).enumerate();
        for (row, ((cell, residual), &moment)) in rows {
            column.renew(grid, &before, &moment);
            before = moment;
            let past = column.past();
            let expected = hint.expected(row, past);
            *cell = match (*residual, column.missed()) {
                (0, Some(missed)) => missed,
                (BACK, _) => expected,
                (residual, _) if is_level(residual) => expected + residual,
                (other, _) => other,
            };
            *residual = 0;
            if is_level(*cell) {
                *residual = *cell - past;
                column.follow(*cell);
                if !column.is_known() {
                    return Err(CodecError::Invalid("level"));
                }
            } else {
                column.miss(*cell);
            }
        }
        Ok(())
    }
}

impl Column {
    /// Goes on by residuals of a column that follows no other.
    #[inline]
    fn add(&mut self, cells: &mut [Cell], residuals: &[i64]) {
        let rows = cells.iter_mut().zip(residuals);
        if self.link.averages() {
            for (cell, residual) in rows {
                *cell = self.average() + residual;
                self.follow(*cell);
            }
            return;
        }
        let mut last = self.last;
        for (cell, residual) in rows {
            last += residual;
            *cell = last;
        }
        self.last = last;
    }

    /// The same of one that follows others; residuals become surprises.
    #[inline]
    fn follow_all(&mut self, cells: &mut [Cell], residuals: &mut [i64], hint: Hint<'_>) {
        let rows = cells.iter_mut().zip(residuals);
        let mut last = self.last;
        match hint {
            Hint::Steps(steps) if self.link.averages() => {
                for ((cell, residual), &step) in rows.zip(steps) {
                    let past = self.average();
                    *cell = link::step(past, step) + *residual;
                    *residual = *cell - past;
                    self.follow(*cell);
                }
                return;
            }
            Hint::Steps(steps) => {
                for ((cell, residual), &step) in rows.zip(steps) {
                    let level = link::step(last, step) + *residual;
                    (*cell, *residual, last) = (level, level - last, level);
                }
            }
            Hint::Levels(levels) => {
                for ((cell, residual), &other) in rows.zip(levels) {
                    let level = link::level(last, other) + *residual;
                    (*cell, *residual, last) = (level, level - last, level);
                }
            }
        }
        self.last = last;
    }
}
