//! One frame on its way into a body.

use std::ops::Range;

use super::{
    super::CodecError,
    Cell, RAW, cell_missing,
    coder::{Coder, MISSING, QUIET, Writing},
    extreme::{Extremes, Pending, seconds},
    grid::{Grid, Moment},
    is_level,
    link::expected,
    memory::{Column, Memory},
    trial::translate,
};
use crate::{Block, Metric, Reading, UnixMs};

/// The frame at hand.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) moments: Vec<Moment>,
    seconds: Vec<Range<usize>>,
    /// Row by row.
    pub(super) cells: Vec<Cell>,
    /// What is expected in place of each.
    expected: Vec<i64>,
    /// Whether each column does as expected.
    quiet: Vec<bool>,
    /// Columns that may change.
    moving: Vec<usize>,
    surprises: Vec<i64>,
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
        let metrics = grids.len();
        self.cells.clear();
        self.cells.resize(metrics * block.len(), 0);
        for (at, (grid, column)) in grids.iter().zip(&block.columns).enumerate() {
            let cells = self.cells.iter_mut().skip(at).step_by(metrics);
            grid.each_level(column, &self.moments, cells);
        }
    }

    /// Runs through the frame: what is expected in place of each cell, and who does as expected. Leaves the last
    /// levels in `memory`.
    pub(super) fn expect(&mut self, grids: &[Grid], memory: &mut Memory, mut before: Moment) {
        let metrics = grids.len().max(1);
        self.expected.clear();
        self.expected.resize(self.cells.len(), 0);
        self.missed.clear();
        self.missed.extend(memory.columns.iter().map(Column::missed));
        self.quiet.clear();
        self.quiet.resize(grids.len(), true);
        self.surprises.clear();
        self.surprises.resize(grids.len(), 0);
        // Columns that stay as they are need no look at each row.
        let renewed = self.moments.iter().any(|moment| moment.ruling_s != before.ruling_s);
        self.moving.clear();
        for (at, column) in memory.columns.iter().enumerate() {
            let last = column.cell();
            let mut cells = self.cells.iter().skip(at).step_by(metrics);
            if renewed || !column.stays() || cells.any(|&cell| cell != last) {
                self.moving.push(at);
            }
        }
        let rows = self
            .cells
            .chunks_exact(metrics)
            .zip(self.expected.chunks_exact_mut(metrics));
        for ((cells, expecteds), moment) in rows.zip(&self.moments) {
            memory.renew(grids, &before, moment);
            before = *moment;
            for &at in &self.moving {
                let (Some(&cell), Some(column)) = (cells.get(at), memory.columns.get_mut(at)) else {
                    break;
                };
                let past = column.link.past(column);
                let expected = expected(cells, &self.surprises, (at, column.link, past), |distance, level| {
                    translate(grids, at, distance, level, moment)
                });
                let (same, surprise) = if is_level(cell) {
                    let same = column.missed().is_none() && cell == expected;
                    column.follow(cell);
                    (same, cell - past)
                } else {
                    let same = column.missed() == Some(cell);
                    column.miss(cell);
                    (same, 0)
                };
                if let (Some(to), Some(quiet), Some(surprised)) = (
                    expecteds.get_mut(at),
                    self.quiet.get_mut(at),
                    self.surprises.get_mut(at),
                ) {
                    *to = expected;
                    *quiet &= same;
                    *surprised = surprise;
                }
            }
        }
    }

    /// Who does as expected, then the residuals of all others, row by row.
    pub(super) fn write_levels(
        &mut self,
        coder: &mut Writing<'_>,
        memory: &mut Memory,
        block: &Block,
    ) -> Result<(), CodecError> {
        let columns = &mut memory.columns;
        for (column, &quiet) in columns.iter().zip(&self.quiet) {
            coder.symbol(QUIET + column.quiet_context(), quiet.into())?;
        }
        self.moving.retain(|&at| self.quiet.get(at) == Some(&false));
        let metrics = columns.len().max(1);
        let rows = self
            .cells
            .chunks_exact(metrics)
            .zip(self.expected.chunks_exact(metrics));
        for (row, (cells, expected)) in rows.enumerate() {
            for &at in &self.moving {
                let (Some(&cell), Some(&expected)) = (cells.get(at), expected.get(at)) else {
                    break;
                };
                let (Some(column), Some(missed)) = (columns.get_mut(at), self.missed.get_mut(at)) else {
                    break;
                };
                if let Some(before) = *missed {
                    let changed = cell != before;
                    coder.symbol(MISSING, changed.into())?;
                    if !changed {
                        continue;
                    }
                }
                *missed = cell_missing(cell).map(|_| cell);
                let context = column.context(expected);
                if is_level(cell) {
                    let residual = cell - expected;
                    coder.residual(context, residual)?;
                    column.learn(residual);
                } else {
                    coder.residual(context, cell)?;
                    if cell == RAW {
                        let reading = block.columns.get(at).and_then(|column| column.get(row));
                        coder.bits(64, reading.map_or(0, |reading| reading.or_nan().to_bits()))?;
                    }
                }
            }
        }
        for (column, _) in columns.iter_mut().zip(&self.quiet).filter(|&(_, &quiet)| quiet) {
            column.rest();
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
            let cells = self.cells.iter().skip(at).step_by(metrics.len()).copied();
            let mut sent_too = sent.iter();
            grid.each_value(cells, &self.moments, |cell, value| {
                let sent = sent_too.next().copied().unwrap_or(Reading::FAILED);
                self.told.push(if is_level(cell) { Reading::new(value) } else { sent });
            });
            let told = self.told.get(from..).unwrap_or_default();
            let extremes = Extremes {
                grid,
                moments: &self.moments,
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
                moments: &self.moments,
                seconds: &self.seconds,
            };
            while let Some(pending) = left.next_if(|pending| pending.column() == at) {
                extremes.tell(coder, pending, told, Some(sent))?;
            }
        }
        Ok(())
    }
}
