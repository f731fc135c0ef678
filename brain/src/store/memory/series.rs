//! The rows of one host: of the grid, of minutes, and of its workloads.

use std::collections::BTreeMap;

use shadow::{Channel, UnixMs};

use super::{
    Readings, Shape, Use,
    backlog::{Backlog, Minutes},
    workload::Workload,
};
use crate::{
    grid::{Added, Detail, Grid, Lengths, Ring, Row},
    store::{Rollup, StoredRow, WorkloadMinute},
};

/// Rollups are told of rows of the grid, and of minutes.
pub(super) const MINUTE_MS: i64 = 60_000;
/// The most workloads of a host that are kept: as many as a birth may tell, twice.
pub(super) const MAX_WORKLOADS: usize = 4_096;
/// The newest sixth of the rows and the newest quarter of the minutes are kept with all that is known of them: as much as
/// late samples usually need. Of older ones the means are left.
const DETAILED: (usize, usize) = (6, 4);

/// Values of a tail that make p95s exact at the full pace: of rows of 10 s, of minutes.
pub(super) const TAILS: (usize, usize) = (8, 32);

const CHANNELS: usize = Channel::COUNT;

/// Minutes of a host.
pub(super) type MinuteRow = Grid<CHANNELS, { TAILS.1 }>;

/// The recent past of one host.
#[derive(Debug)]
pub(super) struct Series {
    rows: Grid<CHANNELS, { TAILS.0 }>,
    minutes: MinuteRow,
    workloads: BTreeMap<String, Workload>,
    /// Minutes that began before are durable and not known here any more: what comes late of them is backlog.
    minutes_since_ms: UnixMs,
    backlog: Option<Box<Backlog>>,
}

/// What changed in closed rows of one host.
#[derive(Debug, Default)]
pub(super) struct Closed {
    pub(super) rows: Vec<(UnixMs, Rollup)>,
    pub(super) minutes: Vec<(UnixMs, Rollup)>,
    /// Uses by workload and minute.
    pub(super) workloads: Vec<(String, UnixMs, WorkloadMinute)>,
}

impl Series {
    pub(super) fn new(shape: &Shape) -> Self {
        Self {
            rows: rows(shape),
            minutes: minutes(shape),
            workloads: BTreeMap::new(),
            minutes_since_ms: UnixMs::MIN,
            backlog: None,
        }
    }

    /// Adds the samples of a frame, to rows as far as they tell of the time after `since_ms`. Rows from `open` on are
    /// not closed yet.
    pub(super) fn add(&mut self, readings: &Readings, since_ms: UnixMs, open: i64, shape: &Shape) -> Added {
        let mut all = Added::default();
        let open_minute = self.open_minute(open);
        for (&sample, values) in readings.times.iter().zip(&readings.channels) {
            if let Some((time_ms, span_ms)) = later(sample, since_ms) {
                let added = self.rows.add(time_ms, span_ms, values, open);
                all.late |= added.late;
                all.dropped |= added.dropped;
            }
            if self.is_backlog(sample, open_minute - self.minutes.means().capacity()) {
                if sample.0 > since_ms {
                    self.backlog().add(sample, values);
                }
            } else if let Some((time_ms, span_ms)) = later(sample, self.minutes_since_ms) {
                self.minutes.add(time_ms, span_ms, values, open_minute);
            }
        }
        for (workload, uses) in &readings.workloads {
            self.add_uses(
                workload,
                readings.times.iter().copied().zip(uses),
                since_ms,
                open,
                shape,
            );
        }
        all
    }

    /// Its minutes are what the store has of a workload.
    fn add_uses<'a>(
        &mut self,
        name: &str,
        samples: impl Iterator<Item = ((UnixMs, i64), &'a Use)>,
        since_ms: UnixMs,
        open: i64,
        shape: &Shape,
    ) {
        let oldest = Workload::oldest_minute(shape, open);
        for (sample, used) in samples {
            if self.is_backlog(sample, oldest) {
                if sample.0 > since_ms {
                    self.backlog().add_workload(name, sample, used);
                }
                continue;
            }
            if !self.workloads.contains_key(name) && self.workloads.len() < MAX_WORKLOADS {
                self.workloads.insert(name.to_owned(), Workload::new(shape));
            }
            let known = later(sample, self.minutes_since_ms);
            if let (Some(workload), Some((time_ms, span_ms))) = (self.workloads.get_mut(name), known) {
                workload.add(time_ms, span_ms, used, open);
            }
        }
    }

    /// Whether a sample tells of a minute that is not known here any more, or is older than `oldest`.
    fn is_backlog(&self, (time_ms, _): (UnixMs, i64), oldest: i64) -> bool {
        let minute = time_ms.saturating_sub(1).div_euclid(self.minutes.step_ms());
        time_ms <= self.minutes_since_ms || minute < oldest
    }

    fn backlog(&mut self) -> &mut Backlog {
        let minute_ms = self.minutes.step_ms();
        self.backlog.get_or_insert_with(|| Box::new(Backlog::new(minute_ms)))
    }

    fn close_backlog(&mut self) -> Minutes {
        let told = self.backlog.as_mut().map(|backlog| backlog.close());
        self.backlog.take_if(|backlog| backlog.is_over());
        told.unwrap_or_default()
    }

    /// Closes all rows before `open` and tells which closed rows changed since the last call. A grid of which nothing is
    /// known for as long as it reaches gives its memory back.
    pub(super) fn close(&mut self, open: i64, shape: &Shape) -> Closed {
        let open_minute = self.open_minute(open);
        // Of a minute that both tell of the rows know more.
        let (mut minutes, mut workloads) = self.close_backlog();
        minutes.extend(told(self.minutes.close(open_minute), self.minutes.step_ms()));
        workloads.extend(self.close_workloads(open));
        let closed = Closed {
            rows: told(self.rows.close(open), self.rows.step_ms()),
            minutes,
            workloads,
        };
        if self.rows.is_forgotten() {
            self.rows = rows(shape);
        }
        if self.minutes.is_forgotten() {
            self.minutes = self::minutes(shape);
        }
        closed
    }

    fn close_workloads(&mut self, open: i64) -> Vec<(String, UnixMs, WorkloadMinute)> {
        let mut changed = Vec::new();
        self.workloads.retain(|name, workload| {
            let minutes = workload.close(open).into_iter();
            changed.extend(minutes.map(|(minute_ms, minute)| (name.clone(), minute_ms, minute)));
            !workload.is_forgotten(open)
        });
        changed
    }

    fn open_minute(&self, open: i64) -> i64 {
        open.saturating_mul(self.rows.step_ms())
            .div_euclid(self.minutes.step_ms())
    }

    /// Whether nothing is known of it any more.
    pub(super) fn is_forgotten(&self) -> bool {
        let is_idle = self.workloads.is_empty() && self.backlog.is_none();
        self.rows.is_forgotten() && self.minutes.is_forgotten() && is_idle
    }

    /// The clock was set back: rows from `open` on are forgotten.
    pub(super) fn rewind(&mut self, open: i64) {
        let open_minute = self.open_minute(open);
        self.rows.rewind(open);
        self.minutes.rewind(open_minute);
        self.minutes_since_ms = self.minutes_since_ms.min(open_minute * self.minutes.step_ms());
        self.workloads.values_mut().for_each(|workload| workload.rewind(open));
    }

    /// Puts back rows that were closed before a restart at `closed_ms`, oldest first. The minute that was open then is
    /// collected anew from its frames; those before, and the one that the last row of a silent host lies in, stay as the
    /// store has them.
    pub(super) fn restore(&mut self, stored: &[StoredRow], closed_ms: UnixMs) {
        for row in stored {
            self.rows.restore(row.begin_ms, row.coverage, row.mean);
        }
        if let Some(last) = stored.last() {
            let minute_ms = self.minutes.step_ms();
            let after_last = last.begin_ms.div_euclid(minute_ms) + 1;
            self.minutes_since_ms = after_last.min(closed_ms.div_euclid(minute_ms)) * minute_ms;
        }
    }

    /// Puts back means of rows that are older than all that is known, oldest first.
    pub(super) fn fill(&mut self, stored: &[StoredRow]) {
        let (known, step_ms) = (self.rows.means().begin(), self.rows.step_ms());
        for row in stored.iter().filter(|row| row.begin_ms.div_euclid(step_ms) < known) {
            self.rows.fill(row.begin_ms, row.mean);
        }
    }

    /// Means of rows of the grid.
    pub(super) const fn means(&self) -> &Ring<[f32; CHANNELS]> {
        self.rows.means()
    }

    /// Means of minutes, and how many milliseconds each has.
    pub(super) const fn minute_means(&self) -> (&Ring<[f32; CHANNELS]>, i64) {
        (self.minutes.means(), self.minutes.step_ms())
    }

    /// Each workload with what it used in the newest `rows` rows.
    pub(super) fn uses(&self, rows: i64) -> impl Iterator<Item = (&String, [f32; 2])> {
        self.workloads
            .iter()
            .map(move |(name, workload)| (name, workload.used(rows)))
    }

    /// Puts back the minutes of a workload of before a restart, oldest first.
    pub(super) fn restore_workload(&mut self, name: &str, minutes: &[(UnixMs, [f32; 2])], shape: &Shape) {
        if self.workloads.len() < MAX_WORKLOADS {
            let workload = self.workloads.entry(name.to_owned());
            workload.or_insert_with(|| Workload::new(shape)).restore(minutes);
        }
    }

    /// The rows of a workload from number `from` to `end`, the latter not included, from the first that may be known on:
    /// its cores and bytes in the place of the host's cpu and memory, and the host's other channels beside them.
    pub(super) fn workload_rows(&self, name: &str, from: i64, end: i64) -> Vec<[f32; CHANNELS]> {
        let Some(workload) = self.workloads.get(name) else {
            return Vec::new();
        };
        let host = self.rows.means();
        let row = |row: i64| {
            let [cores, bytes] = workload.at(row);
            let [_, _, others @ ..] = host.get(row).unwrap_or([f32::NAN; CHANNELS]);
            let mut whole = [cores, bytes, 0.0, 0.0, 0.0, 0.0, 0.0];
            whole.iter_mut().skip(2).zip(others).for_each(|(to, from)| *to = from);
            whole
        };
        (from.max(workload.first_row())..end).map(row).collect()
    }
}

fn rows<const K: usize>(shape: &Shape) -> Grid<CHANNELS, K> {
    let lengths = Lengths {
        means: shape.rows,
        details: shape.rows / DETAILED.0,
    };
    Grid::new(shape.step_ms, lengths)
}

fn minutes<const K: usize>(shape: &Shape) -> Grid<CHANNELS, K> {
    let lengths = Lengths {
        means: shape.minutes,
        details: shape.minutes / DETAILED.1,
    };
    Grid::new(shape.step_ms.max(MINUTE_MS), lengths)
}

/// What a sample, taken at a time and telling of so many milliseconds before it, tells of the time after `since_ms`.
fn later((time_ms, span_ms): (UnixMs, i64), since_ms: UnixMs) -> Option<(UnixMs, i64)> {
    (time_ms > since_ms).then(|| (time_ms, span_ms.min(time_ms.saturating_sub(since_ms))))
}

pub(super) fn told(rows: Vec<Row<CHANNELS>>, step_ms: i64) -> Vec<(UnixMs, Rollup)> {
    let rollup = |row: Row<CHANNELS>| {
        let Detail {
            coverage,
            max,
            min,
            last,
            p95,
        } = row.detail;
        let mean = row.mean;
        let rollup = Rollup {
            step_ms,
            coverage,
            mean,
            max,
            min,
            last,
            p95,
        };
        (row.begin_ms, rollup)
    };
    rows.into_iter().map(rollup).collect()
}

pub(super) fn told_uses(row: Row<2>) -> (UnixMs, WorkloadMinute) {
    let minute = WorkloadMinute {
        coverage: row.detail.coverage,
        uses: row.mean,
    };
    (row.begin_ms, minute)
}

#[expect(clippy::cast_possible_truncation, reason = "the grid holds single precision")]
pub(super) fn mean<const N: usize>(rows: &[[f32; N]]) -> [f32; N] {
    let mut sums = [(0.0_f64, 0_u32); N];
    for row in rows {
        for ((sum, known), &value) in sums.iter_mut().zip(row) {
            if !value.is_nan() {
                *sum += f64::from(value);
                *known += 1;
            }
        }
    }
    // Of nothing known this is 0 / 0 and so NaN.
    sums.map(|(sum, known)| (sum / f64::from(known)) as f32)
}
