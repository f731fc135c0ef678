//! Rows of one host as one series a track, free of units.

use crate::{
    marks::Marks,
    window::{Layout, Row, sum},
};

/// The tracks of some rows of a host, over their high marks; NaN = missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// By track, then by row.
    values: Vec<Vec<f32>>,
    /// By track.
    marks: Vec<f32>,
    rows: usize,
}

impl Columns {
    pub(crate) fn new(layout: &Layout, rows: &[Row], marks: &Marks) -> Self {
        let marks: Vec<f32> = (0..layout.tracks.len()).map(|track| marks.of(track)).collect();
        let column = |(track, mark): (&crate::window::Track, &f32)| -> Vec<f32> {
            let by = 1.0 / mark;
            rows.iter().map(|row| sum(row, &track.channels) * by).collect()
        };
        Self {
            values: layout.tracks.iter().zip(&marks).map(column).collect(),
            marks,
            rows: rows.len(),
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.rows
    }

    /// The rows of a track that a forecast made at `row` may look at, the newest last.
    pub(crate) fn past(&self, layout: &Layout, track: usize, row: usize) -> &[f32] {
        let values = self.values.get(track).map_or(&[][..], Vec::as_slice);
        let end = (row + 1).min(values.len());
        values.get(end.saturating_sub(layout.lookback)..end).unwrap_or(&[])
    }

    /// The value of a track at a row; NaN when there is none.
    pub(crate) fn at(&self, track: usize, row: usize) -> f32 {
        self.values
            .get(track)
            .and_then(|values| values.get(row))
            .copied()
            .unwrap_or(f32::NAN)
    }

    /// What 1 is in a track's unit.
    pub(crate) fn mark(&self, track: usize) -> f32 {
        self.marks.get(track).copied().unwrap_or(1.0)
    }
}
