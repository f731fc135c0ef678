//! Forecasts: quantiles of a resource at a horizon, and what they are worth.

use serde::{Deserialize, Serialize};

use crate::{Resource, UnixMs};

/// The quantiles that every forecast tells.
pub const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// Values at [`QUANTILES`], never falling, in the resource's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// Nine in ten values are at or below.
    pub p90: f64,
    /// Nineteen in twenty values are at or below.
    pub p95: f64,
    /// Ninety-nine in a hundred values are at or below.
    pub p99: f64,
}

impl Quantiles {
    /// In the order of [`QUANTILES`].
    pub const fn to_array(self) -> [f64; 4] {
        [self.p50, self.p90, self.p95, self.p99]
    }

    /// From the order of [`QUANTILES`], made rising and not below 0.
    pub fn from_array(values: [f64; 4]) -> Self {
        let mut high = 0.0_f64;
        let [p50, p90, p95, p99] = values.map(|value| {
            high = high.max(value);
            high
        });
        Self { p50, p90, p95, p99 }
    }
}

/// Which step of the ladder made a forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// The last value stays.
    Last,
    /// An exponentially weighted average of the past stays.
    Ewma,
    /// The fleet's LSTM.
    Lstm,
}

impl Rung {
    /// All rungs, lowest first.
    pub const ALL: [Self; 3] = [Self::Last, Self::Ewma, Self::Lstm];

    /// The word in views, tables and the page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Ewma => "ewma",
            Self::Lstm => "lstm",
        }
    }

    /// Position in [`Rung::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What is expected of one resource of one host at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Of what.
    pub resource: Resource,
    /// The moment that it was made at: the newest value it knew.
    pub made_ms: UnixMs,
    /// How far ahead, in seconds.
    pub horizon_s: u32,
    /// What is expected, calibrated.
    pub quantiles: Quantiles,
    /// Which step of the ladder made it.
    pub rung: Rung,
    /// 1 - (its rolling pinball loss / the last value's); above 0 it is better. `None` before it was scored.
    pub skill: Option<f64>,
    /// Share of truths at or below the published p95 lately; ideally 0.95. `None` before it was scored.
    pub coverage: Option<f64>,
}
