//! Bodies to blocks.

use std::ops::Range;

use super::{
    super::{CodecError, MAX_CODED_READINGS, MAX_SPAN_MS, check_size, quantize::MAX_LEVEL},
    Cell, RAW, cell_missing,
    coder::{Coder, HEADER, LINK, MISSING, QUIET, Reading},
    extreme::{Extremes, Pending, seconds},
    grid::{Grid, Moment},
    is_level,
    link::{Link, expected},
    memory::{Column, Memory},
    priors::Priors,
    rans::Source,
    trial::translate,
    writer::{GAPS, KEPT, LINKED, PERIOD},
};
use crate::{Block, Catalogue, Frame, Metric, Reading as Value, UnixMs};

/// How many memories are kept: of a keyframe and of the newest frame, for what is live and for what is sent
/// again, and some to spare.
const MEMORIES: usize = 6;

/// Reads the bodies of one epoch.
#[derive(Debug)]
pub(crate) struct Reader {
    metrics: Vec<Metric>,
    grids: Vec<Grid>,
    /// After frames that may be named, the last used at the end.
    kept: Vec<Kept>,
    memory: Memory,
    draft: Draft,
}

/// The memory after a frame.
#[derive(Debug, Clone, Default)]
struct Kept {
    sequence: u64,
    /// Whether more than one frame may be read against it.
    keyframe: bool,
    memory: Memory,
}

/// The frame at hand.
#[derive(Debug, Default)]
struct Draft {
    moments: Vec<Moment>,
    seconds: Vec<Range<usize>>,
    /// Row by row.
    cells: Vec<Cell>,
    /// Row and column of each value without a level, in this order.
    raw: Vec<(usize, usize, f64)>,
    quiet: Vec<bool>,
    /// Columns that may change.
    moving: Vec<usize>,
    /// The row at hand.
    row: Vec<Cell>,
    surprises: Vec<i64>,
    pending: Vec<Pending>,
}

impl Reader {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        Self {
            metrics: catalogue.metrics().to_vec(),
            grids: catalogue.metrics().iter().map(Grid::new).collect(),
            kept: Vec::new(),
            memory: Memory::default(),
            draft: Draft::default(),
        }
    }

    /// Replaces `block` by the samples of `frame`. After an error it holds nothing of use.
    pub(crate) fn read(&mut self, frame: &Frame, block: &mut Block) -> Result<(), CodecError> {
        let samples = frame.samples as usize;
        check_size(samples, self.grids.len(), MAX_CODED_READINGS)?;
        let base = self.begin(frame)?;
        let mut coder = Reading {
            priors: Priors::trained(),
            source: Source::new(&frame.body)?,
        };
        let has = coder.symbol(HEADER, 0)?;
        if has > KEPT | LINKED | GAPS | PERIOD {
            return Err(CodecError::Invalid("header"));
        }
        self.read_header(&mut coder, has)?;
        let Self {
            metrics,
            grids,
            memory,
            draft,
            ..
        } = self;
        let before = memory.clock.moment();
        draft.read_times(&mut coder, memory, (has & GAPS != 0, samples, frame.start_ms), block)?;
        seconds(frame.epoch, &block.times_ms, &mut draft.seconds);
        draft.read_levels(&mut coder, grids, memory, before)?;
        draft.values(grids, block)?;
        draft.read_extremes(&mut coder, metrics, grids, block)?;
        coder.source.finish()?;
        self.keep(frame.sequence, has & KEPT != 0, base);
        Ok(())
    }

    /// Takes the memory that `frame` is read with; returns where it is kept.
    fn begin(&mut self, frame: &Frame) -> Result<Option<usize>, CodecError> {
        let Some(sequence) = frame.reads_against() else {
            self.memory.clear();
            self.memory.columns.resize(self.grids.len(), Column::default());
            return Ok(None);
        };
        let at = self.kept.iter().position(|kept| kept.sequence == sequence);
        let kept = at
            .and_then(|at| self.kept.get(at))
            .ok_or(CodecError::Reference { sequence })?;
        self.memory.copy_from(&kept.memory);
        Ok(at)
    }

    /// Keeps the memory after the frame `sequence`, in place of `base` if only this one could be read against it.
    fn keep(&mut self, sequence: u64, keyframe: bool, base: Option<usize>) {
        let same = self.kept.iter().position(|kept| kept.sequence == sequence);
        let based = base.filter(|&at| self.kept.get(at).is_some_and(|kept| !kept.keyframe));
        if let (Some(base), true) = (base, based.is_none()) {
            // Used last, dropped last.
            if let Some(kept) = self.kept.get_mut(base..) {
                kept.rotate_left(1);
            }
        }
        let full = (self.kept.len() >= MEMORIES).then_some(0);
        let mut kept = match same.or(based).or(full) {
            Some(at) if at < self.kept.len() => self.kept.remove(at),
            _ => Kept::default(),
        };
        kept.sequence = sequence;
        kept.keyframe = keyframe;
        kept.memory.copy_from(&self.memory);
        self.kept.push(kept);
    }

    fn read_header(&mut self, coder: &mut Reading<'_>, has: u8) -> Result<(), CodecError> {
        if has & LINKED != 0 {
            for column in &mut self.memory.columns {
                if let Some(number) = coder.symbol(LINK, 0)?.checked_sub(1) {
                    column.link = Link::new(number).ok_or(CodecError::Invalid("link"))?;
                }
            }
        }
        if has & PERIOD != 0 {
            let period_us = coder.bits(32, 0)?;
            self.memory.clock.set_period(u32::try_from(period_us).unwrap_or(0));
        }
        Ok(())
    }
}

impl Draft {
    fn read_times(
        &mut self,
        coder: &mut Reading<'_>,
        memory: &mut Memory,
        (gaps, samples, start_ms): (bool, usize, UnixMs),
        block: &mut Block,
    ) -> Result<(), CodecError> {
        self.moments.clear();
        block.times_ms.clear();
        block.gaps_us.clear();
        let clock = &mut memory.clock;
        for row in 0..samples {
            let gap_us = if gaps { clock.gap(coder, 0)? } else { 0 };
            let time_ms = if row == 0 {
                clock.begin(start_ms, gap_us);
                Some(start_ms)
            } else {
                clock.time(coder, gap_us, 0)?
            };
            let time_ms = time_ms.ok_or(CodecError::Times { row })?;
            if time_ms.abs_diff(start_ms) > MAX_SPAN_MS {
                return Err(CodecError::Times { row });
            }
            block.times_ms.push(time_ms);
            block.gaps_us.push(gap_us);
            self.moments.push(clock.moment());
        }
        Ok(())
    }

    fn read_levels(
        &mut self,
        coder: &mut Reading<'_>,
        grids: &[Grid],
        memory: &mut Memory,
        mut before: Moment,
    ) -> Result<(), CodecError> {
        self.quiet.clear();
        for column in &memory.columns {
            let quiet = coder.symbol(QUIET + column.quiet_context(), 0)?;
            self.quiet.push(quiet != 0);
        }
        self.cells.clear();
        self.raw.clear();
        self.row.clear();
        self.row.extend(memory.columns.iter().map(Column::cell));
        self.surprises.clear();
        self.surprises.resize(grids.len(), 0);
        // Columns that stay as they are need no look at each row.
        let moving = memory.columns.iter().zip(&self.quiet).enumerate();
        self.moving.clear();
        self.moving.extend(
            moving
                .filter(|(_, (column, quiet))| !**quiet || !column.stays())
                .map(|(at, _)| at),
        );
        for (row, moment) in self.moments.iter().enumerate() {
            if memory.renew(grids, &before, moment) {
                self.row.clear();
                self.row.extend(memory.columns.iter().map(Column::cell));
            }
            before = *moment;
            for &at in &self.moving {
                let (Some(column), Some(&quiet)) = (memory.columns.get_mut(at), self.quiet.get(at)) else {
                    break;
                };
                let past = column.link.past(column);
                let expected = expected(
                    &self.row,
                    &self.surprises,
                    (at, column.link, past),
                    |distance, level| translate(grids, at, distance, level, moment),
                );
                let cell = if quiet {
                    column.missed().unwrap_or(expected)
                } else {
                    read_cell(coder, column, expected)?
                };
                let surprise = if is_level(cell) {
                    column.follow(cell);
                    cell - past
                } else {
                    column.miss(cell);
                    if cell == RAW {
                        self.raw.push((row, at, f64::from_bits(coder.bits(64, 0)?)));
                    }
                    0
                };
                if let (Some(to), Some(surprised)) = (self.row.get_mut(at), self.surprises.get_mut(at)) {
                    *to = cell;
                    *surprised = surprise;
                }
            }
            self.cells.extend_from_slice(&self.row);
        }
        for (column, _) in memory.columns.iter_mut().zip(&self.quiet).filter(|&(_, &quiet)| quiet) {
            column.rest();
        }
        Ok(())
    }

    /// Levels to values.
    fn values(&mut self, grids: &[Grid], block: &mut Block) -> Result<(), CodecError> {
        block.columns.resize_with(grids.len(), Vec::new);
        for (at, (grid, column)) in grids.iter().zip(&mut block.columns).enumerate() {
            column.clear();
            let cells = self.cells.iter().skip(at).step_by(grids.len()).copied();
            let mut finite = true;
            grid.each_value(cells, &self.moments, |cell, value| {
                let missing = cell_missing(cell);
                finite &= value.is_finite() || !is_level(cell);
                column.push(missing.map_or_else(|| Value::new(value), Value::from));
            });
            if !finite {
                return Err(CodecError::Value { column: at });
            }
        }
        for &(row, at, value) in &self.raw {
            if !value.is_finite() {
                return Err(CodecError::Invalid("raw value"));
            }
            if let Some(reading) = block.columns.get_mut(at).and_then(|column| column.get_mut(row)) {
                *reading = Value::new(value);
            }
        }
        Ok(())
    }

    fn read_extremes(
        &mut self,
        coder: &mut Reading<'_>,
        metrics: &[Metric],
        grids: &[Grid],
        block: &mut Block,
    ) -> Result<(), CodecError> {
        self.pending.clear();
        let extremes = |grid| Extremes {
            grid,
            moments: &self.moments,
            seconds: &self.seconds,
        };
        let columns = metrics.iter().zip(grids).zip(&block.columns).enumerate();
        for (at, ((metric, grid), told)) in columns {
            if metric.key || metric.minimum {
                extremes(grid).pick(coder, (at, metric), told, None, &mut self.pending)?;
            }
        }
        for pending in &self.pending {
            let at = pending.column();
            if let (Some(grid), Some(told)) = (grids.get(at), block.columns.get_mut(at)) {
                extremes(grid).tell(coder, pending, told, None)?;
            }
        }
        Ok(())
    }
}

#[inline]
fn read_cell(coder: &mut Reading<'_>, column: &mut Column, expected: i64) -> Result<Cell, CodecError> {
    if let Some(before) = column.missed()
        && coder.symbol(MISSING, 0)? == 0
    {
        return Ok(before);
    }
    let residual = coder.residual(column.context(expected), 0)?;
    if !is_level(residual) {
        return Ok(residual);
    }
    column.learn(residual);
    let level = expected + residual;
    let known = (-MAX_LEVEL..=MAX_LEVEL).contains(&level);
    known.then_some(level).ok_or(CodecError::Invalid("level"))
}
