//! What a restarted brain reads back.

use std::{collections::BTreeMap, sync::Arc};

use anomaly::Incident;
use shadow::{Birth, Command, Event, Frame, Outcome, Resource, UnixMs};

use super::{AnomalyRow, Stream};
use crate::ingest::RangeSet;

/// An anomaly with its host, its resource and when it began.
pub(crate) type StoredAnomaly = (Arc<str>, Resource, UnixMs, AnomalyRow);

/// An incident with its host, and whether it goes on.
pub(crate) type StoredIncident = (Arc<str>, Incident, bool);

/// What the books of a host's resource had learnt.
pub(crate) type StoredBook = (String, Resource, Vec<u8>);

/// Cores and bytes of minutes by host and workload, each with its begin, oldest first; NaN where not read.
pub(crate) type WorkloadMinutes = BTreeMap<(Arc<str>, String), Vec<(UnixMs, [f32; 2])>>;

/// A row of the grid as far as it is read back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StoredRow {
    /// When it begins.
    pub(crate) begin_ms: UnixMs,
    /// Share of it that samples tell of, 0 to 1.
    pub(crate) coverage: f32,
    /// Means in the order of [`shadow::Channel::ALL`]; NaN where nothing was read.
    pub(crate) mean: [f32; 7],
}

/// What a restarted brain goes on with.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Newest sample by host.
    pub(crate) hosts: BTreeMap<Arc<str>, UnixMs>,
    /// Births, oldest first.
    pub(crate) births: Vec<(Stream, Birth)>,
    /// What is durable of each epoch.
    pub(crate) watermarks: BTreeMap<(Stream, u64), RangeSet>,
    /// From when on rows of the grid were read.
    pub(crate) rollups_since_ms: UnixMs,
    /// Rows of the grid since then, oldest first.
    pub(crate) rollups: BTreeMap<Arc<str>, Vec<StoredRow>>,
    /// Cores and bytes of workloads by host, workload and begin of the minute, since then, oldest first.
    pub(crate) workloads: WorkloadMinutes,
    /// What frames of `tail` are read against and is not among them, each after its own reference.
    pub(crate) references: Vec<(Stream, Frame)>,
    /// Frames that may hold samples past the rows of the grid.
    pub(crate) tail: Vec<(Stream, Frame)>,
    /// Newest commands with the newest answer of each, oldest first.
    pub(crate) commands: Vec<(Command, Option<Outcome>)>,
    /// Anomalies by host, resource and begin.
    pub(crate) anomalies: Vec<StoredAnomaly>,
    /// The newest incidents, oldest first.
    pub(crate) incidents: Vec<StoredIncident>,
    /// What the detectors of hosts had learnt, and until when.
    pub(crate) detectors: Vec<(Arc<str>, UnixMs, Vec<u8>)>,
    /// What books had learnt, by host and resource.
    pub(crate) books: Vec<StoredBook>,
    /// The newest events, oldest first.
    pub(crate) events: Vec<(Stream, Event)>,
    /// Whether any proposal has a row: before they had a table, single values alone held them.
    pub(crate) has_proposals: bool,
    /// Single values.
    pub(crate) meta: BTreeMap<String, String>,
}
