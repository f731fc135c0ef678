//! What is durable, and what a store can do.
//!
//! A [`Batch`] is everything that came since the last one. It becomes durable in one transaction, or not at
//! all: a watermark is in the same transaction as the frames that it covers.

use std::{collections::BTreeMap, future::Future, io, path::PathBuf, sync::Arc};

use anomaly::Incident;
use serde::Serialize;
use shadow::{Birth, Command, Event, Forecast, Frame, Hole, Outcome, Resource, UnixMs, Vantage};
use thiserror::Error;
use utoipa::ToSchema;

pub mod archive;
pub mod backup;
mod comments;
mod figures;
pub(crate) mod flush;
mod folder;
pub(crate) mod memory;
pub(crate) mod meta;
mod migrations;
pub(crate) mod reader;
pub(crate) mod sqlite;
pub(crate) mod start;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod timescale;

pub(crate) use sqlite::Sqlite;
pub(crate) use timescale::Timescale;

use crate::{allocate::proposals::Proposal, ingest::RangeSet};

/// Where frames come from: one agent's view of one host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stream {
    /// The host.
    pub(crate) host: Arc<str>,
    /// From where it is seen.
    pub(crate) vantage: Vantage,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FrameId {
    /// From where.
    pub(crate) stream: Stream,
    /// Of its agent.
    pub(crate) epoch: u64,
    /// Of the epoch.
    pub(crate) sequence: u64,
}

/// One host in one row of the grid or one minute, in the order of [`shadow::Channel::ALL`]; NaN where nothing was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rollup {
    /// How much time the row spans, in milliseconds.
    pub(crate) step_ms: i64,
    /// Share of the row that samples tell of, 0 to 1.
    pub(crate) coverage: f32,
    /// Means over time.
    pub(crate) mean: [f32; 7],
    /// Largest samples.
    pub(crate) max: [f32; 7],
    /// Smallest samples.
    pub(crate) min: [f32; 7],
    /// Newest samples.
    pub(crate) last: [f32; 7],
    /// What values are above for a twentieth of the time: see [`crate::grid`].
    pub(crate) p95: [f32; 7],
}

/// What a workload used in a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WorkloadMinute {
    /// Share of it that is known, 0 to 1.
    pub(crate) coverage: f32,
    /// Cores busy and bytes in use, on average; NaN where not read.
    pub(crate) uses: [f32; 2],
}

/// What came since the last batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    /// Newest sample of each host that told something.
    pub(crate) hosts: BTreeMap<Arc<str>, UnixMs>,
    /// Births, before the frames that are read with them.
    pub(crate) births: Vec<(Stream, Arc<Birth>)>,
    /// Frames as they came.
    pub(crate) frames: Vec<(Stream, Frame)>,
    /// Events as they came.
    pub(crate) events: Vec<(Stream, Event)>,
    /// What agents have lost for good, and when the brain heard of it.
    pub(crate) holes: Vec<(Stream, Hole, UnixMs)>,
    /// What is durable of each epoch once this batch is.
    pub(crate) watermarks: BTreeMap<(Stream, u64), RangeSet>,
    /// Rows of the grid by host and begin.
    pub(crate) rollups: BTreeMap<(Arc<str>, UnixMs), Rollup>,
    /// Minutes, or rows of the grid where these are longer, by host and begin.
    pub(crate) minutes: BTreeMap<(Arc<str>, UnixMs), Rollup>,
    /// Minutes of workloads by host, workload and begin.
    pub(crate) workloads: BTreeMap<(Arc<str>, String, UnixMs), WorkloadMinute>,
    /// Forecasts by host.
    pub(crate) forecasts: Vec<(Arc<str>, Forecast)>,
    /// Forecasts of workloads by host and workload, in cores and bytes.
    pub(crate) workload_forecasts: Vec<(Arc<str>, String, Forecast)>,
    /// Anomalies by host, resource and begin.
    pub(crate) anomalies: BTreeMap<(Arc<str>, Resource, UnixMs), AnomalyRow>,
    /// Incidents by host and begin, and whether they go on.
    pub(crate) incidents: BTreeMap<(Arc<str>, UnixMs), (Incident, bool)>,
    /// What the detectors of hosts have learnt, and until when.
    pub(crate) detectors: BTreeMap<Arc<str>, (UnixMs, Vec<u8>)>,
    /// What books have learnt by host and resource, and until when.
    pub(crate) books: BTreeMap<(String, Resource), (UnixMs, Vec<u8>)>,
    /// Commands.
    pub(crate) commands: Vec<Command>,
    /// Outcomes.
    pub(crate) outcomes: Vec<Outcome>,
    /// Proposals by id, as they stand now.
    pub(crate) proposals: BTreeMap<String, Proposal>,
    /// Plans.
    pub(crate) plans: Vec<PlanRow>,
    /// What was held and used, by host, begin of the day and resource.
    pub(crate) savings: BTreeMap<(String, UnixMs, Resource), SavingRow>,
    /// Models.
    pub(crate) models: Vec<ModelRow>,
    /// Single values.
    pub(crate) meta: BTreeMap<&'static str, String>,
}

/// One anomaly, as far as its key does not say it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AnomalyRow {
    /// When it was last seen.
    pub(crate) until_ms: UnixMs,
    /// -log10 of its chance.
    pub(crate) score: f64,
    /// In words.
    pub(crate) evidence: String,
}

/// One round of planning.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct PlanRow {
    /// When.
    pub time_ms: UnixMs,
    /// `recommend-only`, `recommend`, `acting` or `frozen`.
    pub mode: String,
    /// Hosts that were planned for.
    pub hosts: u64,
    /// Reservations that were raised, or made for the first time.
    pub raised: u64,
    /// Reservations that were lowered.
    pub lowered: u64,
    /// Changes that were only recommended.
    pub told: u64,
    /// Changes that the cell could still have made in this minute.
    pub changes_left: u64,
    /// Requests that wait for the pool.
    pub queued: u64,
    /// Reservations that were pushed below what they ask for.
    pub throttled: u64,
    /// Needs that could not be met.
    pub unmet: u64,
    /// Spare hosts that were asked to wake.
    pub wakes: u64,
    /// Commands since the round before that told again what is to stay.
    pub renewed: u64,
    /// Accounts of the cell, and sums of those of its hosts, as JSON.
    pub pool: String,
    /// The first requests in line, as JSON.
    pub queue: String,
    /// What lacks and why, a line each.
    pub words: String,
}

/// What was held and used on a host in a day, as one brain has seen it: sums over time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct SavingRow {
    /// The brain's issuer epoch.
    pub issuer_epoch: u64,
    /// What was reserved, in unit seconds.
    pub held: f64,
    /// What was used, in unit seconds.
    pub used: f64,
    /// What the highest reservations of seven days would have held more, in unit seconds.
    pub given_back: f64,
    /// How long both were known, in seconds of all reservations together.
    pub watched_s: f64,
    /// How long of that more was used than was reserved.
    pub over_s: f64,
    /// How long of that an agent really held it.
    pub acted_s: f64,
    /// Changes of reservations.
    pub changes: u64,
    /// Lowerings that hurt.
    pub hurts: u64,
}

/// One trained artifact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelRow {
    /// Its version, and the name of its folder.
    pub(crate) version: String,
    /// When its training began.
    pub(crate) trained_ms: UnixMs,
    /// Rows of history that it was trained on.
    pub(crate) rows: u64,
    /// How long the training took, in milliseconds of real time.
    pub(crate) took_ms: u64,
    /// Its scores, in a line.
    pub(crate) note: String,
}

impl Batch {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
            && self.births.is_empty()
            && self.holes.is_empty()
            && self.watermarks.is_empty()
            && self.rollups.is_empty()
            && self.minutes.is_empty()
            && self.workloads.is_empty()
            && self.forecasts.is_empty()
            && self.workload_forecasts.is_empty()
            && self.anomalies.is_empty()
            && self.incidents.is_empty()
            && self.detectors.is_empty()
            && self.books.is_empty()
            && self.commands.is_empty()
            && self.outcomes.is_empty()
            && self.proposals.is_empty()
            && self.plans.is_empty()
            && self.savings.is_empty()
            && self.models.is_empty()
            && self.meta.is_empty()
    }
}

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

/// From when on history is read back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    /// Rows of the grid.
    pub(crate) rollups_ms: UnixMs,
    /// The most of these, of all hosts together: of many hosts only the newest are read, so that a start takes seconds.
    pub(crate) rows: i64,
    /// Width of one.
    pub(crate) step_ms: i64,
    /// Events, commands and anomalies.
    pub(crate) events_ms: UnixMs,
}

/// Everything older is deleted: unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cutoffs {
    /// The time of the call: hours before it are over.
    pub(crate) now: UnixMs,
    /// Frames, watermarks, and births that no frame needs and that tell nothing new.
    pub(crate) frames: UnixMs,
    /// Rows of the grid.
    pub(crate) rollup_10s: UnixMs,
    /// Rows of a minute.
    pub(crate) rollup_1m: UnixMs,
    /// Rows of an hour.
    pub(crate) rollup_1h: UnixMs,
    /// Forecasts.
    pub(crate) forecasts: UnixMs,
    /// Events, anomalies, commands, outcomes, proposals, models, births.
    pub(crate) events: UnixMs,
}

/// Who makes rows of an hour out of those of a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hours {
    /// The brain, with the minutes.
    Ours,
    /// The database itself.
    Theirs,
}

/// A durable store. One task owns it.
pub(crate) trait Store: Send + 'static {
    /// Makes `batch` durable, as a whole or not at all. Writing a batch twice is writing it once.
    fn write(&mut self, batch: &Batch) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes what is older than the cutoffs, a bounded number of rows a call; tells whether more is left.
    fn prune(&mut self, cutoffs: &Cutoffs) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Reads what a restarted brain goes on with.
    fn recover(&mut self, since: Since) -> impl Future<Output = Result<Recovered, StoreError>> + Send;

    /// Reads those of the frames that it has, and what they are read against: each after its reference.
    fn find(&mut self, wanted: &[FrameId]) -> impl Future<Output = Result<Vec<(Stream, Frame)>, StoreError>> + Send;

    /// Closes it, so that the folder can be copied or opened by another.
    fn close(self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What can be wrong with a store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error("data folder {folder}: {source}; it must be there or creatable, and writable for this user")]
    Folder {
        /// Its path.
        folder: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another brain runs on the folder or on the database.
    #[error("{0}: another brain uses it; stop that one or choose another")]
    InUse(String),
    /// The database was written by a newer version.
    #[error(
        "{database}: its schema has version {found}, this brain knows {known}; use a newer foreshadow or another database"
    )]
    Newer {
        /// Its file, or where it is reached.
        database: String,
        /// Version found.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// The schema could not be brought up to date, or lacks what it needs.
    #[error("{database}: {reason}")]
    Schema {
        /// Its file, or where it is reached.
        database: String,
        /// What is wrong.
        reason: String,
    },
    /// After a connection was lost, the database is not as this brain has left it.
    #[error(
        "{0}: the last batch that this brain has made durable is not the last one there: a standby took over that lacked \
         it, an older copy was restored, or another brain wrote meanwhile; start the brain again, and it goes on from \
         what is there"
    )]
    Changed(String),
    /// Busy, locked, full, or away: later it may work.
    #[error("{database}: {reason}")]
    Busy {
        /// Its file, or where it is reached.
        database: String,
        /// The database's answer.
        reason: String,
    },
    /// Anything else that the database answers.
    #[error("{database}: {reason}")]
    Database {
        /// Its file, or where it is reached.
        database: String,
        /// The database's answer.
        reason: String,
    },
}

impl StoreError {
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}
