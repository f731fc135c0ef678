//! Columns that follow no other, in quick frames: each is read, or written, from its values to its bits in one go.

use std::ops::Range;

use super::{
    Cell,
    class::{self, QUIET},
    coder::{Reading, Writing},
    column::{Frame, Scratch},
    draft::{Draft, Still, closely},
    front::Front,
    grid::{Grid, Moment, all_zero},
    link::Hint,
    memory::Column,
    quick::{self, ASIDE, KEPT},
};
use crate::{Block, Reading as Value};

impl Frame<'_> {
    /// Reads a column where that is quickly done: no column of the frame follows another, and the `runs` of this one are told in
    /// quick classes. Tells whether it stays as it is; `None`, and nothing is read, if [`Self::read`] has to do it.
    #[inline]
    pub(super) fn read_apart(
        &self,
        coder: &mut Reading<'_>,
        (column, grid): (&mut Column, &Grid),
        (ways, runs): (&[u8], &[Range<usize>]),
        scratch: &mut Scratch,
        values: &mut [Value],
    ) -> Option<bool> {
        if !self.apart || column.missed().is_some() {
            return None;
        }
        let most = ways.iter().fold(QUIET, |most, &way| most.max(way));
        if most == QUIET {
            return grid.tell_still(column.last, self.moments, values).then_some(true);
        }
        if most >= ASIDE {
            return None;
        }
        if scratch.steps.len() != values.len() + quick::ROOM {
            scratch.steps.resize(values.len() + quick::ROOM, 0);
        }
        let before = coder.front;
        for (&way, run) in ways.iter().zip(runs) {
            let to = scratch.steps.get_mut(run.start..).unwrap_or_default();
            coder.quick_run(way, run.len(), to);
        }
        let Some(last) = grid.tell_steps(column.last, &scratch.steps, self.moments, values) else {
            coder.front = before;
            return None;
        };
        column.last = last;
        Some(false)
    }
}

impl Draft {
    /// Levels, classes and residuals of all columns but those residuals that are told by symbols.
    pub(super) fn write_apart(
        &mut self,
        coder: &mut Writing<'_>,
        (grids, columns): (&[Grid], &mut [Column]),
        before: Moment,
        block: &Block,
    ) {
        let rows = block.len();
        let renewed = self.moments.rows.iter().any(|moment| moment.rules_otherwise(&before));
        self.sheet.begin(grids.len(), rows);
        // What is quiet is not looked at.
        self.residuals.resize(grids.len() * rows, 0);
        self.begin_runs();
        // All readings at once, for they come from far in memory.
        self.still.clear();
        let zero = |readings: &Vec<Value>| if all_zero(readings) { Still::Zero } else { Still::No };
        self.still.extend(block.columns.iter().map(zero));
        let all = grids
            .iter()
            .zip(columns)
            .zip(&block.columns)
            .zip(self.residuals.chunks_exact_mut(rows))
            .zip(self.sheet.all_cells().chunks_exact_mut(rows))
            .zip(&mut self.still);
        for (((((grid, column), readings), residuals), cells), still) in all {
            let steady = column.missed().is_none() && !renewed;
            if *still == Still::Zero && grid.has_zero() && steady && column.last == 0 {
                cells.fill(0);
                for _ in 0..class::runs(rows) {
                    self.ways.push(QUIET);
                    self.told_classes.push(if column.class == QUIET { KEPT } else { QUIET });
                    column.class = QUIET;
                }
                continue;
            }
            let levels = grid.each_level(readings, &self.moments, cells);
            if steady && levels {
                let mut last = column.last;
                for (residual, &cell) in residuals.iter_mut().zip(&*cells) {
                    (*residual, last) = (cell - last, cell);
                }
                column.last = last;
            } else {
                let rows = (&*cells, &*self.moments.rows);
                closely(Some(grid), (column, before), rows, Hint::Steps(&[]), residuals, None);
            }
            let from = self.ways.len();
            let classes = (&mut self.ways, &mut self.told_classes);
            column.class = write_runs(column.class, residuals, classes, &mut self.runs);
            let moved = self.ways.iter().skip(from).fold(QUIET, |all, way| all | way) != QUIET;
            *still = if moved || !steady { Still::No } else { Still::Yes };
        }
        self.end_runs(coder);
    }
}

/// Appends how each run of a series of `residuals` is told that had the class `before`, and its class or that it is kept, and tells
/// the runs of quick classes; returns the last class.
#[inline]
pub(super) fn write_runs(
    before: u8,
    residuals: &[Cell],
    (ways, classes): (&mut Vec<u8>, &mut Vec<u8>),
    front: &mut Front,
) -> u8 {
    let rows = residuals.len();
    let mut last = before;
    for at in 0..class::runs(rows) {
        let run = residuals.get(class::run(rows, at)).unwrap_or_default();
        let choice = quick::choose(run);
        let class = choice.class;
        ways.push(class);
        classes.push(if class == last { KEPT } else { class });
        if class != QUIET && class != ASIDE {
            quick::write(choice, run, front);
        }
        last = class;
    }
    last
}
