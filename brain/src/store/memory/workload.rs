//! What one workload of a host uses: rows of the grid of the last hour, and minutes for as long as its host's rows reach
//! back. Six kilobytes at the usual sizes; forecasts see both as one series.

use std::collections::BTreeSet;

use shadow::UnixMs;

use super::{
    Shape, Use,
    series::{MINUTE_MS, mean},
};
use crate::{
    grid::{Grid, Lengths, Ring},
    store::WorkloadMinute,
};

/// How long rows of the grid are kept.
const ROWS_MS: i64 = 3_600_000;

/// Cores busy and bytes in use.
type Uses = [f32; 2];

/// The recent past of one workload.
#[derive(Debug)]
pub(super) struct Workload {
    rows: Grid<2, 0>,
    /// Rows of the grid where these are longer.
    minutes: Ring<Uses>,
    minute_ms: i64,
    /// Begin of the newest minute of which anything is known.
    newest_ms: UnixMs,
}

impl Workload {
    pub(super) fn new(shape: &Shape) -> Self {
        let minute_ms = shape.step_ms.max(MINUTE_MS);
        let count = |span_ms: i64, of_ms: i64| usize::try_from(span_ms / of_ms).unwrap_or(1).max(1);
        let reach_ms = i64::try_from(shape.rows)
            .unwrap_or(i64::MAX)
            .saturating_mul(shape.step_ms);
        let lengths = Lengths {
            means: count(ROWS_MS, shape.step_ms),
            details: 0,
        };
        Self {
            rows: Grid::new(shape.step_ms, lengths),
            minutes: Ring::new(count(reach_ms, minute_ms), [f32::NAN; 2]),
            minute_ms,
            newest_ms: UnixMs::MIN,
        }
    }

    /// The first minute of which all rows are held while rows from `open` on are not closed yet.
    pub(super) fn oldest_minute(shape: &Shape, open: i64) -> i64 {
        let oldest_ms = open.saturating_mul(shape.step_ms).saturating_sub(ROWS_MS);
        oldest_ms.div_euclid(shape.step_ms.max(MINUTE_MS)).saturating_add(1)
    }

    /// Adds a sample taken at `time_ms` that tells of the `span_ms` before it. Rows from `open` on are not closed yet.
    pub(super) fn add(&mut self, time_ms: UnixMs, span_ms: i64, used: &Use, open: i64) {
        self.rows.add(time_ms, span_ms, used, open);
    }

    /// Closes all rows before `open` and tells the minutes that changed, those left out whose first rows have gone.
    pub(super) fn close(&mut self, open: i64) -> Vec<(UnixMs, WorkloadMinute)> {
        let changed = self.rows.close(open);
        let minutes: BTreeSet<i64> = changed
            .iter()
            .map(|row| row.begin_ms.div_euclid(self.minute_ms))
            .collect();
        let whole = minutes.into_iter().filter(|&minute| self.holds(minute));
        let told: Vec<_> = whole
            .map(|minute| (minute * self.minute_ms, self.in_rows(minute)))
            .collect();
        for (begin_ms, minute) in &told {
            self.put(*begin_ms, minute.uses);
        }
        told
    }

    /// Whether no row of a minute was let go of for newer ones.
    fn holds(&self, minute: i64) -> bool {
        let means = self.rows.means();
        let first = (minute * self.minute_ms).div_euclid(self.rows.step_ms());
        first >= means.end() - means.capacity()
    }

    /// The mean of a minute, of its rows as far as these are held.
    fn in_rows(&self, minute: i64) -> WorkloadMinute {
        let step_ms = self.rows.step_ms();
        let first = (minute * self.minute_ms).div_euclid(step_ms);
        let end = ((minute + 1) * self.minute_ms).div_euclid(step_ms).max(first + 1);
        let rows = self.rows.means().range(first, end);
        let known = rows
            .iter()
            .filter(|row| row.iter().any(|used| used.is_finite()))
            .count();
        WorkloadMinute {
            coverage: known as f32 / (end - first) as f32,
            uses: mean(rows),
        }
    }

    fn put(&mut self, begin_ms: UnixMs, used: Uses) {
        self.minutes.put(begin_ms.div_euclid(self.minute_ms), used);
        if used.iter().any(|value| value.is_finite()) {
            self.newest_ms = self.newest_ms.max(begin_ms);
        }
    }

    /// Puts back minutes of before a restart, oldest first.
    pub(super) fn restore(&mut self, minutes: &[(UnixMs, Uses)]) {
        for &(begin_ms, used) in minutes {
            self.put(begin_ms, used);
        }
    }

    /// The clock was set back: rows from `open` on are forgotten.
    pub(super) fn rewind(&mut self, open: i64) {
        self.rows.rewind(open);
        let open_ms = open.saturating_mul(self.rows.step_ms());
        self.minutes.truncate(open_ms.div_euclid(self.minute_ms));
        self.newest_ms = self.newest_ms.min(open_ms);
    }

    /// Whether nothing has come for an hour before row `open`.
    pub(super) fn is_forgotten(&self, open: i64) -> bool {
        let silent_ms = open.saturating_mul(self.rows.step_ms()).saturating_sub(self.newest_ms);
        self.rows.is_forgotten() && silent_ms > ROWS_MS
    }

    /// What it used in the newest `rows` rows, on average; NaN where nothing is known.
    pub(super) fn used(&self, rows: i64) -> Uses {
        let means = self.rows.means();
        mean(means.range(means.end() - rows, means.end()))
    }

    /// What it used in row `row`: of older rows than are kept the mean of their minute.
    pub(super) fn at(&self, row: i64) -> Uses {
        let means = self.rows.means();
        let minute = || {
            let begin_ms = row.saturating_mul(self.rows.step_ms());
            self.minutes.get(begin_ms.div_euclid(self.minute_ms))
        };
        let held = !means.rows().is_empty() && row >= means.begin();
        if held { means.get(row) } else { minute() }.unwrap_or([f32::NAN; 2])
    }

    /// The first row of which anything may be known.
    pub(super) fn first_row(&self) -> i64 {
        let step_ms = self.rows.step_ms();
        let of_minutes = self.minutes.begin().saturating_mul(self.minute_ms).div_euclid(step_ms);
        match (self.rows.means().rows().is_empty(), self.minutes.rows().is_empty()) {
            (false, false) => self.rows.means().begin().min(of_minutes),
            (false, true) => self.rows.means().begin(),
            (true, false) => of_minutes,
            (true, true) => i64::MAX,
        }
    }
}
