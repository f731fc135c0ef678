//! Readings onto an aligned grid: one row a step, each the mean over time of what samples tell.
//!
//! A sample tells of the time since the one before it, so it is weighted by that time: while a host is busy
//! its agent samples fifty times as often, and a plain average would take a short burst for the whole row.
//! A sample that spans rows is shared out between them. Rows are closed in order; a late sample goes into its
//! closed row. Nothing here reads a clock: time comes with the calls.

use std::collections::BTreeMap;

use shadow::UnixMs;

mod ring;

pub(crate) use ring::Ring;

/// Closed rows remember their weights for this many further rows, so that late samples join them exactly.
const REMEMBERED: i64 = 60;
/// The longest time that one sample can tell of; the agent takes no rate over a longer gap.
const MAX_SPAN_MS: i64 = 60_000;
/// The most rows ahead of the closed ones that are collected. Further samples are from another time.
const MAX_OPEN: i64 = 4_096;

/// `N` series of one host on the grid.
#[derive(Debug, Clone)]
pub(crate) struct Grid<const N: usize> {
    step_ms: i64,
    cells: BTreeMap<i64, Cell<N>>,
    ring: Ring<N>,
}

/// What is known of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell<const N: usize> {
    /// Sums of value times milliseconds.
    sums: [f64; N],
    /// Milliseconds that each value is known for.
    known_ms: [f64; N],
    /// Largest values; NaN when there are none.
    max: [f32; N],
    /// Row up to which it is remembered.
    until: i64,
    /// Whether it has changed since it was last put into the ring.
    changed: bool,
}

/// A row that was closed, or that changed after it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row<const N: usize> {
    /// When it begins.
    pub(crate) begin_ms: UnixMs,
    /// Share of it that is known, 0 to 1: that of the value that is known longest.
    pub(crate) coverage: f32,
    /// Means; NaN where nothing is known.
    pub(crate) mean: [f32; N],
    /// Largest samples; NaN where nothing is known.
    pub(crate) max: [f32; N],
}

impl<const N: usize> Grid<N> {
    /// An empty grid of rows of `step_ms`, of which `rows` are kept.
    pub(crate) fn new(step_ms: i64, rows: usize) -> Self {
        Self {
            step_ms: step_ms.max(1),
            cells: BTreeMap::new(),
            ring: Ring::new(rows),
        }
    }

    /// Adds a sample taken at `time_ms` that tells of the `span_ms` before it. Values that are not finite
    /// are not known. Rows from `open` on are not closed yet.
    ///
    pub(crate) fn add(&mut self, time_ms: UnixMs, span_ms: i64, values: &[f64; N], open: i64) -> Added {
        let span_ms = span_ms.clamp(1, MAX_SPAN_MS.max(self.step_ms));
        let begin_ms = time_ms.saturating_sub(span_ms);
        // A sample at the very begin of a row tells only of the row before.
        let last = time_ms.saturating_sub(1).div_euclid(self.step_ms);
        let first = begin_ms.div_euclid(self.step_ms);
        let mut added = Added::default();
        for row in first..=last {
            if row < self.oldest(open) || row >= open.saturating_add(MAX_OPEN) {
                added.dropped = true;
                continue;
            }
            let row_ms = row * self.step_ms;
            let within = time_ms.min(row_ms + self.step_ms) - begin_ms.max(row_ms);
            let ring = &self.ring;
            let half_ms = self.step_ms as f64 / 2.0;
            let cell = self
                .cells
                .entry(row)
                .or_insert_with(|| Cell::from_mean(ring.get(row), half_ms));
            cell.add(within as f64, values);
            cell.until = open.max(row) + REMEMBERED;
            cell.changed = true;
            added.late |= row < open;
        }
        added
    }

    /// The oldest row that may still change.
    fn oldest(&self, open: i64) -> i64 {
        open.saturating_sub(self.ring.capacity()).max(0)
    }

    /// Closes all rows before `open` and returns those that changed since the last call, oldest first.
    pub(crate) fn close(&mut self, open: i64) -> Vec<Row<N>> {
        let mut changed = Vec::new();
        for (&row, cell) in self.cells.range_mut(..open).filter(|(_, cell)| cell.changed) {
            let closed = cell.row(row * self.step_ms, self.step_ms);
            self.ring.put(row, closed.mean);
            cell.changed = false;
            changed.push(closed);
        }
        self.ring.advance(open);
        let oldest = self.oldest(open);
        self.cells
            .retain(|&row, cell| row >= open || (row >= oldest && cell.until >= open));
        changed
    }

    /// The clock was set back: rows from `open` on are forgotten.
    pub(crate) fn rewind(&mut self, open: i64) {
        self.ring.truncate(open);
        self.cells.split_off(&open);
    }

    /// Puts back a row that was closed before a restart. Rows come in order.
    pub(crate) fn restore(&mut self, begin_ms: UnixMs, coverage: f32, mean: [f32; N]) {
        let row = begin_ms.div_euclid(self.step_ms);
        self.ring.put(row, mean);
        let known_ms = f64::from(coverage.clamp(0.0, 1.0)) * self.step_ms as f64;
        let cell = Cell {
            until: row + REMEMBERED,
            ..Cell::from_mean(Some(mean), known_ms)
        };
        self.cells.insert(row, cell);
        while self.cells.len() > usize::try_from(REMEMBERED).unwrap_or(1) {
            self.cells.pop_first();
        }
    }

    /// Whether nothing has come for as long as is kept.
    pub(crate) fn is_forgotten(&self) -> bool {
        let known = |row: &[f32; N]| row.iter().any(|value| !value.is_nan());
        self.cells.is_empty() && !self.ring.rows().iter().any(known)
    }

    /// The closed rows.
    pub(crate) const fn ring(&self) -> &Ring<N> {
        &self.ring
    }

    /// Width of a row.
    pub(crate) const fn step_ms(&self) -> i64 {
        self.step_ms
    }
}

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Added {
    /// A row that was closed already has changed.
    pub(crate) late: bool,
    /// Part of it was too old or too far ahead.
    pub(crate) dropped: bool,
}

impl<const N: usize> Cell<N> {
    /// A row of which only the mean is still known, as if over `known_ms`.
    fn from_mean(mean: Option<[f32; N]>, known_ms: f64) -> Self {
        let mean = mean.unwrap_or([f32::NAN; N]);
        Self {
            sums: mean.map(|m| if m.is_nan() { 0.0 } else { f64::from(m) * known_ms }),
            known_ms: mean.map(|m| if m.is_nan() { 0.0 } else { known_ms }),
            max: mean,
            until: 0,
            changed: false,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the grid holds single precision")]
    fn add(&mut self, known_ms: f64, values: &[f64; N]) {
        let slots = self.sums.iter_mut().zip(&mut self.known_ms).zip(&mut self.max);
        for (((sum, known), max), &value) in slots.zip(values) {
            if (value as f32).is_finite() {
                *sum += value * known_ms;
                *known += known_ms;
                *max = max.max(value as f32);
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the grid holds single precision")]
    fn row(&self, begin_ms: UnixMs, step_ms: i64) -> Row<N> {
        let mut mean = [f32::NAN; N];
        for ((mean, &sum), &known) in mean.iter_mut().zip(&self.sums).zip(&self.known_ms) {
            if known > 0.0 {
                *mean = (sum / known) as f32;
            }
        }
        let longest = self.known_ms.iter().copied().fold(0.0, f64::max);
        Row {
            begin_ms,
            coverage: (longest / step_ms as f64).min(1.0) as f32,
            mean,
            max: self.max,
        }
    }
}

#[cfg(test)]
mod tests;
