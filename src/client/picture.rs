//! What a page tells of a cell and of a host, as far as a terminal shows it. Fields that a brain tells beside are passed over.

use serde::{Deserialize, Serialize};
use shadow::{Command, Forecast, Outcome, Resource, UnixMs};

/// The cell at a glance: `/api/v1/fleet`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Fleet {
    /// When the picture was taken.
    pub(crate) time_ms: UnixMs,
    /// How long ago it came, in milliseconds; 0 of a brain that does not tell.
    #[serde(default)]
    pub(crate) age_ms: u64,
    pub(crate) cell: String,
    /// `recommend-only`, `recommend`, `acting` or `frozen`.
    pub(crate) mode: String,
    pub(crate) freeze: Option<Freeze>,
    pub(crate) hosts: HostCounts,
    pub(crate) incidents: IncidentCounts,
    pub(crate) model: Model,
    pub(crate) totals: Totals,
    /// Requests that wait for the pool.
    pub(crate) queued: u64,
    /// Proposals that wait for somebody's word.
    #[serde(default)]
    pub(crate) proposals: u64,
    /// Needs that cannot be met, in words.
    pub(crate) unmet: Vec<String>,
}

/// How many hosts are in which state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct HostCounts {
    pub(crate) all: usize,
    pub(crate) online: usize,
    pub(crate) bmc_only: usize,
    pub(crate) stale: usize,
    pub(crate) offline: usize,
}

/// How many incidents go on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct IncidentCounts {
    pub(crate) open: usize,
    pub(crate) critical: usize,
    pub(crate) warning: usize,
    /// Of which nobody has taken notice.
    pub(crate) unnoticed: usize,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Freeze {
    pub(crate) by: String,
    pub(crate) reason: String,
}

/// Some hosts, in an order: `/api/v1/hosts`.
#[expect(clippy::struct_field_names, reason = "the fields are the API's names")]
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Rows {
    pub(crate) time_ms: UnixMs,
    /// How many match what was searched for.
    pub(crate) matching: usize,
    /// Position of the first row among them.
    pub(crate) offset: usize,
    pub(crate) rows: Vec<Row>,
}

/// One host in a line.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// `online`, `bmc only`, `stale` or `offline`.
    pub(crate) state: String,
    pub(crate) last_sample_ms: UnixMs,
    /// Incidents that go on.
    pub(crate) incidents: usize,
    /// In the order of [`shadow::Resource::ALL`].
    pub(crate) resources: Vec<Gauge>,
}

/// One resource of a host in a line, in its unit; a share of the whole for cpu and memory.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Gauge {
    pub(crate) value: Option<f64>,
    pub(crate) capacity: Option<f64>,
    /// The highest p95 that is forecast for the next 15 min.
    pub(crate) peak: Option<f64>,
}

/// The newest of a kind, newest first: `/api/v1/incidents`, `/api/v1/commands`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Newest<T> {
    pub(crate) rows: Vec<T>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Model {
    /// `waiting`, `training`, `serving` or `failed`.
    pub(crate) state: String,
    pub(crate) version: String,
    pub(crate) rows: u64,
    pub(crate) rows_needed: u64,
    /// Share of series by rung, in the order last, ewma, lstm.
    pub(crate) served: [f64; 3],
    pub(crate) note: String,
    pub(crate) progress: Option<Progress>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Progress {
    pub(crate) part: String,
    pub(crate) done: u64,
    pub(crate) of: u64,
}

/// Counts since the brain started.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Totals {
    pub(crate) samples_per_s: f64,
    pub(crate) frame_bytes: u64,
    pub(crate) packed_bytes: u64,
    pub(crate) missing: u64,
}

/// A command with what came of it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Issued {
    pub(crate) command: Command,
    pub(crate) outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Incident {
    pub(crate) host: String,
    pub(crate) since_ms: UnixMs,
    pub(crate) goes_on: bool,
    /// `info`, `warning` or `critical`.
    pub(crate) severity: String,
    pub(crate) cause: String,
    pub(crate) acknowledged_ms: Option<UnixMs>,
}

/// One host with what belongs to it: `/api/v1/hosts/{host}`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HostDetail {
    pub(crate) time_ms: UnixMs,
    /// As that of [`Fleet`].
    #[serde(default)]
    pub(crate) age_ms: u64,
    pub(crate) host: Host,
    pub(crate) commands: Vec<Issued>,
    pub(crate) incidents: Vec<Incident>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) last_sample_ms: UnixMs,
    pub(crate) interval_ms: u64,
    pub(crate) inventory: String,
    pub(crate) resources: Vec<ResourceView>,
    pub(crate) workloads: Vec<Workload>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ResourceView {
    pub(crate) resource: Resource,
    pub(crate) value: Option<f64>,
    /// Why it is not measured; empty when it is.
    pub(crate) absent: String,
    pub(crate) capacity: Option<f64>,
    /// By horizon, nearest first.
    pub(crate) forecasts: Vec<Forecast>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) criticality: u8,
    pub(crate) class: String,
    pub(crate) cpu_cores: Option<f64>,
    pub(crate) memory_bytes: Option<f64>,
    pub(crate) cpu_reserved: Option<f64>,
    pub(crate) memory_reserved: Option<f64>,
}

/// Recent values of one resource: `/api/v1/hosts/{host}/series`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Series {
    pub(crate) since_ms: UnixMs,
    pub(crate) until_ms: UnixMs,
    /// Oldest first, gaps left out.
    pub(crate) points: Vec<(UnixMs, f64)>,
}
