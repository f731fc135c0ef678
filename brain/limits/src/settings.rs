//! What a fleet is held to.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a fleet is held to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Share of samples that may lie above their limit, above 0 and below 1.
    pub violations: f64,
    /// Changes of a limit a day and series, mean over the fleet; `None` is free.
    pub changes_a_day: Option<f64>,
    /// How much of its price of a violation a series makes by its own violations, 0 (one price for the fleet) to 1.
    pub own: f64,
    /// How many violations an excess of the whole capacity counts for, 0 or more.
    pub excess: f64,
    /// Whether the agent raises a limit that is reached within the interval.
    pub reacts: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            violations: 0.01,
            changes_a_day: Some(40.0),
            own: 0.1,
            excess: 0.0,
            reacts: false,
        }
    }
}

/// A setting out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("{name} = {value}: must be {range}")]
pub struct Fault {
    /// Which.
    pub name: &'static str,
    /// What it is.
    pub value: f64,
    /// What it may be.
    pub range: &'static str,
}

impl Settings {
    /// These settings, if each is within its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn checked(self) -> Result<Self, Fault> {
        let changes = self.changes_a_day.unwrap_or(1.0);
        let checks = [
            (
                "violations",
                self.violations,
                self.violations > 0.0 && self.violations < 1.0,
                "above 0 and below 1",
            ),
            (
                "changes_a_day",
                changes,
                changes > 0.0 && changes.is_finite(),
                "above 0",
            ),
            ("own", self.own, (0.0..=1.0).contains(&self.own), "0 to 1"),
            (
                "excess",
                self.excess,
                (0.0..=1e6).contains(&self.excess),
                "0 to 1000000",
            ),
        ];
        let fault = checks.into_iter().find(|(_, _, holds, _)| !holds);
        match fault {
            Some((name, value, _, range)) => Err(Fault { name, value, range }),
            None => Ok(self),
        }
    }
}
