//! Columns that follow no other, in quick frames: each is read, or written, from its values to its bits in one go.

use std::ops::Range;

use super::{
    class::{self, QUIET},
    coder::{BY_SYMBOLS, Reading, Writing},
    column::{Frame, Scratch},
    draft::{Draft, Still, closely},
    grid::{Grid, Moment, all_zero},
    link::Hint,
    memory::Column,
    quick,
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
        let all = ways.iter().fold(QUIET, |all, way| all | way);
        if all == QUIET {
            return grid.tell_still(column.last, self.moments, values).then_some(true);
        }
        if all >= BY_SYMBOLS {
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
        match grid.tell_steps(column.last, &scratch.steps, self.moments, values) {
            Some(last) => column.last = last,
            None => {
                coder.front = before;
                return None;
            }
        }
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
        self.ways.clear();
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
                column.class = coder.quiet(column.class, class::runs(rows), &mut self.ways);
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
            column.class = coder.classes(column.class, residuals, &mut self.ways);
            let moved = self.ways.iter().skip(from).fold(QUIET, |all, way| all | way) != QUIET;
            *still = if moved || !steady { Still::No } else { Still::Yes };
        }
    }
}
