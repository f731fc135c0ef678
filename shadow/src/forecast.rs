//! Forecasts: quantiles of a resource at a horizon, and what they are worth.

use serde::{Deserialize, Serialize};

use crate::{Resource, UnixMs};

/// The quantiles that every forecast tells.
pub const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// The quantiles that are told of a peak: what allocation chooses from.
pub const PEAK_QUANTILES: [f64; 6] = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99];

/// Values at [`QUANTILES`], never falling, in the resource's unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// How high on the ladder a series stands: what its forecast is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// Little is known: the last value stays, with the fleet's errors around it.
    Last,
    /// A blend in which the past of the series itself counts most: an exponentially weighted average, or plain quantiles.
    Ewma,
    /// A blend in which the LSTM of the fleet counts most.
    Lstm,
}

/// What each expert counts in a blend: 0 to 1 each, together 1; all 0 where nothing was blended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Shares {
    /// The fleet's LSTM.
    pub lstm: f64,
    /// The exponentially weighted average with its errors.
    pub ewma: f64,
    /// Quantiles of the last hour.
    pub hour: f64,
    /// Quantiles of the last four hours.
    pub four_hours: f64,
    /// Quantiles of the last day.
    pub day: f64,
}

impl Shares {
    /// The names in views and tables, in the order of [`Shares::to_array`].
    pub const NAMES: [&'static str; 5] = ["lstm", "ewma", "hour", "four_hours", "day"];

    /// In the order of the fields.
    pub const fn to_array(self) -> [f64; 5] {
        [self.lstm, self.ewma, self.hour, self.four_hours, self.day]
    }

    /// From the order of the fields.
    pub const fn from_array([lstm, ewma, hour, four_hours, day]: [f64; 5]) -> Self {
        Self {
            lstm,
            ewma,
            hour,
            four_hours,
            day,
        }
    }
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

/// The highest value that is expected of one resource of one host within a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Peak {
    /// Of what.
    pub resource: Resource,
    /// The moment that it was made at: the newest value it knew, which is not of the time.
    pub made_ms: UnixMs,
    /// How long the time is, in seconds.
    pub hold_s: u32,
    /// At [`PEAK_QUANTILES`], never falling, in the resource's unit, calibrated. A longer time has no lower ones.
    pub quantiles: [f64; 6],
}

/// What is expected of one resource of one host at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Forecast {
    /// Of what.
    pub resource: Resource,
    /// The moment that it was made at: the newest value it knew.
    pub made_ms: UnixMs,
    /// How far ahead, in seconds.
    pub horizon_s: u32,
    /// What is expected, calibrated.
    pub quantiles: Quantiles,
    /// How high on the ladder it stands.
    pub rung: Rung,
    /// What each expert counted in it.
    #[serde(default)]
    pub shares: Shares,
    /// 1 - (its rolling pinball loss / the last value's); above 0 it is better. `None` before it was scored.
    pub skill: Option<f64>,
    /// Share of truths at or below the published p95 lately; ideally 0.95. `None` before it was scored.
    pub coverage: Option<f64>,
}
