//! The levels of a frame, column by column.

use super::Cell;

/// What each column holds in each row, and how far that is from the column's own past.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    rows: usize,
    cells: Vec<Cell>,
    surprises: Vec<i64>,
}

impl Sheet {
    /// Begins anew, with `rows` cells of each of so many columns.
    pub(super) fn begin(&mut self, columns: usize, rows: usize) {
        self.rows = rows;
        self.cells.clear();
        self.cells.resize(columns * rows, 0);
        self.surprises.clear();
        self.surprises.resize(columns * rows, 0);
    }

    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// The cells of column `at`; none if there is no such column.
    #[inline]
    pub(super) fn cells(&self, at: usize) -> &[Cell] {
        self.cells.get(at * self.rows..(at + 1) * self.rows).unwrap_or_default()
    }

    /// How far each cell of column `at` is from the column's own past; 0 where there is no level.
    #[inline]
    pub(super) fn surprises(&self, at: usize) -> &[i64] {
        self.surprises
            .get(at * self.rows..(at + 1) * self.rows)
            .unwrap_or_default()
    }

    /// Both, to be filled.
    #[inline]
    pub(super) fn column_mut(&mut self, at: usize) -> (&mut [Cell], &mut [i64]) {
        let range = at * self.rows..(at + 1) * self.rows;
        (
            self.cells.get_mut(range.clone()).unwrap_or_default(),
            self.surprises.get_mut(range).unwrap_or_default(),
        )
    }

    /// Puts a cell into column `at`.
    #[inline]
    pub(super) fn put(&mut self, at: usize, row: usize, (cell, surprise): (Cell, i64)) {
        let index = at * self.rows + row;
        if let (Some(to), Some(surprised)) = (self.cells.get_mut(index), self.surprises.get_mut(index)) {
            *to = cell;
            *surprised = surprise;
        }
    }
}
