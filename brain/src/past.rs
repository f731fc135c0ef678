//! The past of hosts for whoever is not the engine: memory first, and the durable store where memory does not reach.
//!
//! All of it blocks for as long as a database takes: it is for the training's thread, and for the page's blocking ones.

use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use shadow::{Channel, Resource, UnixMs, Vantage};

use self::durable::Durable;
use crate::{
    history::{Database, Resolution},
    snapshot::SeriesSource,
    store::{
        StoreError, StoredRow,
        memory::{
            HotStore,
            columns::{self, Columns},
            resource_value,
        },
    },
};

mod durable;

/// Rows of all hosts together that a training is given: 224 MB. Of a larger fleet it learns from each second host, or
/// each third, ...
const MAX_ROWS: usize = 8 << 20;

/// Reads memory and the durable store.
#[derive(Clone)]
pub(crate) struct Past {
    hot: Arc<HotStore>,
    /// Without one there is memory alone.
    durable: Option<Database>,
}

impl Past {
    /// The past that `hot` and the durable store hold.
    pub(crate) const fn new(hot: Arc<HotStore>, durable: Option<Database>) -> Self {
        Self { hot, durable }
    }

    /// The rows of all hosts from `since_ms` on, before row `end`, without gaps. Ends early when `stop` is set. Where the
    /// durable store cannot be read, it is what memory holds.
    pub(crate) fn histories(&self, since_ms: UnixMs, end: i64, stop: &AtomicBool) -> Vec<forecast::History> {
        let shape = self.hot.shape();
        let since = since_ms.div_euclid(shape.step_ms);
        let in_memory = end.saturating_sub(i64::try_from(shape.rows).unwrap_or(i64::MAX));
        let durable_ms = since.saturating_mul(shape.step_ms)..in_memory.saturating_mul(shape.step_ms);
        let mut durable = (!durable_ms.is_empty()).then(|| self.open()).flatten();
        let mut hosts: BTreeSet<Arc<str>> = self.hot.names().into_iter().collect();
        hosts.extend(
            durable
                .as_mut()
                .and_then(|durable| told(durable.hosts()))
                .into_iter()
                .flatten()
                .map(Arc::from),
        );
        let rows = usize::try_from(end.saturating_sub(since)).unwrap_or(0);
        let each = hosts.len().saturating_mul(rows).div_ceil(MAX_ROWS).max(1);
        let mut histories = Vec::new();
        for host in hosts.iter().step_by(each) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let stored = durable
                .as_mut()
                .and_then(|durable| told(durable.rows(host, Resolution::TenSeconds, durable_ms.clone())))
                .unwrap_or_default();
            let recent = self.hot.rows(host, since.max(in_memory), end);
            if let Some((first, rows)) = joined(&stored, recent, shape.step_ms) {
                histories.push(forecast::History {
                    host: host.to_string(),
                    first_ms: first * shape.step_ms,
                    rows,
                    weights: Vec::new(),
                });
            }
        }
        histories
    }

    /// Puts into memory what it has room for and a start did not wait for, until `stop` says so.
    pub(crate) fn fill(&self, span: &Range<UnixMs>, stop: &impl Fn() -> bool) {
        let Some(mut durable) = self.open() else { return };
        let mut rows = 0;
        for host in told(durable.hosts()).into_iter().flatten() {
            if stop() {
                return;
            }
            let stored = told(durable.rows(&host, Resolution::TenSeconds, span.clone())).unwrap_or_default();
            rows += stored.len();
            self.hot.fill(&host, &stored);
        }
        tracing::info!(rows, "older rows are in memory");
    }

    /// Minutes that are durable and not in memory, in the form of points.
    fn older(&self, host: &str, resource: Resource, span: Range<UnixMs>) -> Vec<(UnixMs, f64)> {
        let minute_ms = self.hot.shape().step_ms.max(60_000);
        let stored = self
            .open()
            .and_then(|mut durable| told(durable.rows(host, Resolution::Minute, span)));
        let point = |row: StoredRow| Some((row.begin_ms + minute_ms, resource_value(&row.mean, resource)?));
        stored.into_iter().flatten().filter_map(point).collect()
    }

    fn open(&self) -> Option<Durable> {
        let database = self.durable.as_ref()?;
        told(Durable::open(database))
    }
}

/// Rows with the number of the first.
type Rows = (i64, Vec<[f32; Channel::COUNT]>);

/// Stored rows and behind them those from memory, unknown ones between; `None` of none.
fn joined(stored: &[StoredRow], recent: Option<Rows>, step_ms: i64) -> Option<Rows> {
    let recent = recent.filter(|(_, rows)| !rows.is_empty());
    let number = |row: &StoredRow| row.begin_ms.div_euclid(step_ms);
    let Some(first) = stored.first().map(number) else {
        return recent;
    };
    let mut rows = Vec::new();
    let mut put = |number: i64, values: &[[f32; Channel::COUNT]]| {
        // Stored rows of a grid that was finer may share a number: the first of them counts.
        if let Some(at) = usize::try_from(number - first).ok().filter(|&at| at >= rows.len()) {
            rows.resize(at, [f32::NAN; Channel::COUNT]);
            rows.extend_from_slice(values);
        }
    };
    for row in stored {
        put(number(row), &[row.mean]);
    }
    if let Some((begin, newest)) = recent {
        put(begin, &newest);
    }
    Some((first, rows))
}

fn told<T>(read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(|error| tracing::warn!(%error, "the stored past is left out"))
        .ok()
}

impl SeriesSource for Past {
    fn series(&self, host: &str, resource: Resource, since_ms: UnixMs) -> Option<Vec<(UnixMs, f64)>> {
        let recent = self.hot.points(host, resource, since_ms);
        let known_ms = recent.as_ref().map_or(UnixMs::MAX, |recent| recent.since_ms);
        let mut points = if since_ms < known_ms {
            self.older(host, resource, since_ms..known_ms)
        } else {
            Vec::new()
        };
        let known = recent.is_some() || !points.is_empty();
        points.extend(recent.into_iter().flat_map(|recent| recent.points));
        known.then_some(points)
    }

    fn recent(&self, host: &str, vantage: Vantage, metrics: &[&str], since_ms: UnixMs) -> Option<Columns> {
        let chains = self.hot.recent(host, vantage, since_ms)?;
        Some(columns::read(&chains, metrics, (since_ms, UnixMs::MAX)))
    }
}

impl fmt::Debug for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Past").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
