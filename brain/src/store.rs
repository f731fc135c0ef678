//! What is durable, and what a store can do.
//!
//! A [`Batch`] is everything that came since the last one. It becomes durable in one transaction, or not at
//! all: a watermark is in the same transaction as the frames that it covers.

use std::future::Future;

use shadow::{Frame, UnixMs};

pub mod archive;
pub mod backup;
mod batch;
mod comments;
mod error;
mod figures;
pub(crate) mod flush;
mod folder;
pub(crate) mod memory;
pub(crate) mod meta;
mod migrations;
pub(crate) mod reader;
mod recovered;
pub(crate) mod sqlite;
pub(crate) mod start;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod timescale;

pub(crate) use batch::{AnomalyRow, Batch, FrameId, ModelRow, Rollup, Stream, WorkloadMinute};
pub use batch::{PlanRow, SavingRow};
pub use error::StoreError;
pub(crate) use recovered::{Recovered, StoredAnomaly, StoredBook, StoredIncident, StoredRow, WorkloadMinutes};
pub(crate) use sqlite::Sqlite;
pub(crate) use timescale::Timescale;

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
