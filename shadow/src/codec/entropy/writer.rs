//! Blocks to bodies.

use std::ops::Range;

use super::{
    super::{CodecError, check_block, check_length},
    Cell, RAW, cell_missing,
    coder::{Coder, HEADER, LINK, MISSING, QUIET, Writing},
    extreme::{Extremes, Pending, seconds},
    grid::{Grid, Moment},
    is_level,
    link::expected,
    memory::{Column, Memory},
    priors::Priors,
    rans::Sink,
    trial::{Frame, Trial, translate},
};
use crate::{Block, Catalogue, Metric, Reading, UnixMs};

/// How many frames a keyframe stands for, itself included.
const KEYFRAME: u64 = 60;

/// The longest time that it stands for, in milliseconds.
const KEYFRAME_MS: u64 = 300_000;

/// How many frames there are from one that is read against the keyframe to the next. Those between are read
/// each against the one before.
const RUN: u64 = 8;

/// What a frame has, as bits of its first symbol: the frames after the next may be read against it.
pub(super) const KEPT: u8 = 1;
/// It tells links.
pub(super) const LINKED: u8 = 2;
/// It tells gaps.
pub(super) const GAPS: u8 = 4;
/// It tells the timer's period.
pub(super) const PERIOD: u8 = 8;

/// Writes the bodies of one epoch.
#[derive(Debug)]
pub(crate) struct Writer {
    metrics: Vec<Metric>,
    grids: Vec<Grid>,
    priors: &'static Priors,
    /// After the last frame.
    memory: Memory,
    last: Option<Mark>,
    /// After the last keyframe.
    key_memory: Memory,
    key: Option<Mark>,
    trial: Trial,
    frame: Draft,
    sink: Sink,
    /// Context and symbol of all that was written, where tables are to be counted.
    pub(super) tally: Option<Vec<(usize, u8)>>,
}

/// A frame that others may be read against.
#[derive(Debug, Clone, Copy)]
struct Mark {
    sequence: u64,
    start_ms: UnixMs,
    /// How many frames are before it since the keyframe.
    frames: u64,
}

/// What a frame is read against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Nothing,
    Keyframe,
    Last,
}

/// The frame at hand.
#[derive(Debug, Default)]
struct Draft {
    moments: Vec<Moment>,
    seconds: Vec<Range<usize>>,
    /// Row by row.
    cells: Vec<Cell>,
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

impl Writer {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        Self {
            metrics: catalogue.metrics().to_vec(),
            grids: catalogue.metrics().iter().map(Grid::new).collect(),
            priors: Priors::trained(),
            memory: Memory::new(catalogue.len()),
            last: None,
            key_memory: Memory::new(catalogue.len()),
            key: None,
            trial: Trial::default(),
            frame: Draft::default(),
            sink: Sink::default(),
            tally: None,
        }
    }

    /// The same with tables that have every symbol, so that all can be counted.
    pub(super) fn counting(catalogue: &Catalogue, flat: &'static Priors) -> Self {
        Self {
            priors: flat,
            tally: Some(Vec::new()),
            ..Self::new(catalogue)
        }
    }

    /// Lets the next frame be read by itself.
    pub(crate) fn restart(&mut self) {
        self.key = None;
        self.last = None;
    }

    /// Replaces `body` by `block`, the frame `sequence`. Returns how much smaller the sequence of the frame is
    /// that it is read against; 0 = none.
    ///
    /// # Errors
    /// [`CodecError`] when the block is empty or too large for a frame, was not made for this catalogue, or
    /// its times do not rise. The next frame then is read by itself.
    pub(crate) fn write(&mut self, sequence: u64, block: &Block, body: &mut Vec<u8>) -> Result<u64, CodecError> {
        let (key, last) = (self.key.take(), self.last.take());
        check_block(block, self.grids.len())?;
        let start_ms = block.times_ms.first().copied().unwrap_or_default();
        let base = base(key, last, sequence, start_ms);
        match base {
            Base::Nothing => self.memory.clear(),
            Base::Keyframe => self.memory.copy_from(&self.key_memory),
            Base::Last => {}
        }
        body.clear();
        self.code(base, block)?;
        self.sink.finish(body);
        check_length(body)?;
        let frames = match base {
            Base::Nothing => 0,
            _ => last.map_or(0, |last| last.frames + 1),
        };
        let mark = Mark {
            sequence,
            start_ms,
            frames,
        };
        self.last = Some(mark);
        self.key = key;
        if base == Base::Nothing {
            self.key = self.last;
            self.key_memory.copy_from(&self.memory);
        }
        let against = match base {
            Base::Nothing => None,
            Base::Keyframe => key,
            Base::Last => last,
        };
        Ok(against.map_or(0, |against| sequence - against.sequence))
    }

    fn code(&mut self, base: Base, block: &Block) -> Result<(), CodecError> {
        let Self {
            metrics,
            grids,
            memory,
            trial,
            frame,
            sink,
            tally,
            ..
        } = self;
        sink.clear();
        let mut coder = Writing {
            priors: self.priors,
            sink,
            tally: tally.as_mut(),
        };
        let mut has = if base == Base::Nothing { KEPT } else { 0 };
        let mut links = Vec::new();
        if base != Base::Last {
            links.extend(
                memory
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(at, column)| trial.best(at, column.link)),
            );
        }
        let linked = links
            .iter()
            .zip(&memory.columns)
            .any(|(&link, column)| link != column.link);
        has |= if linked { LINKED } else { 0 };
        has |= if block.gaps_us.iter().any(|&gap_us| gap_us > 0) {
            GAPS
        } else {
            0
        };
        let period_us = memory.clock.period_for(&block.gaps_us);
        has |= if period_us == memory.clock.period_us { 0 } else { PERIOD };
        coder.symbol(HEADER, has)?;
        if linked {
            for (column, link) in memory.columns.iter_mut().zip(links) {
                let same = link == column.link;
                coder.symbol(LINK, if same { 0 } else { link.number() + 1 })?;
                column.link = link;
            }
        }
        if has & PERIOD != 0 {
            coder.bits(32, period_us.into())?;
            memory.clock.set_period(period_us);
        }
        let before = memory.clock.moment();
        frame.write_times(&mut coder, memory, block, has & GAPS != 0)?;
        frame.quantize(grids, block);
        if base != Base::Last {
            trial.run(&Frame {
                grids,
                moments: &frame.moments,
                cells: &frame.cells,
                columns: &memory.columns,
            });
        }
        frame.expect(grids, memory, before);
        frame.write_levels(&mut coder, memory, block)?;
        frame.write_extremes(&mut coder, metrics, grids, block)
    }
}

/// What a frame is to be read against.
fn base(key: Option<Mark>, last: Option<Mark>, sequence: u64, start_ms: UnixMs) -> Base {
    let (Some(key), Some(last)) = (key, last) else {
        return Base::Nothing;
    };
    let frames = last.frames + 1;
    let old = start_ms.abs_diff(key.start_ms) >= KEYFRAME_MS;
    if frames >= KEYFRAME || old || sequence <= last.sequence {
        Base::Nothing
    } else if frames.is_multiple_of(RUN) {
        Base::Keyframe
    } else {
        Base::Last
    }
}

impl Draft {
    fn write_times(
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
        seconds(&block.times_ms, &mut self.seconds);
        Ok(())
    }

    fn quantize(&mut self, grids: &[Grid], block: &Block) {
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
    fn expect(&mut self, grids: &[Grid], memory: &mut Memory, mut before: Moment) {
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
    fn write_levels(&mut self, coder: &mut Writing<'_>, memory: &mut Memory, block: &Block) -> Result<(), CodecError> {
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

    fn write_extremes(
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
        for (at, ((_, grid), sent)) in columns().filter(|(_, ((metric, _), _))| asked(metric)) {
            let Some(told) = told.next() else { break };
            let extremes = Extremes {
                grid,
                moments: &self.moments,
                seconds: &self.seconds,
            };
            for pending in self.pending.iter().filter(|pending| pending.column() == at) {
                extremes.tell(coder, pending, told, Some(sent))?;
            }
        }
        Ok(())
    }
}
