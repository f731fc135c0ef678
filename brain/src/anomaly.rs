//! Anomalies: values outside their calibrated forecast, with a score, evidence and one alarm an incident.

use serde::{Deserialize, Serialize};
use shadow::{Forecast, UnixMs};

/// How readily alarms are raised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// False alarms that are accepted of one resource of one host in a week, above 0.
    pub false_alarms_per_week: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            false_alarms_per_week: 1.0,
        }
    }
}

/// A value that came, with the forecast that was made for its moment.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// When it came.
    pub time_ms: UnixMs,
    /// What came, in the resource's unit.
    pub value: f64,
    /// What was expected of this moment.
    pub forecast: &'a Forecast,
    /// The series' usual spread when the forecast was made, in the resource's unit.
    pub scale: f64,
}

/// What an incident does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It began.
    Began,
    /// It has become clearly rarer than what was told of it.
    Escalated,
    /// It goes on as it was told.
    Continues,
    /// It is over.
    Ended,
}

/// An incident of one resource of one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What it does.
    pub phase: Phase,
    /// When it began.
    pub since_ms: UnixMs,
    /// The last moment that belongs to it.
    pub until_ms: UnixMs,
    /// The rarest that was seen in it: -log10 of the chance of a residual as large.
    pub score: f64,
    /// What was seen at its rarest and what was expected, in words.
    pub evidence: String,
}

/// Watches one horizon of one resource of one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    config: Config,
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Takes in the next value, and tells what it means for the incident that it belongs to; `None` without one.
    pub fn observe(&mut self, _observation: &Observation<'_>) -> Option<Anomaly> {
        None
    }
}
