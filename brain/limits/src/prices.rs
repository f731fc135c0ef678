//! Prices that move until the fleet meets its targets: one multiplication an interval.

use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// The share of violations and changes asked for that is aimed at, so that they stay below it.
const AIM: f64 = 0.9;

/// How fast the price of a change moves.
const CHANGE_STEP: f64 = 0.01;

/// Intervals a day.
pub(crate) const A_DAY: f64 = 288.0;

/// What a price may be.
const VIOLATION: (f64, f64) = (0.05, 500.0);
const CHANGE: (f64, f64) = (1e-4, 20.0);

/// What the violations that are allowed cost together in the beginning: 8 each at a target of 1 %, 80 at one of 0.1 %. Prices come
/// to lie near that; from far off they would have to be learnt by violations.
const FIRST_VIOLATIONS: f64 = 0.08;
/// What a change costs in the beginning.
const FIRST_CHANGE: f64 = 0.3;

/// A fleet's prices, in intervals of a whole capacity's slack.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// Of an interval all of whose samples lie above the limit. Series that join begin with it.
    pub violation: f64,
    /// Of a move of a limit; 0 where changes are free.
    pub change: f64,
}

impl Prices {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            violation: (FIRST_VIOLATIONS / settings.violations).clamp(VIOLATION.0, VIOLATION.1),
            change: settings.changes_a_day.map_or(0.0, |_| FIRST_CHANGE),
        }
    }

    /// Whether both are numbers within their bounds.
    pub(crate) fn are_sound(&self) -> bool {
        is_of_violation(self.violation) && (0.0..=CHANGE.1).contains(&self.change)
    }

    /// Moves the price of a violation by the share of samples that were violated, and that of a change by how many a series
    /// made in the interval.
    pub(crate) fn learn(&mut self, settings: &Settings, violated: f64, changes: f64) {
        self.violation = moved(self.violation, settings, violated);
        self.change = match settings.changes_a_day {
            Some(budget) => {
                let first = if self.change > 0.0 { self.change } else { FIRST_CHANGE };
                let by = (CHANGE_STEP * (changes * A_DAY / (AIM * budget) - 1.0)).exp();
                (first * by).clamp(CHANGE.0, CHANGE.1)
            }
            None => 0.0,
        };
    }
}

/// Whether it can be the price of a violation.
pub(crate) fn is_of_violation(price: f64) -> bool {
    (VIOLATION.0..=VIOLATION.1).contains(&price)
}

/// A price of a violation after an interval in which so many samples were violated.
pub(crate) fn moved(price: f64, settings: &Settings, violated: f64) -> f64 {
    (price * (violated - AIM * settings.violations).exp()).clamp(VIOLATION.0, VIOLATION.1)
}
