//! Feedback: what came of earlier plans moves the margins of the next one. Pure and serialisable.

use serde::{Deserialize, Serialize};
use shadow::{Command, Outcome, Resource, UnixMs};

/// What was learnt of each reservation. It can be stored as JSON, and is empty in the beginning.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Feedback {}

impl Feedback {
    /// Takes in what an agent did with `command`.
    pub fn outcome(&mut self, _command: &Command, _outcome: &Outcome) {}

    /// Takes in what `workload` used of `resource` at `time_ms` while it held `reserved` (same unit).
    pub fn usage(&mut self, _time_ms: UnixMs, _key: &crate::allocate::Key, _used: f64, _reserved: f64) {}

    /// What is put on top of the class's margin, as a share of the forecast.
    pub fn margin(&self, _host: &str, _workload: &str, _resource: Resource) -> f64 {
        0.0
    }
}
