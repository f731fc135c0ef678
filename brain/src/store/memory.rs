//! The hot store: the recent past of all hosts in memory, on the grid.
//!
//! The engine writes, the page and the training read. Locks are held for the time of a copy, never across an
//! `await`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use shadow::{Channel, Resource, UnixMs};

use super::{Rollup, StoredRow};
use crate::{
    grid::{Added, Grid},
    snapshot::SeriesSource,
};

/// How long the uses of workloads are kept in memory.
const WORKLOADS_MS: i64 = 3_600_000;
/// The most workloads of a host that are kept: as many as a birth may tell, twice.
const MAX_WORKLOADS: usize = 4_096;
/// Uses of workloads are told as means over this time.
const MINUTE_MS: i64 = 60_000;

/// One value a channel, in the order of [`Channel::ALL`]; NaN where not read.
pub(crate) type Channels = [f64; Channel::COUNT];

/// Cores busy and bytes in use of a workload; NaN where not read.
pub(crate) type Use = [f64; 2];

/// The recent past of all hosts.
#[derive(Debug)]
pub(crate) struct HotStore {
    step_ms: i64,
    rows: usize,
    hosts: RwLock<BTreeMap<Arc<str>, Series>>,
}

#[derive(Debug)]
struct Series {
    channels: Grid<{ Channel::COUNT }>,
    workloads: BTreeMap<String, Grid<2>>,
}

/// The samples of one frame, as far as the hot store keeps them.
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
    /// What they tell of the time after `time_ms`.
    pub(crate) fn later_than(mut self, time_ms: UnixMs) -> Self {
        // Times rise, so what is left out lies at the begin.
        let old = self.times.partition_point(|&(at_ms, _)| at_ms <= time_ms);
        self.times.drain(..old);
        self.channels.drain(..old);
        self.workloads.iter_mut().for_each(|(_, uses)| drop(uses.drain(..old)));
        for (at_ms, span_ms) in &mut self.times {
            *span_ms = (*span_ms).min(*at_ms - time_ms);
        }
        self
    }
}

/// What changed in closed rows.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// By host and begin of the row.
    pub(crate) rollups: BTreeMap<(Arc<str>, UnixMs), Rollup>,
    /// By host, workload and begin of the minute.
    pub(crate) workloads: BTreeMap<(Arc<str>, String, UnixMs), [f32; 2]>,
}

/// The rows of one host, oldest first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window<'a> {
    /// The host.
    pub(crate) host: &'a str,
    /// Begin of the first row.
    pub(crate) first_ms: UnixMs,
    /// Rows without a gap; NaN where nothing is known.
    pub(crate) rows: &'a [[f32; Channel::COUNT]],
}

impl HotStore {
    /// An empty store of rows of `step_ms`, of which `rows` are kept a host.
    pub(crate) fn new(step_ms: i64, rows: usize) -> Self {
        Self {
            step_ms: step_ms.max(1),
            rows,
            hosts: RwLock::default(),
        }
    }

    /// Adds the samples of a frame. Rows from `open` on are not closed yet.
    pub(crate) fn add(&self, host: &Arc<str>, readings: &Readings, open: i64) -> Added {
        let mut hosts = self.write();
        let series = hosts.entry(Arc::clone(host)).or_insert_with(|| self.series_of_a_host());
        let mut all = Added::default();
        for (&(time_ms, span_ms), values) in readings.times.iter().zip(&readings.channels) {
            let added = series.channels.add(time_ms, span_ms, values, open);
            all.late |= added.late;
            all.dropped |= added.dropped;
        }
        for (workload, uses) in &readings.workloads {
            if !series.workloads.contains_key(workload) && series.workloads.len() < MAX_WORKLOADS {
                series.workloads.insert(workload.clone(), self.grid_of_a_workload());
            }
            let Some(grid) = series.workloads.get_mut(workload) else {
                continue;
            };
            for (&(time_ms, span_ms), values) in readings.times.iter().zip(uses) {
                grid.add(time_ms, span_ms, values, open);
            }
        }
        all
    }

    fn series_of_a_host(&self) -> Series {
        Series {
            channels: Grid::new(self.step_ms, self.rows),
            workloads: BTreeMap::new(),
        }
    }

    fn grid_of_a_workload(&self) -> Grid<2> {
        let rows = usize::try_from(WORKLOADS_MS / self.step_ms).unwrap_or(1);
        Grid::new(self.step_ms, rows.max(1))
    }

    /// Closes all rows before `open` and tells which closed rows changed since the last call.
    pub(crate) fn close(&self, open: i64) -> Changed {
        let mut changed = Changed::default();
        for (host, series) in self.write().iter_mut() {
            for row in series.channels.close(open) {
                let rollup = Rollup {
                    step_ms: self.step_ms,
                    coverage: row.coverage,
                    mean: row.mean,
                    max: row.max,
                };
                changed.rollups.insert((Arc::clone(host), row.begin_ms), rollup);
            }
            series.workloads.retain(|name, grid| {
                for (minute_ms, uses) in close_minutes(grid, open) {
                    changed
                        .workloads
                        .insert((Arc::clone(host), name.clone(), minute_ms), uses);
                }
                !grid.is_forgotten()
            });
        }
        changed
    }

    /// The clock was set back: rows from `open` on are forgotten.
    pub(crate) fn rewind(&self, open: i64) {
        for series in self.write().values_mut() {
            series.channels.rewind(open);
            series.workloads.values_mut().for_each(|grid| grid.rewind(open));
        }
    }

    /// Forgets a host.
    pub(crate) fn forget(&self, host: &Arc<str>) {
        self.write().remove(host);
    }

    /// Puts back rows that were closed before a restart, oldest first.
    pub(crate) fn restore(&self, host: &Arc<str>, rows: &[StoredRow]) {
        let mut hosts = self.write();
        let series = hosts.entry(Arc::clone(host)).or_insert_with(|| self.series_of_a_host());
        for row in rows {
            series.channels.restore(row.begin_ms, row.coverage, row.mean);
        }
    }

    /// Calls `read` with the newest `rows` rows before `end` of every host that has any there.
    pub(crate) fn read_windows<R>(&self, end: i64, rows: i64, read: impl FnOnce(&[Window<'_>]) -> R) -> R {
        let hosts = self.read();
        let mut windows = Vec::with_capacity(hosts.len());
        for (host, series) in hosts.iter() {
            let ring = series.channels.ring();
            let from = end.saturating_sub(rows).max(ring.begin());
            windows.push(Window {
                host,
                first_ms: from.saturating_mul(self.step_ms),
                rows: ring.range(from, end),
            });
        }
        windows.retain(|window| !window.rows.is_empty());
        read(&windows)
    }

    /// The longest history of a host, in rows, gaps included.
    pub(crate) fn longest(&self) -> usize {
        let hosts = self.read();
        hosts
            .values()
            .map(|series| series.channels.ring().rows().len())
            .max()
            .unwrap_or(0)
    }

    /// How many rows of `host` are held, gaps included.
    pub(crate) fn rows_of(&self, host: &str) -> usize {
        self.read()
            .get(host)
            .map_or(0, |series| series.channels.ring().rows().len())
    }

    /// What the channels of `host` were in the last minute of closed rows; NaN where not read.
    pub(crate) fn present(&self, host: &str) -> Option<[f32; Channel::COUNT]> {
        let hosts = self.read();
        let ring = hosts.get(host)?.channels.ring();
        Some(mean(ring.range(ring.end() - self.minute_rows(), ring.end())))
    }

    fn minute_rows(&self) -> i64 {
        (MINUTE_MS / self.step_ms).max(1)
    }

    /// What each workload of `host` used in the last minute of closed rows; NaN where it was not read.
    pub(crate) fn uses(&self, host: &str) -> BTreeMap<String, [f32; 2]> {
        let rows = self.minute_rows();
        let hosts = self.read();
        let Some(series) = hosts.get(host) else {
            return BTreeMap::new();
        };
        let mean = |(name, grid): (&String, &Grid<2>)| {
            let ring = grid.ring();
            (name.clone(), mean(ring.range(ring.end() - rows, ring.end())))
        };
        series.workloads.iter().map(mean).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, Series>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Arc<str>, Series>> {
        self.hosts.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the rows of a workload and tells the minutes that changed.
fn close_minutes(grid: &mut Grid<2>, open: i64) -> Vec<(UnixMs, [f32; 2])> {
    let step_ms = grid.step_ms();
    let changed = grid.close(open);
    let minutes: BTreeSet<i64> = changed.iter().map(|row| row.begin_ms.div_euclid(MINUTE_MS)).collect();
    let uses = |minute: i64| {
        let first = (minute * MINUTE_MS).div_euclid(step_ms);
        let end = ((minute + 1) * MINUTE_MS).div_euclid(step_ms).max(first + 1);
        (minute * MINUTE_MS, mean(grid.ring().range(first, end)))
    };
    minutes.into_iter().map(uses).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the grid holds single precision")]
fn mean<const N: usize>(rows: &[[f32; N]]) -> [f32; N] {
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

/// The value of `resource` in a row: the sum of its channels; `None` when one of them is not known.
pub(crate) fn resource_value(row: &[f32; Channel::COUNT], resource: Resource) -> Option<f64> {
    let channels = resource.channels().iter();
    let value = channels
        .filter_map(|c| row.get(c.index()))
        .map(|&v| f64::from(v))
        .sum::<f64>();
    value.is_finite().then_some(value)
}

impl SeriesSource for HotStore {
    fn series(&self, host: &str, resource: Resource, since_ms: UnixMs) -> Option<Vec<(UnixMs, f64)>> {
        let hosts = self.read();
        let ring = hosts.get(host)?.channels.ring();
        let from = ring.begin().max(since_ms.div_euclid(self.step_ms));
        let rows = (from..).zip(ring.range(from, ring.end()));
        // A row is known at its end.
        let value = |(row, values): (i64, _)| Some(((row + 1) * self.step_ms, resource_value(values, resource)?));
        Some(rows.filter_map(value).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(time_ms: UnixMs, cpu: f64) -> Readings {
        let mut channels = [f64::NAN; 7];
        channels[0] = cpu;
        channels[2] = 100.0;
        Readings {
            times: vec![(time_ms, 10_000)],
            channels: vec![channels],
            workloads: vec![("web".into(), vec![[cpu * 4.0, f64::NAN]])],
        }
    }

    #[test]
    fn what_is_told_comes_back_as_series_windows_and_uses() {
        let store = HotStore::new(10_000, 100);
        let host: Arc<str> = "a".into();
        for i in 1..=12 {
            store.add(&host, &readings(i * 10_000, 0.5), 0);
        }
        let changed = store.close(12);
        assert_eq!((changed.rollups.len(), changed.workloads.len()), (12, 2));
        let [cores, bytes] = changed.workloads[&(Arc::clone(&host), "web".to_owned(), 60_000)];
        assert!(cores == 2.0 && bytes.is_nan());
        assert_eq!(store.uses("a")["web"][0], 2.0);
        assert!(store.close(12).rollups.is_empty());

        let series = store.series("a", Resource::Cpu, 100_000).unwrap();
        assert_eq!(series, [(110_000, 0.5), (120_000, 0.5)]);
        assert_eq!(
            store.series("a", Resource::Network, 0).unwrap(),
            [],
            "half a resource is not known"
        );
        assert_eq!(store.series("b", Resource::Cpu, 0), None);
        let told = store.read_windows(11, 4, |windows| {
            windows.iter().map(|w| (w.first_ms, w.rows.len())).collect::<Vec<_>>()
        });
        assert_eq!(told, [(70_000, 4)]);
    }

    #[test]
    fn a_workload_that_is_gone_is_forgotten_after_an_hour() {
        let store = HotStore::new(10_000, 100);
        store.add(&"a".into(), &readings(10_000, 0.5), 0);
        store.close(10);
        assert_eq!(store.uses("a").len(), 1);
        store.close(400);
        assert!(store.uses("a").is_empty());
    }
}
