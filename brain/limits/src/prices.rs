//! Prices that move until the fleet meets its targets: one multiplication an interval.

use serde::{Deserialize, Serialize};

use crate::{books::KEEP, settings::Settings};

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
/// The pace of the price of a violation where books are full, which takes half a week.
const SLOWEST: f64 = 0.25;

/// What is left of own violations' part in the price after another interval: the half is forgotten in half a day ...
const KEEP_LATELY: f64 = KEEP * KEEP;

/// ... how much more than to the price for good they add to it, up to a half for an interval that is violated (what `own` adds
/// for good beyond a tenth is quick enough) ...
const LATELY: (f64, f64) = (5.0, 0.5);

/// ... and the most that it comes to: a price seven times as high.
const MOST_LATELY: f64 = 2.0;

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
    pub(crate) fn learn(&mut self, settings: &Settings, pace: f64, violated: f64, changes: f64) {
        self.violation = moved(self.violation, pace * off(settings, violated));
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

/// Whether own violations can have raised a price by that power of e.
pub(crate) fn is_lately(power: f64) -> bool {
    (0.0..=MOST_LATELY).contains(&power)
}

/// Whether it can be the price of a violation.
pub(crate) fn is_of_violation(price: f64) -> bool {
    (VIOLATION.0..=VIOLATION.1).contains(&price)
}

/// How far a share of violated samples is above what is aimed at.
pub(crate) fn off(settings: &Settings, violated: f64) -> f64 {
    violated - AIM * settings.violations
}

/// The power of e by which own violations raise the price for some hours, after another interval with a share of `violated`.
///
/// A price that only adds them up rises over days, while violations come in hours: it is too low in these and too high
/// afterwards. A part that fades answers at once.
pub(crate) fn lately(settings: &Settings, before: f64, violated: f64) -> f64 {
    let by = (LATELY.0 * settings.own).min(LATELY.1) * off(settings, violated);
    (before * KEEP_LATELY + by).clamp(0.0, MOST_LATELY)
}

/// A price of a violation, higher or lower by a power of e.
pub(crate) fn moved(price: f64, by: f64) -> f64 {
    (price * by.exp()).clamp(VIOLATION.0, VIOLATION.1)
}

/// How fast the price of a violation moves in a fleet whose books hold so many intervals, a mean over its series.
///
/// A price that moves costs slack by itself, for what is a fair price hardly changes. It has to be found first, though: so it
/// is quick in the beginning and slow later.
pub(crate) fn pace(booked: f64) -> f64 {
    1.0 - (1.0 - SLOWEST) * (booked * (1.0 - KEEP)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_violations_are_answered_at_once_and_by_half_half_a_day_later() {
        let after = |own: f64| {
            let settings = Settings {
                own,
                ..Settings::default()
            };
            let at_once = lately(&settings, 0.0, 1.0);
            let all = (0..99).fold(0.0, |before, _| lately(&settings, before, 1.0));
            assert!(all <= MOST_LATELY, "{all}");
            assert_eq!(lately(&settings, 0.0, 0.0), 0.0, "calm hours make nothing cheaper");
            let later = (0..144).fold(at_once, |before, _| {
                lately(&settings, before, AIM * settings.violations)
            });
            [at_once, later]
        };
        assert_eq!(after(0.0), [0.0, 0.0], "one price for the fleet");
        for own in [0.1, 1.0] {
            let [at_once, later] = after(own);
            assert!((at_once - 0.5 * 0.991).abs() < 1e-12, "{own}: {at_once}");
            assert!((later - at_once / 2.0).abs() < 1e-12, "{own}: {later}");
        }
        let [at_once, _] = after(0.02);
        assert!((at_once - 0.1 * 0.991).abs() < 1e-12, "{at_once}");
    }
}
