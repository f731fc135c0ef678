//! Bodies to blocks.

use std::{iter, mem, ops::Range};

use super::{
    super::{CodecError, MAX_CODED_READINGS, MAX_SPAN_MS, check_size},
    ABSENT, Cell,
    class::{self, Runs},
    clock::Clock,
    coder::{Coder, HEADER, LINK, Reading},
    column::{self, Scratch},
    extreme::{self, Extremes, seconds},
    front::FrontBits,
    grid::{Grid, Moment, Moments},
    is_level,
    link::Link,
    memory::{Column, Memory},
    priors::Priors,
    quick::{self, KEPT as KEPT_CLASS},
    sheet::Sheet,
    tans::Source,
    writer::{GAPS, KEPT, LINKED, PERIOD, QUICK},
};
use crate::{Block, Catalogue, Frame, Metric, Reading as Value, UnixMs};

/// How many memories are kept: of a keyframe and of the newest frame, for what is live and for what is sent
/// again, and some to spare.
const MEMORIES: usize = 6;

/// Reads the bodies of one epoch.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Those that have extremes, and their columns.
    asking: Vec<(usize, Metric)>,
    grids: Vec<Grid>,
    /// After frames that may be named, the last used at the end.
    kept: Vec<Kept>,
    memory: Memory,
    /// The body at hand.
    padded: Vec<u8>,
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
    /// Residuals of gaps, then of times.
    series: Vec<Cell>,
    /// How all runs are told, column by column.
    ways: Vec<u8>,
    sheet: Sheet,
    /// Whether each column stays as it is.
    still: Vec<bool>,
    scratch: Scratch,
    runs: Runs,
}

impl Reader {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        Self {
            asking: extreme::asking(catalogue),
            grids: catalogue.metrics().iter().map(Grid::new).collect(),
            kept: Vec::new(),
            memory: Memory::default(),
            padded: Vec::new(),
            draft: Draft::default(),
        }
    }

    /// Replaces `block` by the samples of `frame`. After an error it holds nothing of use.
    pub(crate) fn read(&mut self, frame: &Frame, block: &mut Block) -> Result<(), CodecError> {
        let samples = frame.samples as usize;
        check_size(samples, self.grids.len(), MAX_CODED_READINGS)?;
        let base = self.begin(frame)?;
        let Self {
            asking,
            grids,
            memory,
            padded,
            draft,
            ..
        } = self;
        let source = Source::new(&frame.body, padded)?;
        let mut coder = Reading {
            entries: Priors::trained().entries(),
            front: FrontBits::new(source.padded()),
            source,
            quick: false,
        };
        let has = coder.symbol(HEADER, 0);
        coder.quick = has & QUICK != 0;
        read_header(&mut coder, memory, has)?;
        let before = memory.clock.moment();
        draft.read_times(
            &mut coder,
            &mut memory.clock,
            (has & GAPS != 0, samples, frame.start_ms),
            block,
        )?;
        seconds(frame.epoch, &block.times_ms, &mut draft.seconds);
        draft.read_columns(&mut coder, grids, (memory, before), block)?;
        draft.read_extremes(&mut coder, asking, grids, block)?;
        coder.source.finish(coder.front.finish()?)?;
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
        // The one at hand is written over by the next frame.
        mem::swap(&mut kept.memory, &mut self.memory);
        self.kept.push(kept);
    }
}

fn read_header(coder: &mut Reading<'_>, memory: &mut Memory, has: u8) -> Result<(), CodecError> {
    if has & LINKED != 0 {
        memory.linked = true;
        for (at, column) in memory.columns.iter_mut().enumerate() {
            if let Some(number) = coder.symbol(LINK, 0).checked_sub(1) {
                let link = Link::new(number).filter(|link| link.reaches(at));
                column.relink(link.ok_or(CodecError::Invalid("link"))?);
            }
        }
    }
    if has & PERIOD != 0 {
        let period_us = coder.bits(32, 0);
        memory.clock.set_period(u32::try_from(period_us).unwrap_or(0));
    }
    Ok(())
}

impl Draft {
    fn read_times(
        &mut self,
        coder: &mut Reading<'_>,
        clock: &mut Clock,
        (gaps, samples, start_ms): (bool, usize, UnixMs),
        block: &mut Block,
    ) -> Result<(), CodecError> {
        let [gap_class, time_class] = clock.classes;
        block.gaps_us.clear();
        if gaps {
            let class = self.read_series(coder, gap_class, samples)?;
            clock.classes = [class, time_class];
            for &residual in &self.series {
                let gap = match residual {
                    ABSENT => Some(0),
                    _ if is_level(residual) => u32::try_from(clock.expected_gap() + residual).ok(),
                    _ => None,
                };
                let gap_us = gap.filter(|&gap_us| gap_us > 0 || residual == ABSENT);
                let gap_us = gap_us.ok_or(CodecError::Invalid("gap"))?;
                if gap_us > 0 {
                    clock.follow_gap(gap_us);
                }
                block.gaps_us.push(gap_us);
            }
        }
        block.gaps_us.resize(samples, 0);
        let class = self.read_series(coder, time_class, samples - 1)?;
        clock.classes = [clock.classes[0], class];
        self.moments.clear();
        block.times_ms.clear();
        let residuals = iter::once(None).chain(self.series.iter().copied().map(Some));
        for (row, (residual, &gap_us)) in residuals.zip(&block.gaps_us).enumerate() {
            let time_ms = match residual {
                None => Some(start_ms),
                Some(residual) if is_level(residual) => {
                    let step_ms = clock.expected_step(gap_us) + residual;
                    let follows = (1..=MAX_SPAN_MS as i64).contains(&step_ms);
                    clock.last_ms.checked_add(step_ms).filter(|_| follows)
                }
                Some(_) => None,
            };
            let near = time_ms.filter(|time_ms| time_ms.abs_diff(start_ms) <= MAX_SPAN_MS);
            let time_ms = near.ok_or(CodecError::Times { row })?;
            clock.follow_time(time_ms, gap_us);
            block.times_ms.push(time_ms);
            self.moments.push(clock.moment());
        }
        Ok(())
    }

    /// Reads a series of so many residuals behind one of the class `before`; returns its last class.
    fn read_series(&mut self, coder: &mut Reading<'_>, before: u8, rows: usize) -> Result<u8, CodecError> {
        self.series.clear();
        self.series.resize(rows, 0);
        if rows == 0 {
            return Ok(before);
        }
        let runs = class::runs(rows);
        let last = if coder.quick {
            quick::read_classes(runs, &mut self.ways, &mut coder.front);
            keep(before, &mut self.ways)
        } else {
            self.ways.clear();
            coder.classes(before, runs, &mut self.ways)
        };
        for (number, &way) in self.ways.iter().enumerate() {
            let run = self.series.get_mut(class::run(rows, number)).unwrap_or_default();
            coder.run(way, run, &mut self.scratch.raw)?;
        }
        Ok(last)
    }

    /// Residuals to levels to values.
    fn read_columns(
        &mut self,
        coder: &mut Reading<'_>,
        grids: &[Grid],
        (memory, before): (&mut Memory, Moment),
        block: &mut Block,
    ) -> Result<(), CodecError> {
        let rows = self.moments.rows.len();
        let runs = class::runs(rows);
        if coder.quick {
            quick::read_classes(runs * grids.len(), &mut self.ways, &mut coder.front);
            for (column, ways) in memory.columns.iter_mut().zip(self.ways.chunks_exact_mut(runs)) {
                column.class = keep(column.class, ways);
            }
        } else if runs == 1 {
            let series = memory.columns.iter_mut().map(|column| &mut column.class);
            coder.single_classes(series, &mut self.ways);
        } else {
            self.ways.clear();
            for column in &mut memory.columns {
                column.class = coder.classes(column.class, runs, &mut self.ways);
            }
        }
        self.sheet.begin(grids.len(), rows);
        block.columns.resize_with(grids.len(), Vec::new);
        let renewed = self.moments.rows.iter().any(|moment| moment.rules_otherwise(&before));
        let frame = column::Frame {
            grids,
            before,
            moments: &self.moments,
            renewed,
            apart: !memory.linked && !renewed && self.moments.alike(),
        };
        let runs = self.runs.of(rows);
        self.still.clear();
        let columns = memory
            .columns
            .iter_mut()
            .zip(self.ways.chunks_exact(runs.len()))
            .zip(&mut block.columns)
            .zip(grids);
        for (at, (((column, ways), values), grid)) in columns.enumerate() {
            if values.len() != rows {
                values.resize(rows, Value::FAILED);
            }
            let still = match frame.read_apart(coder, (column, grid), (ways, runs), &mut self.scratch, values) {
                Some(still) => still,
                None => frame.read(coder, (at, column, ways), (&mut self.sheet, &mut self.scratch), values)?,
            };
            self.still.push(still);
        }
        Ok(())
    }

    fn read_extremes(
        &mut self,
        coder: &mut Reading<'_>,
        asking: &[(usize, Metric)],
        grids: &[Grid],
        block: &mut Block,
    ) -> Result<(), CodecError> {
        for &(at, ref metric) in asking {
            if let (Some(grid), Some(told), Some(&still)) =
                (grids.get(at), block.columns.get_mut(at), self.still.get(at))
            {
                let extremes = Extremes {
                    grid,
                    moments: &self.moments.rows,
                    seconds: &self.seconds,
                    still,
                };
                extremes.code(coder, metric, told, None)?;
            }
        }
        Ok(())
    }
}

/// Fills in classes that are kept, behind the class `before`; returns the last one.
#[inline]
fn keep(before: u8, classes: &mut [u8]) -> u8 {
    let mut last = before;
    for class in classes {
        last = if *class == KEPT_CLASS { last } else { *class };
        *class = last;
    }
    last
}
