//! What becomes durable together, and the rows that it is made of.

use std::{collections::BTreeMap, sync::Arc};

use anomaly::Incident;
use serde::Serialize;
use shadow::{Birth, Command, Event, Forecast, Frame, Hole, Outcome, Resource, UnixMs, Vantage};
use utoipa::ToSchema;

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
