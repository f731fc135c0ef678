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
    /// Begins anew, with `rows` cells of each of so many columns, which hold anything.
    pub(super) fn begin(&mut self, columns: usize, rows: usize) {
        self.rows = rows;
        // Each column is filled anew.
        self.cells.resize(columns * rows, 0);
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

    /// What is before column `at`, and the column itself: its cells and surprises, to be filled.
    #[inline]
    pub(super) fn split(&mut self, at: usize) -> (Before<'_>, &mut [Cell], &mut [i64]) {
        let rows = self.rows;
        let (cells, own_cells) = self.cells.split_at_mut_checked(at * rows).unwrap_or_default();
        let (surprises, own_surprises) = self.surprises.split_at_mut_checked(at * rows).unwrap_or_default();
        (
            Before { rows, cells, surprises },
            own_cells.get_mut(..rows).unwrap_or_default(),
            own_surprises.get_mut(..rows).unwrap_or_default(),
        )
    }

    /// What is before column `at`.
    pub(super) fn before(&self, at: usize) -> Before<'_> {
        Before {
            rows: self.rows,
            cells: self.cells.get(..at * self.rows).unwrap_or_default(),
            surprises: self.surprises.get(..at * self.rows).unwrap_or_default(),
        }
    }
}

/// The columns before one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before<'a> {
    rows: usize,
    cells: &'a [Cell],
    surprises: &'a [i64],
}

impl<'a> Before<'a> {
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// The cells of the column so many before; none if there is no such column.
    #[inline]
    pub(super) fn cells(&self, distance: usize) -> &'a [Cell] {
        back(self.cells, self.rows, distance)
    }

    /// How far each of these cells is from its column's own past; 0 where there is no level.
    #[inline]
    pub(super) fn surprises(&self, distance: usize) -> &'a [i64] {
        back(self.surprises, self.rows, distance)
    }
}

/// The column of `all` that is so many before their end.
#[inline]
fn back(all: &[i64], rows: usize, distance: usize) -> &[i64] {
    let from = all.len().checked_sub(distance * rows);
    from.and_then(|from| all.get(from..from + rows)).unwrap_or_default()
}
