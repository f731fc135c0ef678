//! Readings onto an aligned grid: one row a step, with what samples tell of it: mean, extremes, last value and p95.
//!
//! A sample tells of the time since the one before it, so it is weighted by that time: while a host is busy
//! its agent samples fifty times as often, and a plain average would take a short burst for the whole row.
//! A sample that spans rows is shared out between them. Rows are closed in order; a late sample goes into its
//! closed row. Nothing here reads a clock: time comes with the calls.

use std::collections::BTreeMap;

use shadow::UnixMs;

mod cell;
mod ring;
mod tail;

use cell::Cell;
pub(crate) use ring::Ring;

/// For so long after they were touched, and for so many rows at least and at most, rows are remembered as they were
/// collected, so that late samples join them exactly.
const REMEMBERED_MS: i64 = 300_000;
const REMEMBERED: (i64, i64) = (5, 30);
/// Besides these, rows that are open and rows of which something comes late: two, and a sixth of those that are remembered.
const BESIDES: (i64, i64) = (2, 6);
/// The longest time that one sample can tell of; the agent takes no rate over a longer gap.
const MAX_SPAN_MS: i64 = 60_000;
/// The most rows ahead of the closed ones that are collected. Further samples are from another time.
const MAX_OPEN: i64 = 4_096;

/// `N` series of one host on the grid, with p95s from tails of `K` values; 0 tells none.
#[derive(Debug, Clone)]
pub(crate) struct Grid<const N: usize, const K: usize> {
    step_ms: i64,
    /// For so many rows one is remembered after it was touched.
    remembered: i64,
    /// Samples so far.
    samples: u32,
    cells: BTreeMap<i64, Box<Cell<N, K>>>,
    means: Ring<[f32; N]>,
    details: Ring<Detail<N>>,
    /// Rows that have changed and made room for others before they were told.
    untold: Vec<Row<N>>,
    /// So many rows back samples are taken.
    reach: i64,
    /// Number of the newest closed row of which anything is known.
    newest: i64,
}

/// How many closed rows a grid holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lengths {
    /// Their means.
    pub(crate) means: usize,
    /// What else is known of the newest of them.
    pub(crate) details: usize,
}

/// A row that was closed, or that changed after it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row<const N: usize> {
    /// When it begins.
    pub(crate) begin_ms: UnixMs,
    /// Means over time; NaN where nothing is known.
    pub(crate) mean: [f32; N],
    /// What else is known.
    pub(crate) detail: Detail<N>,
}

/// What is known of a row besides its means; NaN where nothing is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Detail<const N: usize> {
    /// Share of it that is known, 0 to 1: that of the value that is known longest.
    pub(crate) coverage: f32,
    /// Largest samples.
    pub(crate) max: [f32; N],
    /// Smallest samples.
    pub(crate) min: [f32; N],
    /// Newest samples.
    pub(crate) last: [f32; N],
    /// What values are above for a twentieth of the time, weighted as the means are: see [`tail`].
    pub(crate) p95: [f32; N],
}

impl<const N: usize> Detail<N> {
    const UNKNOWN: Self = Self {
        coverage: 0.0,
        max: [f32::NAN; N],
        min: [f32::NAN; N],
        last: [f32::NAN; N],
        p95: [f32::NAN; N],
    };
}

impl<const N: usize, const K: usize> Grid<N, K> {
    /// An empty grid of rows of `step_ms`, of which so many are kept.
    pub(crate) fn new(step_ms: i64, lengths: Lengths) -> Self {
        let step_ms = step_ms.max(1);
        let means = Ring::new(lengths.means.max(1), [f32::NAN; N]);
        Self {
            step_ms,
            remembered: (REMEMBERED_MS / step_ms).clamp(REMEMBERED.0, REMEMBERED.1),
            samples: 0,
            cells: BTreeMap::new(),
            reach: means.capacity(),
            means,
            details: Ring::new(lengths.details, Detail::UNKNOWN),
            untold: Vec::new(),
            newest: i64::MIN,
        }
    }

    /// The same, which takes samples however old they are. What comes of a row that is neither collected nor kept any more
    /// is told by itself.
    pub(crate) fn of_any_age(step_ms: i64, lengths: Lengths) -> Self {
        Self {
            reach: i64::MAX,
            ..Self::new(step_ms, lengths)
        }
    }

    /// Adds a sample taken at `time_ms` that tells of the `span_ms` before it. Values that are not finite
    /// are not known. Rows from `open` on are not closed yet.
    pub(crate) fn add(&mut self, time_ms: UnixMs, span_ms: i64, values: &[f64; N], open: i64) -> Added {
        let span_ms = span_ms.clamp(1, MAX_SPAN_MS.max(self.step_ms));
        let begin_ms = time_ms.saturating_sub(span_ms);
        // A sample at the very begin of a row tells only of the row before.
        let last = time_ms.saturating_sub(1).div_euclid(self.step_ms);
        let first = begin_ms.div_euclid(self.step_ms);
        self.samples = self.samples.wrapping_add(1);
        let mut added = Added::default();
        for row in first..=last {
            if row < self.oldest(open) || row >= open.saturating_add(MAX_OPEN) {
                added.dropped = true;
                continue;
            }
            let row_ms = row * self.step_ms;
            let within = |time_ms: UnixMs| u32::try_from((time_ms - row_ms).clamp(0, self.step_ms)).unwrap_or(0);
            let span_ms = (within(begin_ms), within(time_ms));
            let (step_ms, touched) = (self.step_ms, self.samples);
            let until = open.max(row) + self.remembered;
            if self.cells.len() >= self.most() && !self.cells.contains_key(&row) {
                self.make_room(1, open);
            }
            let cell = self.cell(row);
            cell.add(values, span_ms, step_ms as f32);
            (cell.until, cell.touched) = (until, touched);
            cell.changed = true;
            added.late |= row < open;
        }
        added
    }

    /// What is collected of a row, or left of it.
    fn cell(&mut self, row: i64) -> &mut Cell<N, K> {
        let (means, details, step_ms) = (&self.means, &self.details, self.step_ms as f32);
        self.cells.entry(row).or_insert_with(|| {
            let Some(mean) = means.get(row) else {
                return Box::new(Cell::EMPTY);
            };
            let detail = details.get(row);
            let coverage = detail.map_or(0.5, |detail| detail.coverage);
            Box::new(Cell::of(&mean, coverage * step_ms, detail.as_ref()))
        })
    }

    /// How many rows are collected at a time, unless more are open.
    fn most(&self) -> usize {
        let most = self.remembered + BESIDES.0 + self.remembered / BESIDES.1;
        usize::try_from(most).unwrap_or(1)
    }

    /// The oldest row that may still change.
    fn oldest(&self, open: i64) -> i64 {
        open.saturating_sub(self.reach).max(0)
    }

    /// Closes all rows before `open` and returns those that changed since the last call. Of a row that is there twice, as
    /// it made room for others in between, the later one holds.
    pub(crate) fn close(&mut self, open: i64) -> Vec<Row<N>> {
        let mut changed = std::mem::take(&mut self.untold);
        let closed: Vec<i64> = self.cells.range(..open).map(|(&row, _)| row).collect();
        changed.extend(closed.into_iter().filter_map(|row| self.keep(row)));
        self.means.advance(open);
        self.details.advance(open);
        let oldest = self.oldest(open);
        self.cells
            .retain(|&row, cell| row >= open || (row >= oldest && cell.until >= open));
        self.make_room(0, open);
        changed
    }

    /// Puts what is collected of a closed row into the rings, if it has changed since that was done last.
    fn keep(&mut self, row: i64) -> Option<Row<N>> {
        let cell = self.cells.get_mut(&row).filter(|cell| cell.changed)?;
        cell.changed = false;
        let closed = cell.row(row * self.step_ms, self.step_ms);
        self.means.put(row, closed.mean);
        self.details.put(row, closed.detail);
        if closed.detail.coverage > 0.0 {
            self.newest = self.newest.max(row);
        }
        Some(closed)
    }

    /// Makes room for `new` rows where many are open, or come late at once: closed ones of which nothing has come for
    /// longest are remembered no longer. What is left of them is in the rings.
    fn make_room(&mut self, new: usize, open: i64) {
        while self.cells.len() + new > self.most()
            && let Some(row) = self.idlest(open)
        {
            let kept = self.keep(row);
            self.untold.extend(kept);
            self.cells.remove(&row);
        }
    }

    fn idlest(&self, open: i64) -> Option<i64> {
        // Of those that are idle for equally long, the oldest.
        let closed = self.cells.range(..open).rev();
        let idlest = closed.max_by_key(|(_, cell)| self.samples.wrapping_sub(cell.touched));
        idlest.map(|(&row, _)| row)
    }

    /// The clock was set back: rows from `open` on are forgotten.
    pub(crate) fn rewind(&mut self, open: i64) {
        self.means.truncate(open);
        self.details.truncate(open);
        self.cells.split_off(&open);
        self.untold
            .retain(|row| row.begin_ms < open.saturating_mul(self.step_ms));
        self.newest = self.newest.min(open.saturating_sub(1));
    }

    /// Puts back a row that was closed before a restart. Rows come in order.
    pub(crate) fn restore(&mut self, begin_ms: UnixMs, coverage: f32, mean: [f32; N]) {
        let row = begin_ms.div_euclid(self.step_ms);
        let coverage = coverage.clamp(0.0, 1.0);
        self.means.put(row, mean);
        self.newest = self.newest.max(row);
        let mut cell = Cell::of(&mean, coverage * self.step_ms as f32, None);
        (cell.until, cell.touched) = (row + self.remembered, self.samples);
        self.details.put(row, cell.row(begin_ms, self.step_ms).detail);
        self.cells.insert(row, Box::new(cell));
        while self.cells.len() > usize::try_from(self.remembered).unwrap_or(1) {
            self.cells.pop_first();
        }
    }

    /// Puts back the mean of a row from before all that is known.
    pub(crate) fn fill(&mut self, begin_ms: UnixMs, mean: [f32; N]) {
        self.means.put(begin_ms.div_euclid(self.step_ms), mean);
    }

    /// Whether nothing has come for as long as is kept.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.cells.is_empty()
            && self.untold.is_empty()
            && (self.newest < self.means.begin() || self.means.rows().is_empty())
    }

    /// The means of closed rows.
    pub(crate) const fn means(&self) -> &Ring<[f32; N]> {
        &self.means
    }

    /// What else is known of the newest of them.
    #[cfg(test)]
    pub(crate) const fn details(&self) -> &Ring<Detail<N>> {
        &self.details
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

#[cfg(test)]
mod tests;
