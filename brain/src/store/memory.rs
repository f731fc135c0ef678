//! The hot store: the recent past of all hosts in memory.
//!
//! | file | what it keeps of a host |
//! |---|---|
//! | `memory/series.rs` | rows of the grid and minutes: mean, extremes, last value, p95 |
//! | `memory/workload.rs` | what each of its workloads used: rows of the last hour, minutes |
//! | `memory/recent.rs` | frames of the recent window, as they came |
//! | `memory/columns.rs` | nothing: it reads these frames, on the reader's side |
//!
//! The engine writes; page and training read. Each host has locks of its own, held for the time of a copy: a reader that
//! goes through all hosts never keeps the writer from more than one of them, and none is held while frames are decoded or
//! across an `await`.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use shadow::{Birth, Channel, Frame, Resource, UnixMs, Vantage};

use super::{Rollup, StoredRow, Stream, WorkloadMinute};
use crate::grid::{Added, Ring};

mod backlog;
pub(crate) mod columns;
pub(crate) mod recent;
mod series;
mod workload;

use recent::{Bounds, Chain, Recent};
use series::{MINUTE_MS, Series, mean};

/// One value a channel, in the order of [`Channel::ALL`]; NaN where not read.
pub(crate) type Channels = [f64; Channel::COUNT];

/// Cores busy and bytes in use of a workload; NaN where not read.
pub(crate) type Use = [f64; 2];

/// How much is kept of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Width of a row of the grid, at least 1.
    pub(crate) step_ms: i64,
    /// Rows of the grid.
    pub(crate) rows: usize,
    /// Minutes.
    pub(crate) minutes: usize,
    /// Frames.
    pub(crate) recent: Bounds,
}

/// The recent past of all hosts.
#[derive(Debug)]
pub(crate) struct HotStore {
    shape: Shape,
    /// Written to only when hosts come and go.
    hosts: RwLock<BTreeMap<Arc<str>, Arc<Host>>>,
}

/// The recent past of one host.
#[derive(Debug)]
struct Host {
    series: RwLock<Series>,
    recent: RwLock<Recent>,
}

/// The samples of one frame, as far as rows keep them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Readings {
    /// When each sample was taken, and how many milliseconds before that it tells of.
    pub(crate) times: Vec<(UnixMs, i64)>,
    /// One entry a sample.
    pub(crate) channels: Vec<Channels>,
    /// By workload, one entry a sample.
    pub(crate) workloads: Vec<(String, Vec<Use>)>,
}

impl Readings {
    /// When the newest sample of their frame was taken.
    pub(crate) fn newest_ms(&self, frame: &Frame) -> UnixMs {
        self.times.last().map_or(frame.start_ms, |&(time_ms, _)| time_ms)
    }
}

/// What changed in closed rows.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// By host and begin of the row.
    pub(crate) rollups: BTreeMap<(Arc<str>, UnixMs), Rollup>,
    /// By host and begin of the minute.
    pub(crate) minutes: BTreeMap<(Arc<str>, UnixMs), Rollup>,
    /// By host, workload and begin of the minute.
    pub(crate) workloads: BTreeMap<(Arc<str>, String, UnixMs), WorkloadMinute>,
}

/// The rows of one host, oldest first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window<'a> {
    /// The host.
    pub(crate) host: &'a str,
    /// Rows without a gap; NaN where nothing is known.
    pub(crate) rows: &'a [[f32; Channel::COUNT]],
}

/// Values of one resource with the time at which each is known, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Points {
    /// Since when memory knows the host.
    pub(crate) since_ms: UnixMs,
    /// Rows of the grid where there are, else minutes; gaps left out.
    pub(crate) points: Vec<(UnixMs, f64)>,
}

impl HotStore {
    /// An empty store.
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            shape,
            hosts: RwLock::default(),
        }
    }

    /// How much is kept of a host.
    pub(crate) const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Adds the samples of a frame, to rows as far as they tell of the time after `since_ms`. Rows from `open` on are
    /// not closed yet.
    pub(crate) fn add(&self, host: &Arc<str>, readings: &Readings, since_ms: UnixMs, open: i64) -> Added {
        let host = self.host(host);
        write(&host.series).add(readings, since_ms, open, &self.shape)
    }

    /// Keeps a frame, whose newest sample was taken at `newest_ms`, as it came.
    pub(crate) fn keep(&self, stream: &Stream, birth: &Arc<Birth>, frame: &Frame, newest_ms: UnixMs) {
        let host = self.host(&stream.host);
        let mut recent = write(&host.recent);
        recent.push(stream.vantage, birth, frame, newest_ms);
        recent.shed(self.shape.recent.bytes);
    }

    /// Closes all rows before `open` and tells which closed rows changed since the last call. Lets go of what is older
    /// than is kept, and of hosts of which nothing is left.
    pub(crate) fn close(&self, open: i64) -> Changed {
        let mut changed = Changed::default();
        let mut gone = Vec::new();
        let oldest_ms = open
            .saturating_mul(self.shape.step_ms)
            .saturating_sub(self.shape.recent.span_ms);
        for (name, host) in self.all() {
            let mut recent = write(&host.recent);
            recent.forget_before(oldest_ms);
            let nothing_recent = recent.is_empty();
            drop(recent);
            let mut series = write(&host.series);
            let closed = series.close(open, &self.shape);
            if series.is_forgotten() && nothing_recent {
                gone.push(Arc::clone(&name));
            }
            drop(series);
            let of_host = |(begin_ms, rollup)| ((Arc::clone(&name), begin_ms), rollup);
            changed.rollups.extend(closed.rows.into_iter().map(of_host));
            changed.minutes.extend(closed.minutes.into_iter().map(of_host));
            let workloads = closed.workloads.into_iter();
            changed
                .workloads
                .extend(workloads.map(|(workload, ms, minute)| ((Arc::clone(&name), workload, ms), minute)));
        }
        for host in &gone {
            self.forget(host);
        }
        changed
    }

    /// The clock was set back: rows from `open` on are forgotten.
    pub(crate) fn rewind(&self, open: i64) {
        for (_, host) in self.all() {
            write(&host.series).rewind(open);
        }
    }

    /// Forgets a host.
    pub(crate) fn forget(&self, host: &Arc<str>) {
        write(&self.hosts).remove(host);
    }

    /// Puts back rows that were closed before a restart at `closed_ms`, oldest first.
    pub(crate) fn restore(&self, host: &Arc<str>, rows: &[StoredRow], closed_ms: UnixMs) {
        let host = self.host(host);
        write(&host.series).restore(rows, closed_ms);
    }

    /// Puts back rows older than all that is known of `host`, oldest first. A host that is not known stays so.
    pub(crate) fn fill(&self, host: &str, rows: &[StoredRow]) {
        if let Some(host) = self.find(host) {
            write(&host.series).fill(rows);
        }
    }

    /// Calls `read` with the newest `rows` rows before `end` of every host that has any there, where they lie.
    pub(crate) fn read_windows<R>(&self, end: i64, rows: i64, read_all: impl FnOnce(&[Window<'_>]) -> R) -> R {
        let hosts = self.all();
        let held: Vec<_> = hosts.iter().map(|(name, host)| (name, read(&host.series))).collect();
        let windows: Vec<Window<'_>> = held
            .iter()
            .map(|(host, series)| Window {
                host,
                rows: series.means().range(end.saturating_sub(rows), end),
            })
            .filter(|window| !window.rows.is_empty())
            .collect();
        read_all(&windows)
    }

    /// A copy of the rows of `host` from number `from` to `end`, the latter not included, and the number of the first.
    pub(crate) fn rows(&self, host: &str, from: i64, end: i64) -> Option<(i64, Vec<[f32; Channel::COUNT]>)> {
        let host = self.find(host)?;
        let series = read(&host.series);
        let means = series.means();
        Some((from.max(means.begin()), means.range(from, end).to_vec()))
    }

    /// All hosts of which anything is known.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        read(&self.hosts).keys().cloned().collect()
    }

    /// The longest history of a host, in rows, gaps included.
    pub(crate) fn longest(&self) -> usize {
        let hosts = self.all();
        let rows = |(_, host): &(Arc<str>, Arc<Host>)| read(&host.series).means().rows().len();
        hosts.iter().map(rows).max().unwrap_or(0)
    }

    /// How many milliseconds of the past of `host` are held, gaps included.
    pub(crate) fn history_ms(&self, host: &str) -> i64 {
        let Some(host) = self.find(host) else { return 0 };
        let series = read(&host.series);
        let (minutes, minute_ms) = series.minute_means();
        let length_ms = |rows: usize, step_ms| i64::try_from(rows).unwrap_or(i64::MAX).saturating_mul(step_ms);
        let rows_ms = length_ms(series.means().rows().len(), self.shape.step_ms);
        rows_ms.max(length_ms(minutes.rows().len(), minute_ms))
    }

    /// What the channels of `host` were in the last minute of closed rows; NaN where not read.
    pub(crate) fn present(&self, host: &str) -> Option<[f32; Channel::COUNT]> {
        let host = self.find(host)?;
        let series = read(&host.series);
        let means = series.means();
        Some(mean(means.range(means.end() - self.minute_rows(), means.end())))
    }

    fn minute_rows(&self) -> i64 {
        (MINUTE_MS / self.shape.step_ms).max(1)
    }

    /// What each workload of `host` used in the last minute of closed rows; NaN where it was not read.
    pub(crate) fn uses(&self, host: &str) -> BTreeMap<String, [f32; 2]> {
        let Some(host) = self.find(host) else {
            return BTreeMap::new();
        };
        let series = read(&host.series);
        let uses = series.uses(self.minute_rows());
        uses.map(|(name, uses)| (name.clone(), uses)).collect()
    }

    /// Puts back the minutes of a workload of before a restart, oldest first: cores busy and bytes in use.
    pub(crate) fn restore_workload(&self, host: &Arc<str>, name: &str, minutes: &[(UnixMs, [f32; 2])]) {
        let host = self.host(host);
        write(&host.series).restore_workload(name, minutes, &self.shape);
    }

    /// The newest `rows` rows before `end` of each workload of `host` that is named, from the first that may be known on;
    /// nothing of one that is not known. In the order of [`Channel::ALL`]: what the workload uses of cpu and memory, in
    /// cores and bytes, and the host's other channels beside them. Rows older than an hour are means of their minute.
    pub(crate) fn workload_rows<'n>(
        &self,
        host: &str,
        names: &[&'n str],
        end: i64,
        rows: i64,
    ) -> Vec<(&'n str, Vec<[f32; Channel::COUNT]>)> {
        let Some(host) = self.find(host) else {
            return Vec::new();
        };
        let series = read(&host.series);
        let of = |name: &&'n str| (*name, series.workload_rows(name, end.saturating_sub(rows), end));
        names.iter().map(of).filter(|(_, rows)| !rows.is_empty()).collect()
    }

    /// What memory knows of one resource of `host` since `since_ms`; `None` of a host of which nothing is left.
    pub(crate) fn points(&self, host: &str, resource: Resource, since_ms: UnixMs) -> Option<Points> {
        let host = self.find(host)?;
        let series = read(&host.series);
        let (minutes, minute_ms) = series.minute_means();
        let (rows, step_ms) = (series.means(), self.shape.step_ms);
        let rows_since_ms = rows.begin().saturating_mul(step_ms);
        let mut points = Vec::new();
        if rows.rows().is_empty() {
            collect(minutes, minute_ms, (since_ms, UnixMs::MAX), resource, &mut points);
        } else {
            collect(minutes, minute_ms, (since_ms, rows_since_ms), resource, &mut points);
            collect(rows, step_ms, (since_ms, UnixMs::MAX), resource, &mut points);
        }
        let begins = [(minutes, minute_ms), (rows, step_ms)].into_iter();
        let begins = begins.filter(|(ring, _)| !ring.rows().is_empty());
        let since_ms = begins.map(|(ring, step_ms)| ring.begin().saturating_mul(step_ms)).min();
        Some(Points {
            since_ms: since_ms.unwrap_or(i64::MAX),
            points,
        })
    }

    /// The frames of the recent window of a host, as seen from `vantage`, that may hold samples from `since_ms` on; see
    /// [`columns::read`]. `None` of a host of which nothing is left.
    pub(crate) fn recent(&self, host: &str, vantage: Vantage, since_ms: UnixMs) -> Option<Vec<Arc<Chain>>> {
        let host = self.find(host)?;
        Some(read(&host.recent).since(vantage, since_ms))
    }

    fn host(&self, name: &Arc<str>) -> Arc<Host> {
        if let Some(host) = self.find(name) {
            return host;
        }
        let new = || {
            Arc::new(Host {
                series: RwLock::new(Series::new(&self.shape)),
                recent: RwLock::default(),
            })
        };
        Arc::clone(write(&self.hosts).entry(Arc::clone(name)).or_insert_with(new))
    }

    fn find(&self, host: &str) -> Option<Arc<Host>> {
        read(&self.hosts).get(host).cloned()
    }

    fn all(&self) -> Vec<(Arc<str>, Arc<Host>)> {
        let hosts = read(&self.hosts);
        hosts
            .iter()
            .map(|(name, host)| (Arc::clone(name), Arc::clone(host)))
            .collect()
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Rows of `ring` that begin from `since_ms` on and end by `until_ms`. A row is known at its end.
fn collect(
    ring: &Ring<[f32; Channel::COUNT]>,
    step_ms: i64,
    (since_ms, until_ms): (UnixMs, UnixMs),
    resource: Resource,
    points: &mut Vec<(UnixMs, f64)>,
) {
    let from = ring.begin().max(since_ms.div_euclid(step_ms));
    let rows = (from..).zip(ring.range(from, until_ms.div_euclid(step_ms)));
    points.extend(rows.filter_map(|(row, values)| Some(((row + 1) * step_ms, resource_value(values, resource)?))));
}

/// The value of `resource` in a row: the sum of its channels; `None` when one of them is not known.
pub(crate) fn resource_value(row: &[f32; Channel::COUNT], resource: Resource) -> Option<f64> {
    let channels = resource.channels().iter();
    let value = channels
        .filter_map(|c| row.get(c.index()))
        .map(|&v| f64::from(v))
        .sum::<f64>();
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests;
