//! What was: series, forecasts, anomalies, commands and events out of the store, for commands, the API and exports.
//!
//! [`History`] reads a database without touching it, beside the brain that writes it. Every answer is bounded, in order,
//! and says whether there was more. What came in the last seconds is not durable yet, and so is not here.

use std::ops::Range;

use serde::Serialize;
use shadow::{Channel, Forecast, Resource, UnixMs};
use utoipa::ToSchema;

pub use self::{
    moment::{Moment, rfc3339},
    resolution::Resolution,
};
pub use crate::{
    snapshot::{AnomalyView, CommandView, EventView, IncidentView},
    store::{
        PlanRow as PlanView, SavingRow,
        reader::{Database, History},
    },
};

mod moment;
mod resolution;

/// The most rows of an answer.
pub const MAX_ROWS: usize = 100_000;

/// What a row of the grid, of a minute or of an hour tells of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// The mean over time.
    Mean,
    /// The largest sample.
    Max,
    /// The smallest sample.
    Min,
    /// The newest sample.
    Last,
    /// Nineteen in twenty samples are at or below, nearly.
    P95,
}

impl Figure {
    /// All figures.
    pub const ALL: [Self; 5] = [Self::Mean, Self::Max, Self::Min, Self::Last, Self::P95];

    /// What stands behind a channel's name.
    pub(crate) const fn ending(self) -> &'static str {
        match self {
            Self::Mean => "",
            Self::Max => "_max",
            Self::Min => "_min",
            Self::Last => "_last",
            Self::P95 => "_p95",
        }
    }
}

/// One figure of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Of what.
    pub channel: Channel,
    /// Which figure.
    pub figure: Figure,
}

impl Column {
    /// All figures of the channels of `resource`, or of every channel; channel by channel.
    pub fn of(resource: Option<Resource>) -> Vec<Self> {
        Self::each(resource, &Figure::ALL)
    }

    /// The means of the channels of `resource`, or of every channel.
    pub fn means(resource: Option<Resource>) -> Vec<Self> {
        Self::each(resource, &[Figure::Mean])
    }

    fn each(resource: Option<Resource>, figures: &[Figure]) -> Vec<Self> {
        let wanted = |channel: &Channel| resource.is_none_or(|resource| channel.resource() == resource);
        let channels = Channel::ALL.into_iter().filter(wanted);
        let figures = |channel| figures.iter().map(move |&figure| Self { channel, figure });
        channels.flat_map(figures).collect()
    }

    /// Its name with its unit: `cpu_share_max`, `network_rx_bytes_per_s`, `power_w`.
    pub fn name(self) -> String {
        let channel = match self.channel {
            Channel::Cpu => "cpu_share",
            Channel::Memory => "memory_share",
            Channel::NetworkRx => "network_rx_bytes_per_s",
            Channel::NetworkTx => "network_tx_bytes_per_s",
            Channel::DiskRead => "disk_read_bytes_per_s",
            Channel::DiskWrite => "disk_write_bytes_per_s",
            Channel::Power => "power_w",
        };
        format!("{channel}{}", self.figure.ending())
    }
}

/// Rows of one host in columns, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// What the columns are.
    pub columns: Vec<Column>,
    /// When each row begins.
    pub begin_ms: Vec<UnixMs>,
    /// Share of each row that samples tell of, 0 to 1.
    pub coverage: Vec<f32>,
    /// A column each; NaN where nothing is known.
    pub values: Vec<Vec<f32>>,
}

impl Rows {
    /// None yet.
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            begin_ms: Vec::new(),
            coverage: Vec::new(),
            values: vec![Vec::new(); columns.len()],
        }
    }

    /// Newest first to oldest first.
    pub(crate) fn reverse(&mut self) {
        self.begin_ms.reverse();
        self.coverage.reverse();
        self.values.iter_mut().for_each(|column| column.reverse());
    }

    /// Only the first `limit`.
    pub(crate) fn truncate(&mut self, limit: usize) {
        self.begin_ms.truncate(limit);
        self.coverage.truncate(limit);
        self.values.iter_mut().for_each(|column| column.truncate(limit));
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.begin_ms.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.begin_ms.is_empty()
    }

    /// The columns that tell something, with their values.
    pub fn known(&self) -> impl Iterator<Item = (Column, &[f32])> {
        let all = self.columns.iter().copied().zip(self.values.iter().map(Vec::as_slice));
        all.filter(|(_, values)| values.iter().any(|value| value.is_finite()))
    }
}

/// Rows of one host, and how they were chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What one row spans.
    pub resolution: Resolution,
    /// The newest rows, oldest first.
    pub rows: Rows,
    /// Whether older ones were left out.
    pub more: bool,
}

/// Which records are told: forecasts by when they were made, commands by when they were issued, events by when they
/// happened, anomalies by any of their time.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Of these hosts; of all where none is named.
    pub hosts: Vec<String>,
    /// Of this resource; events have none.
    pub resource: Option<Resource>,
    /// Of this time.
    pub within: Range<UnixMs>,
    /// At most so many, and at most [`MAX_ROWS`].
    pub limit: usize,
}

impl Filter {
    /// The bound.
    pub(crate) fn limit(&self) -> usize {
        self.limit.min(MAX_ROWS)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Told<T> {
    /// The newest records, oldest first.
    pub rows: Vec<T>,
    /// Whether older ones were left out.
    pub more: bool,
}

impl<T> Told<T> {
    /// Of records that were read newest first, one more than are wanted.
    pub(crate) fn newest(mut rows: Vec<T>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        rows.reverse();
        Self { rows, more }
    }
}

/// A host, and what its newest birth in band says of it (out of band where there is no other).
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HostRow {
    /// Its name.
    pub host: String,
    /// When the brain heard of it first.
    pub first_seen_ms: UnixMs,
    /// When its newest sample was taken.
    pub last_sample_ms: UnixMs,
    /// Version of its agent.
    pub agent_version: Option<String>,
    /// Its operating system.
    pub os: Option<String>,
    /// Its processor.
    pub cpu_model: Option<String>,
    /// How many cores it has.
    pub cpu_cores: Option<f64>,
    /// How much memory it has.
    pub memory_bytes: Option<f64>,
}

/// What was held and used on a host in a day, as one brain has seen it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SavingView {
    /// Of which host.
    pub host: String,
    /// Begin of the day, in UTC.
    pub day_ms: UnixMs,
    /// Of what.
    pub resource: Resource,
    /// How much.
    #[serde(flatten)]
    pub saved: SavingRow,
}

/// What a workload used in a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uses {
    /// Begin of the minute.
    pub begin_ms: UnixMs,
    /// Cores busy; `None` where not measured.
    pub cpu_cores: Option<f64>,
    /// Bytes in use; `None` where not measured.
    pub memory_bytes: Option<f64>,
}

/// A command with every answer to it, and what came after.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandStory {
    /// What was asked.
    pub command: shadow::Command,
    /// Every answer, oldest first.
    pub outcomes: Vec<shadow::Outcome>,
    /// Later commands for the same host, oldest first.
    pub later: Vec<shadow::Command>,
    /// What each of its changes' workloads used afterwards, minute by minute, in the order of the changes.
    pub uses: Vec<Vec<Uses>>,
}

/// A forecast with its host.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ForecastRow {
    /// Of which host.
    pub host: String,
    /// What was expected.
    #[serde(flatten)]
    pub forecast: Forecast,
}
