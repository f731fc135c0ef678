//! What a reader does for each cell: columns that follow no other go row by row, side by side, so that a processor works on
//! several at once; all others go one after the other, each by what is known of the columns before it.

use super::{
    super::CodecError,
    Cell, INVALID, RAW,
    coder::{MISSING, Reading},
    grid::{Grid, Moment},
    is_level,
    link::Hint,
    memory::Column,
    sheet::Sheet,
};

/// A column that follows no other. It is a copy: what is read row by row lies close together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    pub(super) column: Column,
    pub(super) at: usize,
}

/// What goes with the levels of a frame.
pub(super) struct Frame<'a> {
    pub(super) grids: &'a [Grid],
    /// The row before the first, and all rows.
    pub(super) before: Moment,
    pub(super) moments: &'a [Moment],
    /// Whether levels of rates change their meaning within the frame.
    pub(super) renewed: bool,
    /// Row, column and value of each cell without a level.
    pub(super) raw: &'a mut Vec<(usize, usize, f64)>,
}

/// Reads the cells of `lanes`, row by row.
pub(super) fn read_rows(
    coder: &mut Reading<'_>,
    lanes: &mut [Lane],
    frame: &mut Frame<'_>,
    sheet: &mut Sheet,
) -> Result<(), CodecError> {
    let mut before = frame.before;
    // A copy stays in registers.
    let mut reading = *coder;
    for (row, &moment) in frame.moments.iter().enumerate() {
        if moment.rules_otherwise(&before) {
            for Lane { column, at } in lanes.iter_mut() {
                if let Some(grid) = frame.grids.get(*at) {
                    column.renew(grid, &before, &moment);
                }
            }
        }
        before = moment;
        for Lane { column, at } in lanes.iter_mut() {
            let past = column.link.past(column);
            let cell = if column.missed().is_none() {
                reading.level(column, past)
            } else {
                let (rest, cell) = read_missing(reading, column, past);
                reading = rest;
                cell
            };
            let mut surprise = 0;
            if is_level(cell) {
                column.follow(cell);
                surprise = cell - past;
            } else {
                reading = read_other(reading, column, cell, (row, *at, frame.raw))?;
            }
            sheet.put(*at, row, (cell, surprise));
        }
    }
    *coder = reading;
    Ok(())
}

/// Reads the cells of one column, whose hints are known; of one that is `quiet` there is nothing to be read.
pub(super) fn read_column(
    coder: &mut Reading<'_>,
    (column, at, quiet): (&mut Column, usize, bool),
    hints: &[Hint],
    frame: &mut Frame<'_>,
    sheet: &mut Sheet,
) -> Result<(), CodecError> {
    if quiet && column.missed().is_none() && !frame.renewed {
        predict_column(column, hints, sheet.column_mut(at));
        return Ok(());
    }
    let Some(grid) = frame.grids.get(at) else { return Ok(()) };
    let mut before = frame.before;
    let mut reading = *coder;
    let (cells, surprises) = sheet.column_mut(at);
    let rows = cells
        .iter_mut()
        .zip(surprises)
        .zip(hints)
        .zip(frame.moments)
        .enumerate();
    for (row, (((to, surprised), hint), &moment)) in rows {
        column.renew(grid, &before, &moment);
        before = moment;
        let past = column.link.past(column);
        let expected = hint.expected(past);
        let cell = match (column.missed(), quiet) {
            (missed, true) => missed.unwrap_or(expected),
            (None, false) => reading.level(column, expected),
            (Some(_), false) => {
                let (rest, cell) = read_missing(reading, column, expected);
                reading = rest;
                cell
            }
        };
        *to = cell;
        if is_level(cell) {
            column.follow(cell);
            *surprised = cell - past;
        } else {
            reading = read_other(reading, column, cell, (row, at, frame.raw))?;
        }
    }
    *coder = reading;
    Ok(())
}

/// The same of one that does as expected, without a missing cell.
fn predict_column(column: &mut Column, hints: &[Hint], (cells, surprises): (&mut [Cell], &mut [i64])) {
    for ((to, surprised), hint) in cells.iter_mut().zip(surprises).zip(hints) {
        let past = column.link.past(column);
        let level = hint.expected(past);
        *to = level;
        *surprised = level - past;
        column.follow(level);
    }
}

/// Behind a missing cell.
#[cold]
fn read_missing<'a>(mut reading: Reading<'a>, column: &mut Column, expected: i64) -> (Reading<'a>, Cell) {
    if reading.next(MISSING) == 0 {
        let before = column.missed().unwrap_or(INVALID);
        return (reading, before);
    }
    let cell = reading.level(column, expected);
    (reading, cell)
}

/// Goes on by a cell that is no level.
#[cold]
fn read_other<'a>(
    mut reading: Reading<'a>,
    column: &mut Column,
    cell: Cell,
    (row, at, raw): (usize, usize, &mut Vec<(usize, usize, f64)>),
) -> Result<Reading<'a>, CodecError> {
    if cell == INVALID {
        return Err(CodecError::Invalid("number"));
    }
    column.miss(cell);
    if cell == RAW {
        raw.push((row, at, f64::from_bits(reading.source.bits(u64::BITS))));
    }
    Ok(reading)
}
