//! The brain's read model: an immutable picture taken after every round, for the page, the API and the views.
//!
//! Readers hold an `Arc<Snapshot>` from a `watch` channel and never block the engine. History is not in
//! it: it is asked for through [`SeriesSource`].

use std::sync::Arc;

use anomaly::{Incident, Signal};
use serde::{Serialize, Serializer};
use shadow::{Birth, Command, Forecast, Outcome, Peak, Resource, UnixMs, Vantage};
use utoipa::ToSchema;

mod plan;
mod scores;

pub use self::{
    plan::{HeldStep, PlanView, RequestView, SumView},
    scores::{LossView, QualityView, ScoreView, ScoresView},
};
use crate::{allocate::proposals::Proposal, dispatch::Freeze, store::memory::columns::Columns};

/// How far ahead the page looks for a peak, in seconds.
const PEAK_S: u32 = 900;

/// Everything a person may want to see at once.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Snapshot {
    /// When it was taken (virtual time in a lab).
    pub time_ms: UnixMs,
    /// The cell that this brain rules.
    pub cell: String,
    /// `recommend-only`, `recommend` where each change waits for approval, `acting` where commands are carried out, or `frozen`.
    pub mode: String,
    /// Who has frozen the cell, and why.
    pub freeze: Option<Freeze>,
    /// All hosts ever seen, by name.
    pub hosts: Vec<HostView>,
    /// The LSTM in service, or in training.
    pub model: ModelView,
    /// What can be given, by host and resource, then of the cell as a whole where it has limits.
    pub pool: Vec<PoolView>,
    /// Newest first, at most some hundred.
    #[serde(serialize_with = "shared")]
    #[schema(value_type = Vec<CommandView>)]
    pub commands: Arc<Vec<CommandView>>,
    /// Newest first, at most some hundred.
    pub anomalies: Vec<AnomalyView>,
    /// Newest first, at most some hundred.
    pub incidents: Vec<IncidentView>,
    /// Newest first, at most some hundred.
    #[serde(serialize_with = "shared")]
    #[schema(value_type = Vec<EventView>)]
    pub events: Arc<Vec<EventView>>,
    /// Needs that cannot be met, in words.
    pub unmet: Vec<String>,
    /// Counts since the brain started.
    pub totals: Totals,
    /// The newest plan; the page asks for it by itself.
    #[serde(skip)]
    pub plan: Option<Arc<PlanView>>,
    /// Proposals: those that are open, then those before, the newest first; the page asks for them by themselves.
    #[serde(skip)]
    pub proposals: Arc<Vec<Proposal>>,
    /// How good forecasts were lately and are in sum; the page asks for it by itself.
    #[serde(skip)]
    pub scores: Arc<ScoresView>,
}

fn shared<T: Serialize, S: Serializer>(list: &Arc<Vec<T>>, serializer: S) -> Result<S::Ok, S::Error> {
    list.as_slice().serialize(serializer)
}

/// Counts since the brain started.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Totals {
    /// Frames taken in, all hosts.
    pub frames: u64,
    /// Samples in them.
    pub samples: u64,
    /// Samples a second lately.
    pub samples_per_s: f64,
    /// Bytes of frame bodies.
    pub frame_bytes: u64,
    /// The same values as packed protobuf doubles: 8 bytes a value and 9 a sample.
    pub packed_bytes: u64,
    /// Frames refused, with no data lost to the store.
    pub refused: u64,
    /// Frames that came twice.
    pub duplicates: u64,
    /// Frames that are missing.
    pub missing: u64,
}

/// One host.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct HostView {
    /// Its name.
    pub name: String,
    /// `online`, `bmc only` (its BMC alone is heard), `stale` (frames have stopped) or `offline` (its agent is gone).
    pub state: String,
    /// When its newest sample was taken.
    pub last_sample_ms: UnixMs,
    /// Milliseconds between its newest two samples.
    pub interval_ms: u64,
    /// How far its clock is ahead of the brain's, in milliseconds, less the least delay of its frames: above 0 it is
    /// ahead at least so far, below 0 it is behind or its frames come late. `None` before its first frame.
    pub clock_offset_ms: Option<i64>,
    /// Version of its agent.
    pub agent_version: String,
    /// Kernel release, processor model and number of PCI functions, in a line.
    pub inventory: String,
    /// What its agent reads and whether it can.
    pub sources: Vec<SourceView>,
    /// The five resources, in the order of `Resource::ALL`.
    pub resources: Vec<ResourceView>,
    /// What resources are allocated to.
    pub workloads: Vec<WorkloadView>,
    /// What was reserved on it over time, since the brain started; the page asks for it with the host.
    #[serde(skip)]
    pub held: Arc<Vec<HeldStep>>,
    /// What its agents told of it last, in band first; the page asks for it by itself.
    #[serde(skip)]
    pub births: Vec<(Vantage, Arc<Birth>)>,
}

/// One source of an agent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SourceView {
    /// The probe's name.
    pub name: String,
    /// `works`, `absent`, `no permission` or `failed`.
    pub state: String,
    /// Why, or where it is read.
    pub reason: String,
}

/// One resource of one host.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ResourceView {
    /// Which.
    pub resource: Resource,
    /// `1`, `B/s` or `W`.
    pub unit: &'static str,
    /// The newest value; `None` when it is not measured.
    pub value: Option<f64>,
    /// Why it is not measured; empty when it is.
    pub absent: String,
    /// What the host has at most in the value's unit (1 for shares); `None` when not known.
    pub capacity: Option<f64>,
    /// By horizon, nearest first; empty while there is no history.
    pub forecasts: Vec<Forecast>,
    /// The highest value within a time, shortest first; empty where no network knows.
    pub peaks: Vec<Peak>,
}

impl ResourceView {
    /// The highest p95 that is forecast for the next 15 min, by all experts together: what a chart shows. The network's own
    /// word on the highest value is in `peaks`.
    pub fn peak(&self) -> Option<f64> {
        let near = self.forecasts.iter().filter(|forecast| forecast.horizon_s <= PEAK_S);
        near.map(|forecast| forecast.quantiles.p95).reduce(f64::max)
    }
}

/// One workload of one host.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WorkloadView {
    /// Its name.
    pub name: String,
    /// 0 to 100.
    pub criticality: u8,
    /// The policy class that rules it.
    pub class: String,
    /// Cores busy lately.
    pub cpu_cores: Option<f64>,
    /// Bytes in use.
    pub memory_bytes: Option<f64>,
    /// What is reserved for it (recommended, in recommend-only mode): cores.
    pub cpu_reserved: Option<f64>,
    /// What is reserved for it: bytes.
    pub memory_reserved: Option<f64>,
    /// Why what is reserved is not in force though the policy acts on this host, by resource; empty where nothing holds it back.
    pub held_back: String,
    /// Its own, of cpu in cores and of memory in bytes, by resource and horizon; empty while there are none.
    pub forecasts: Vec<Forecast>,
    /// The highest use within a time, likewise; empty where no network knows.
    pub peaks: Vec<Peak>,
}

/// One command with what came of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CommandView {
    /// What was asked.
    pub command: Command,
    /// What the agent answered; `None` while it has not.
    pub outcome: Option<Outcome>,
}

/// What was unusual on a host at a time, by all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IncidentView {
    /// Where.
    pub host: String,
    /// When it began; with the host it names the incident.
    pub since_ms: UnixMs,
    /// When something unusual was last seen.
    pub until_ms: UnixMs,
    /// Whether it goes on.
    pub goes_on: bool,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// Of its rarest signal: -log10 of its chance.
    pub score: f64,
    /// The likely cause, in words.
    pub cause: String,
    /// What is unusual, the likely cause first.
    pub signals: Vec<Signal>,
    /// When somebody took notice.
    pub acknowledged_ms: Option<UnixMs>,
    /// Who, by their own word.
    pub acknowledged_by: Option<String>,
}

impl IncidentView {
    /// As people and the API are told it.
    pub(crate) fn of(host: &str, incident: &Incident, goes_on: bool) -> Self {
        let acknowledged = incident.acknowledged.as_ref();
        Self {
            host: host.to_owned(),
            since_ms: incident.since_ms,
            until_ms: incident.until_ms,
            goes_on,
            severity: incident.severity().as_str(),
            score: incident.score(),
            cause: incident.cause().to_owned(),
            signals: incident.signals.clone(),
            acknowledged_ms: acknowledged.map(|acknowledged| acknowledged.time_ms),
            acknowledged_by: acknowledged.map(|acknowledged| acknowledged.by.clone()),
        }
    }
}

/// One anomaly.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AnomalyView {
    /// Where.
    pub host: String,
    /// Of what.
    pub resource: Resource,
    /// When it began.
    pub since_ms: UnixMs,
    /// When it was last seen; equal to the snapshot's time while it goes on.
    pub until_ms: UnixMs,
    /// How rare: -log10 of the chance of a residual as large.
    pub score: f64,
    /// What was seen and what was expected, in words.
    pub evidence: String,
}

/// One event: what a register, a log or a sensor told that is not a sample.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventView {
    /// Where.
    pub host: String,
    /// Who saw it: `inband` or `oob`.
    pub vantage: &'static str,
    /// When the agent saw it.
    pub time_ms: UnixMs,
    /// The probe: `pci`, `mce`, `bmc`, ...
    pub source: String,
    /// What it is about.
    pub subject: String,
    /// What kind of thing happened.
    pub kind: String,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// In words.
    pub text: String,
    /// Names and values as the source gives them.
    pub details: Vec<(String, String)>,
}

/// The LSTM.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct ModelView {
    /// `waiting` (too little history), `training`, `serving` or `failed`.
    pub state: String,
    /// Version of the artifact in service, or empty.
    pub version: String,
    /// When it was trained, or 0.
    pub trained_ms: UnixMs,
    /// Rows of history that are there, and that a first training needs.
    pub rows: u64,
    /// Rows of history that a first training needs.
    pub rows_needed: u64,
    /// Share of series by rung, in the order last, ewma, lstm.
    pub served: [f64; 3],
    /// What failed, or the scores on held-out rows, in a line.
    pub note: String,
    /// How far a training under way is; `None` while there is none, or while it reads the past.
    pub progress: Option<ProgressView>,
    /// How far it loses more than its own record; `None` without any.
    pub drift: Option<DriftView>,
}

/// How far the network has drifted, by the resource that has farthest.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DriftView {
    /// Of what.
    pub resource: Resource,
    /// By what it is told, in words.
    pub why: &'static str,
    /// From 1 on a retraining is asked for.
    pub score: f64,
    /// Whether it is asked for: until it has come, or the score has fallen to a half.
    pub asks: bool,
}

/// How far a training is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProgressView {
    /// What it counts: `moments`, `steps` or `held-out rows`, in this order.
    pub part: &'static str,
    /// How many of them are done.
    pub done: u64,
    /// Of how many, above 0.
    pub of: u64,
    /// The loss of the newest batch, while it fits.
    pub loss: Option<f32>,
}

/// What one host, or the cell, has of one resource, in cores, bytes, bytes/s or watts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PoolView {
    /// The host; `None` is the cell, whose limits bound all hosts together.
    pub host: Option<String>,
    /// Of what.
    pub resource: Resource,
    /// What can be given at most.
    pub capacity: f64,
    /// What is reserved by workloads.
    pub reserved: f64,
    /// What of that may be taken back: held, and not asked for.
    pub reclaimable: f64,
    /// What was taken back, and may still be held until its agents have answered.
    pub coming: f64,
    /// What of what is reserved is for open proposals.
    pub proposed: f64,
    /// What is not reserved.
    pub free: f64,
    /// Requests that wait.
    pub queued: u32,
}

/// Read access to history, while the engine goes on. It may block, as long as a database takes.
pub trait SeriesSource: Send + Sync {
    /// Values of one resource of one host since `since_ms`, oldest first, one a grid step or a minute, gaps left out:
    /// `(unix ms, value in the resource's unit)`. `None` when nothing is known of the host.
    fn series(&self, host: &str, resource: Resource, since_ms: UnixMs) -> Option<Vec<(UnixMs, f64)>>;

    /// Values of metrics of one host at full rate, as seen from `vantage`, since `since_ms` as far as frames are kept in
    /// memory. `None` when none is kept of the host.
    fn recent(&self, host: &str, vantage: Vantage, metrics: &[&str], since_ms: UnixMs) -> Option<Columns>;
}
