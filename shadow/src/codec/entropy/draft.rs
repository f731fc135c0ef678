//! One frame on its way into a body.

use std::ops::Range;

use super::{
    super::CodecError,
    Cell, RAW, cell_missing,
    coder::{Coder, MISSING, QUIET, Writing},
    extreme::{Extremes, Pending, seconds},
    grid::{Grid, Moment, Moments},
    is_level,
    link::{Hint, hints},
    memory::{Column, Memory},
    sheet::Sheet,
};
use crate::{Block, Metric, Reading, UnixMs};

/// The frame at hand.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) moments: Moments,
    seconds: Vec<Range<usize>>,
    pub(super) sheet: Sheet,
    /// What is expected by each column's own past, column by column.
    pasts: Vec<i64>,
    hints: Vec<Hint>,
    /// What is expected in place of each cell.
    expected: Vec<i64>,
    /// Whether each column does as expected.
    quiet: Vec<bool>,
    /// Whether each column follows no other and holds in all rows what it held before.
    stays: Vec<bool>,
    /// The last cell of each column, if that was missing.
    missed: Vec<Option<Cell>>,
    /// Columns of which seconds' extremes are told.
    told: Vec<Reading>,
    pending: Vec<Pending>,
}

impl Draft {
    pub(super) fn write_times(
        &mut self,
        coder: &mut Writing<'_>,
        memory: &mut Memory,
        block: &Block,
        gaps: bool,
    ) -> Result<(), CodecError> {
        self.moments.clear();
        let clock = &mut memory.clock;
        for (row, (&time_ms, &gap_us)) in block.times_ms.iter().zip(&block.gaps_us).enumerate() {
            if gaps {
                clock.gap(coder, gap_us)?;
            }
            if row == 0 {
                clock.begin(time_ms, gap_us);
            } else {
                clock.time(coder, gap_us, time_ms)?;
            }
            self.moments.push(clock.moment());
        }
        Ok(())
    }

    /// Tells the rows of each second of the epoch apart: after the times are known, before the extremes are.
    pub(super) fn mark_seconds(&mut self, epoch: u64, times_ms: &[UnixMs]) {
        seconds(epoch, times_ms, &mut self.seconds);
    }

    pub(super) fn quantize(&mut self, grids: &[Grid], block: &Block) {
        self.sheet.begin(grids.len(), block.len());
        for (at, (grid, column)) in grids.iter().zip(&block.columns).enumerate() {
            let (cells, _) = self.sheet.column_mut(at);
            grid.each_level(column, &self.moments.rows, cells);
        }
    }

    /// Works out how far each cell is from its column's own past. Leaves the last levels in `columns`.
    pub(super) fn follow(&mut self, grids: &[Grid], columns: &mut [Column], before: Moment) {
        self.pasts.clear();
        self.missed.clear();
        self.stays.clear();
        let renewed = self.moments.rows.iter().any(|moment| moment.rules_otherwise(&before));
        for (at, (grid, column)) in grids.iter().zip(columns).enumerate() {
            let mut before = before;
            self.missed.push(column.missed());
            let (cells, surprises) = self.sheet.column_mut(at);
            // Most columns that follow none and stay as they are need no look at each row.
            let last = column.cell();
            let stays = column.stays() && !renewed && cells.iter().all(|&cell| cell == last);
            self.stays.push(stays);
            if stays {
                self.pasts.resize(self.pasts.len() + cells.len(), column.last);
                continue;
            }
            for ((&cell, surprise), moment) in cells.iter().zip(surprises).zip(&self.moments.rows) {
                column.renew(grid, &before, moment);
                before = *moment;
                let past = column.link.past(column);
                self.pasts.push(past);
                if is_level(cell) {
                    *surprise = cell - past;
                    column.follow(cell);
                } else {
                    column.miss(cell);
                }
            }
        }
    }

    /// Works out what is expected in place of each cell, and who does as expected.
    pub(super) fn expect(&mut self, grids: &[Grid], columns: &[Column]) {
        let rows = self.sheet.rows();
        self.expected.clear();
        self.quiet.clear();
        let pasts = self.pasts.chunks_exact(rows).zip(&self.missed).zip(&self.stays);
        for (at, (column, ((pasts, &missed), &stays))) in columns.iter().zip(pasts).enumerate() {
            if stays {
                self.expected.extend_from_slice(pasts);
                self.quiet.push(true);
                continue;
            }
            hints(
                &self.sheet,
                (at, column.link),
                (grids, &self.moments.rows),
                &mut self.hints,
            );
            let mut missed = missed;
            let mut quiet = true;
            for ((&cell, &past), hint) in self.sheet.cells(at).iter().zip(pasts).zip(&self.hints) {
                let expected = hint.expected(past);
                quiet &= cell == missed.unwrap_or(expected) && cell != RAW;
                missed = cell_missing(cell).map(|_| cell);
                self.expected.push(expected);
            }
            self.quiet.push(quiet);
        }
    }

    /// Who does as expected, then the residuals of all others.
    pub(super) fn write_levels(
        &mut self,
        coder: &mut Writing<'_>,
        columns: &mut [Column],
        block: &Block,
    ) -> Result<(), CodecError> {
        for (column, &quiet) in columns.iter().zip(&self.quiet) {
            coder.symbol(QUIET + coder.priors.machine.quiet(column.state), quiet.into())?;
        }
        let moving = |apart| {
            let columns = columns.iter().zip(&self.quiet).enumerate();
            let moving = columns.filter(move |(_, (column, quiet))| !**quiet && column.is_apart() == apart);
            moving.map(|(at, _)| at)
        };
        let (apart, followers): (Vec<usize>, Vec<usize>) = (moving(true).collect(), moving(false).collect());
        let rows = 0..self.sheet.rows();
        for row in rows.clone() {
            for &at in &apart {
                self.write_cell(coder, columns, (at, row), block)?;
            }
        }
        for &at in &followers {
            for row in rows.clone() {
                self.write_cell(coder, columns, (at, row), block)?;
            }
        }
        for (column, _) in columns.iter_mut().zip(&self.quiet).filter(|&(_, &quiet)| quiet) {
            column.rest(&coder.priors.machine);
        }
        Ok(())
    }

    #[inline]
    fn write_cell(
        &mut self,
        coder: &mut Writing<'_>,
        columns: &mut [Column],
        (at, row): (usize, usize),
        block: &Block,
    ) -> Result<(), CodecError> {
        let cells = self.sheet.cells(at);
        let expected = self.expected.get(at * cells.len() + row);
        let (Some(&cell), Some(&expected), Some(column)) = (cells.get(row), expected, columns.get_mut(at)) else {
            return Ok(());
        };
        let Some(missed) = self.missed.get_mut(at) else {
            return Ok(());
        };
        if let Some(before) = *missed {
            let changed = cell != before;
            coder.symbol(MISSING, changed.into())?;
            if !changed {
                return Ok(());
            }
        }
        *missed = cell_missing(cell).map(|_| cell);
        if is_level(cell) {
            coder.level(column, expected, cell - expected);
        } else {
            coder.level(column, expected, cell);
            if cell == RAW {
                let reading = block.columns.get(at).and_then(|column| column.get(row));
                coder.bits(64, reading.map_or(0, |reading| reading.or_nan().to_bits()))?;
            }
        }
        Ok(())
    }

    pub(super) fn write_extremes(
        &mut self,
        coder: &mut Writing<'_>,
        metrics: &[Metric],
        grids: &[Grid],
        block: &Block,
    ) -> Result<(), CodecError> {
        self.pending.clear();
        let rows = block.len();
        let asked = |metric: &Metric| metric.key || metric.minimum;
        let columns = || metrics.iter().zip(grids).zip(&block.columns).enumerate();
        self.told.clear();
        for (at, ((metric, grid), sent)) in columns().filter(|(_, ((metric, _), _))| asked(metric)) {
            let from = self.told.len();
            let cells = self.sheet.cells(at);
            grid.tell(cells, &self.moments, &mut self.told);
            let told = self.told.get_mut(from..).unwrap_or_default();
            for (_, (told, sent)) in cells
                .iter()
                .zip(told.iter_mut().zip(sent))
                .filter(|&(&cell, _)| cell == RAW)
            {
                *told = *sent;
            }
            let extremes = Extremes {
                grid,
                moments: &self.moments.rows,
                seconds: &self.seconds,
            };
            extremes.pick(coder, (at, metric), told, Some(sent), &mut self.pending)?;
        }
        let mut told = self.told.chunks_exact_mut(rows);
        let mut left = self.pending.iter().peekable();
        for (at, ((_, grid), sent)) in columns().filter(|(_, ((metric, _), _))| asked(metric)) {
            let Some(told) = told.next() else { break };
            let extremes = Extremes {
                grid,
                moments: &self.moments.rows,
                seconds: &self.seconds,
            };
            while let Some(pending) = left.next_if(|pending| pending.column() == at) {
                extremes.tell(coder, pending, told, Some(sent))?;
            }
        }
        Ok(())
    }
}
