//! One frame on its way into a body.

use std::ops::Range;

use super::{
    super::CodecError,
    ABSENT, BACK, Cell, RAW, class,
    coder::Writing,
    extreme::{Extremes, seconds},
    grid::{Grid, Moment, Moments},
    is_level,
    lanes::Lanes,
    link::{Hint, Hints},
    memory::{Column, Memory},
    quick::{self, ASIDE, KEPT},
    sheet::Sheet,
};
use crate::{Block, Metric, Reading, UnixMs};

/// The frame at hand.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) moments: Moments,
    seconds: Vec<Range<usize>>,
    pub(super) sheet: Sheet,
    hints: Hints,
    /// How far each cell is from what is expected in its place, column by column.
    pub(super) residuals: Vec<Cell>,
    /// Those of gaps, then of times.
    series: Vec<Cell>,
    /// How the runs of a series, or of all columns, are told.
    pub(super) ways: Vec<u8>,
    /// Whether it is quick: its runs in quick classes, and no column follows another.
    pub(super) quick: bool,
    /// The classes that are told of a quick frame, or that they are kept.
    pub(super) told_classes: Vec<u8>,
    /// Which residuals of times are not 0, by runs.
    marks: Vec<u32>,
    pub(super) lanes: Lanes,
    /// Whether each column stays as it is.
    pub(super) still: Vec<Still>,
    /// A column of which seconds' extremes are told.
    told: Vec<Reading>,
}

/// Whether a column stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Still {
    No,
    Yes,
    /// All of it is 0.
    Zero,
}

impl Draft {
    /// One of frames that are quick, or dense.
    pub(super) fn new(quick: bool) -> Self {
        Self {
            quick,
            ..Self::default()
        }
    }

    pub(super) fn write_times(&mut self, coder: &mut Writing<'_>, memory: &mut Memory, block: &Block, gaps: bool) {
        let clock = &mut memory.clock;
        let [gap_class, time_class] = &mut clock.classes.clone();
        if gaps {
            self.series.clear();
            for &gap_us in &block.gaps_us {
                let residual = i64::from(gap_us) - clock.expected_gap();
                self.series.push(if gap_us == 0 { ABSENT } else { residual });
                if gap_us > 0 {
                    clock.follow_gap(gap_us);
                }
            }
            self.write_series(coder, gap_class);
        }
        self.moments.clear();
        self.series.clear();
        for (row, (&time_ms, &gap_us)) in block.times_ms.iter().zip(&block.gaps_us).enumerate() {
            if row > 0 {
                let step_ms = time_ms.wrapping_sub(clock.last_ms);
                self.series.push(step_ms - clock.expected_step(gap_us));
            }
            clock.follow_time(time_ms, gap_us);
            self.moments.push(clock.moment());
        }
        if !self.series.is_empty() {
            self.write_series(coder, time_class);
        }
        clock.classes = [*gap_class, *time_class];
    }

    fn write_series(&mut self, coder: &mut Writing<'_>, class: &mut u8) {
        self.ways.clear();
        if self.quick {
            self.write_quick_series(coder, class);
        } else {
            *class = coder.classes(*class, &self.series, &mut self.ways);
        }
        coder.series(&self.ways, &self.series, &mut std::iter::empty());
    }

    fn write_quick_series(&mut self, coder: &mut Writing<'_>, class: &mut u8) {
        let rows = self.series.len();
        self.told_classes.clear();
        self.marks.clear();
        for at in 0..class::runs(rows) {
            let run = self.series.get(class::run(rows, at)).unwrap_or_default();
            let told = quick::told(run);
            let way = quick::class(&told, u32::try_from(run.len()).unwrap_or(0));
            self.marks.push(told.marks);
            self.ways.push(way);
            self.told_classes.push(if way == *class { KEPT } else { way });
            *class = way;
        }
        quick::write_classes(&self.told_classes, coder.front);
        for (at, (&way, &marks)) in self.ways.iter().zip(&self.marks).enumerate() {
            let run = self.series.get(class::run(rows, at)).unwrap_or_default();
            quick::write_run(way, (run, marks), coder.front);
        }
    }

    /// Tells the rows of each second of the epoch apart: after the times are known, before the extremes are.
    pub(super) fn mark_seconds(&mut self, epoch: u64, times_ms: &[UnixMs]) {
        seconds(epoch, times_ms, &mut self.seconds);
    }

    pub(super) fn quantize(&mut self, grids: &[Grid], block: &Block) {
        self.sheet.begin(grids.len(), block.len());
        for (at, (grid, column)) in grids.iter().zip(&block.columns).enumerate() {
            let (_, cells, _) = self.sheet.split(at);
            grid.each_level(column, &self.moments, cells);
        }
    }

    /// Works out how far each cell is from what is expected in its place, and from its column's own past.
    pub(super) fn follow(&mut self, grids: &[Grid], columns: &mut [Column], before: Moment) {
        self.residuals.clear();
        self.still.clear();
        let renewed = self.moments.rows.iter().any(|moment| moment.rules_otherwise(&before));
        for (at, column) in columns.iter_mut().enumerate() {
            let (before_it, cells, surprises) = self.sheet.split(at);
            let steady = column.missed().is_none() && !renewed;
            let still = steady && column.stays() && cells.iter().all(|&cell| cell == column.last);
            self.still.push(if still { Still::Yes } else { Still::No });
            let from = self.residuals.len();
            self.residuals.resize(from + cells.len(), 0);
            let residuals = self.residuals.get_mut(from..).unwrap_or_default();
            if still {
                surprises.fill(0);
                continue;
            }
            let plain = steady && cells.iter().all(|&cell| is_level(cell));
            let hint = self
                .hints
                .of(&before_it, (at, column.link), (grids, &self.moments.rows));
            if !plain {
                let rows = (&*cells, self.moments.rows.as_slice());
                closely(grids.get(at), (column, before), rows, hint, residuals, Some(surprises));
            } else if column.is_apart() {
                for ((&cell, surprise), residual) in cells.iter().zip(surprises.iter_mut()).zip(residuals) {
                    *surprise = cell - column.past();
                    *residual = *surprise;
                    column.follow(cell);
                }
            } else {
                let rows = cells.iter().zip(surprises).zip(residuals).enumerate();
                for (row, ((&cell, surprise), residual)) in rows {
                    let past = column.past();
                    *surprise = cell - past;
                    column.follow(cell);
                    *residual = cell - hint.expected(row, past);
                }
            }
        }
    }

    /// Classes.
    pub(super) fn write_classes(&mut self, coder: &mut Writing<'_>, columns: &mut [Column]) {
        let rows = self.sheet.rows();
        self.ways.clear();
        for (column, residuals) in columns.iter_mut().zip(self.residuals.chunks_exact(rows)) {
            column.class = coder.classes(column.class, residuals, &mut self.ways);
        }
    }

    /// Residuals that are told by symbols.
    pub(super) fn write_symbols(&mut self, coder: &mut Writing<'_>, block: &Block) {
        if self.ways.iter().all(|&way| way < ASIDE) {
            return;
        }
        let rows = self.sheet.rows();
        let runs = class::runs(rows);
        let columns = self
            .residuals
            .chunks_exact(rows)
            .zip(self.ways.chunks_exact(runs))
            .zip(&block.columns);
        for ((residuals, ways), values) in columns {
            if ways.iter().any(|&way| way >= ASIDE) {
                let without = residuals.iter().zip(values).filter(|(residual, _)| **residual == RAW);
                coder.series(ways, residuals, &mut without.map(|(_, value)| value.or_nan()));
            }
        }
    }

    pub(super) fn write_extremes(
        &mut self,
        coder: &mut Writing<'_>,
        asking: &[(usize, Metric)],
        grids: &[Grid],
        block: &Block,
    ) -> Result<(), CodecError> {
        self.told.resize(block.len(), Reading::FAILED);
        for &(at, ref metric) in asking {
            let (Some(grid), Some(sent), Some(&still)) = (grids.get(at), block.columns.get(at), self.still.get(at))
            else {
                continue;
            };
            let extremes = Extremes {
                grid,
                moments: &self.moments.rows,
                seconds: &self.seconds,
                still: still != Still::No,
            };
            if still == Still::Zero {
                extremes.code_none(coder, metric);
                continue;
            }
            if !(self.quick && self.lanes.show(at, grid, &self.moments, &mut self.told)) {
                let cells = self.sheet.cells(at);
                grid.tell(cells, &self.moments, &mut self.told);
                if cells.contains(&RAW) {
                    let without = cells.iter().zip(self.told.iter_mut().zip(sent));
                    let without = without.filter(|&(&cell, _)| cell == RAW);
                    without.for_each(|(_, (told, sent))| *told = *sent);
                }
            }
            extremes.code(coder, metric, &mut self.told, Some(sent))?;
        }
        Ok(())
    }
}

/// How far the cells of a column are from what is expected, where some are missing or have no level, or levels change their
/// meaning.
#[cold]
pub(super) fn closely(
    grid: Option<&Grid>,
    (column, mut before): (&mut Column, Moment),
    (cells, moments): (&[Cell], &[Moment]),
    hint: Hint<'_>,
    residuals: &mut [Cell],
    mut surprises: Option<&mut [i64]>,
) {
    let Some(grid) = grid else { return };
    let rows = cells.iter().zip(residuals).zip(moments).enumerate();
    for (row, ((&cell, residual), moment)) in rows {
        column.renew(grid, &before, moment);
        before = *moment;
        let past = column.past();
        let expected = hint.expected(row, past);
        let missed = column.missed();
        let surprise = if is_level(cell) { cell - past } else { 0 };
        if let Some(place) = surprises.as_mut().and_then(|surprises| surprises.get_mut(row)) {
            *place = surprise;
        }
        if is_level(cell) {
            column.follow(cell);
        } else {
            column.miss(cell);
        }
        *residual = match missed {
            Some(missed) if cell == missed => 0,
            Some(_) if cell == expected => BACK,
            _ if is_level(cell) => cell - expected,
            _ => cell,
        };
    }
}
