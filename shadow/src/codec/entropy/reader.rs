//! Bodies to blocks.

use std::ops::Range;

use super::{
    super::{CodecError, MAX_CODED_READINGS, MAX_SPAN_MS, check_size},
    coder::{Coder, HEADER, LINK, QUIET, Reading},
    extreme::{Extremes, Pending, seconds},
    grid::{Grid, Moment, Moments},
    lane::{self, Lane, read_column, read_rows},
    link::{Hint, Link, hints},
    memory::{Column, Memory},
    priors::Priors,
    sheet::Sheet,
    tans::Source,
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
    moments: Moments,
    seconds: Vec<Range<usize>>,
    /// Whether levels of rates change their meaning within the frame.
    renewed: bool,
    quiet: Vec<bool>,
    /// Columns whose cells are read row by row.
    lanes: Vec<Lane>,
    /// Columns that go by others or do as expected, and which of these they do.
    followers: Vec<(usize, bool)>,
    hints: Vec<Hint>,
    sheet: Sheet,
    /// Row, column and value of each cell without a level.
    raw: Vec<(usize, usize, f64)>,
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
            entries: Priors::trained().entries(),
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
        before: Moment,
    ) -> Result<(), CodecError> {
        self.raw.clear();
        self.sheet.begin(grids.len(), self.moments.rows.len());
        self.sort_out(coder, memory, before)?;
        let mut frame = lane::Frame {
            grids,
            before,
            moments: &self.moments.rows,
            renewed: self.renewed,
            raw: &mut self.raw,
        };
        read_rows(coder, &mut self.lanes, &mut frame, &mut self.sheet)?;
        for lane in &self.lanes {
            if let Some(column) = memory.columns.get_mut(lane.at) {
                *column = lane.column;
            }
        }
        for &(at, quiet) in &self.followers {
            let Some(column) = memory.columns.get_mut(at) else {
                break;
            };
            hints(
                &self.sheet,
                (at, column.link),
                (frame.grids, frame.moments),
                &mut self.hints,
            );
            let column = (column, at, quiet);
            read_column(coder, column, &self.hints, &mut frame, &mut self.sheet)?;
        }
        for (column, _) in memory.columns.iter_mut().zip(&self.quiet).filter(|&(_, &quiet)| quiet) {
            column.rest(&coder.priors.machine);
        }
        // Within a frame a level cannot leave this range by so much that sums overflow.
        let known = memory.columns.iter().all(Column::is_known);
        known.then_some(()).ok_or(CodecError::Invalid("level"))
    }

    /// Reads who does as expected in the whole frame, and what is to be done for each column. For those that stay as they
    /// are it is done.
    fn sort_out(&mut self, coder: &mut Reading<'_>, memory: &Memory, before: Moment) -> Result<(), CodecError> {
        self.lanes.clear();
        self.followers.clear();
        self.quiet.clear();
        self.renewed = self.moments.rows.iter().any(|moment| moment.rules_otherwise(&before));
        for (at, column) in memory.columns.iter().enumerate() {
            let quiet = coder.symbol(QUIET + coder.priors.machine.quiet(column.state), 0)? != 0;
            self.quiet.push(quiet);
            if !quiet && column.is_apart() {
                self.lanes.push(Lane { column: *column, at });
            } else if quiet && column.stays() && !self.renewed {
                self.sheet.column_mut(at).0.fill(column.cell());
            } else {
                self.followers.push((at, quiet));
            }
        }
        Ok(())
    }

    /// Levels to values.
    fn values(&mut self, grids: &[Grid], block: &mut Block) -> Result<(), CodecError> {
        block.columns.resize_with(grids.len(), Vec::new);
        for (at, (grid, column)) in grids.iter().zip(&mut block.columns).enumerate() {
            column.clear();
            if !grid.tell(self.sheet.cells(at), &self.moments, column) {
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
            moments: &self.moments.rows,
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
