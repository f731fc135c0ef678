//! Columns that follow no other, in quick frames: each is read from its bits to its values in one go.

use std::ops::Range;

use super::{
    class::QUIET,
    coder::Reading,
    column::{Frame, Scratch},
    grid::Grid,
    memory::Column,
    quick::{self, ASIDE},
};
use crate::Reading as Value;

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
