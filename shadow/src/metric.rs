//! Which quantities exist, in which unit, and how far their values on the wire may be off.

use std::collections::HashMap;

use serde::{Serialize, Serializer};

use crate::Channel;

/// The most metrics that a catalogue may hold.
pub const MAX_METRICS: usize = 10_000;

/// How values are put on the wire, and so how far they may be off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Multiples of `step`: off by at most half a step. A whole number with step 1 comes back exactly.
    Absolute {
        /// Distance of two neighbouring values, greater than 0.
        step: f64,
    },
    /// Off by at most `ratio` of the value, and by at most `ratio * floor` below `floor`.
    Relative {
        /// Largest relative error, greater than 0 and less than 1.
        ratio: f64,
        /// The value below which errors are no longer relative, greater than 0.
        floor: f64,
    },
}

impl Bound {
    /// The largest error that `value` may come back with.
    pub fn max_error(self, value: f64) -> f64 {
        match self {
            Self::Absolute { step } => step / 2.0,
            Self::Relative { ratio, floor } => ratio * value.abs().max(floor),
        }
    }

    /// Whether its numbers are finite and in range.
    pub fn is_valid(self) -> bool {
        match self {
            Self::Absolute { step } => step.is_finite() && step > 0.0,
            Self::Relative { ratio, floor } => ratio > 0.0 && ratio < 1.0 && floor.is_finite() && floor > 0.0,
        }
    }
}

/// What the values of a metric are made of, so that exact ones take few bits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grain {
    /// Whole multiples of `unit`, bit for bit `n as f64 * unit`.
    Gauge {
        /// Greater than 0.
        unit: f64,
    },
    /// Whole counts of `unit` divided by time, bit for bit as [`crate::rate::per_second`] does it.
    Rate {
        /// Greater than 0.
        unit: f64,
    },
}

impl Grain {
    /// Whether its unit is finite and in range.
    pub fn is_valid(self) -> bool {
        let (Self::Gauge { unit } | Self::Rate { unit }) = self;
        unit.is_finite() && unit > 0.0
    }
}

/// One quantity that is sampled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// Dotted, stable, unique in its catalogue: `cpu.0.user`, `network.eth0.rx_bytes`, `workload.web.cpu`.
    pub name: String,
    /// UCUM-like: `1` (a share), `By`, `By/s`, `1/s`, `W`, `Cel`, `{core}`.
    pub unit: String,
    /// How far its values may be off.
    pub bound: Bound,
    /// Whether its short peaks matter: each second's maximum comes back exactly.
    pub key: bool,
    /// Whether each second's minimum comes back exactly as well.
    pub minimum: bool,
    /// What its values are made of, if that is known.
    pub grain: Option<Grain>,
}

impl Metric {
    /// A share, 0 to 1 (or more where a reading is over its capacity), within a quarter of a point.
    pub fn share(name: impl Into<String>) -> Self {
        Self::new(name, "1", Bound::Absolute { step: 0.005 })
    }

    /// A rate of change, within 1 %; below `floor` within 1 % of `floor`.
    pub fn rate(name: impl Into<String>, unit: &str, floor: f64) -> Self {
        Self::new(name, unit, Bound::Relative { ratio: 0.01, floor })
    }

    /// Any metric that is not key.
    pub fn new(name: impl Into<String>, unit: &str, bound: Bound) -> Self {
        Self {
            name: name.into(),
            unit: unit.to_owned(),
            bound,
            key: false,
            minimum: false,
            grain: None,
        }
    }

    /// The same metric, marked as one whose short peaks matter.
    #[must_use]
    pub fn key(self) -> Self {
        Self { key: true, ..self }
    }

    /// The same metric, marked as one whose short troughs matter too.
    #[must_use]
    pub fn minimum(self) -> Self {
        Self { minimum: true, ..self }
    }

    /// The same metric, made of `grain`.
    #[must_use]
    pub fn grain(self, grain: Grain) -> Self {
        Self {
            grain: Some(grain),
            ..self
        }
    }
}

/// The metrics of one epoch in column order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalogue {
    metrics: Vec<Metric>,
    columns: HashMap<String, usize>,
}

impl Catalogue {
    /// A catalogue of `metrics` in this order. Of two metrics with one name the first is found by name.
    pub fn new(metrics: Vec<Metric>) -> Self {
        let mut columns = HashMap::with_capacity(metrics.len());
        for (column, metric) in metrics.iter().enumerate() {
            columns.entry(metric.name.clone()).or_insert(column);
        }
        Self { metrics, columns }
    }

    /// The catalogue of a host of which only the channels are known, as replayed traces are.
    pub fn of_channels(channels: &[Channel]) -> Self {
        Self::new(channels.iter().map(|&c| channel_metric(c)).collect())
    }

    /// The metrics in column order.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// How many columns a frame has.
    pub fn len(&self) -> usize {
        self.metrics.len()
    }

    /// Whether there is no metric at all.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty()
    }

    /// The column of the metric called `name`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.get(name).copied()
    }

    /// The column of each channel, `None` where this host does not have it.
    pub fn channel_columns(&self) -> [Option<usize>; Channel::COUNT] {
        Channel::ALL.map(|channel| self.column(channel.metric()))
    }
}

impl Serialize for Catalogue {
    /// A list of the metrics.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.metrics.serialize(serializer)
    }
}

/// The metric that carries `channel`.
pub fn channel_metric(channel: Channel) -> Metric {
    let name = channel.metric();
    let (metric, grain) = match channel {
        Channel::Cpu => (Metric::share(name), Grain::Gauge { unit: 1e-6 }),
        Channel::Memory => {
            let metric = Metric::new(name, "1", Bound::Absolute { step: 0.001 });
            (metric, Grain::Gauge { unit: 1e-6 })
        }
        Channel::NetworkRx | Channel::NetworkTx => (Metric::rate(name, "By/s", 100.0), Grain::Rate { unit: 1.0 }),
        // The kernel counts sectors.
        Channel::DiskRead | Channel::DiskWrite => (Metric::rate(name, "By/s", 100.0), Grain::Rate { unit: 512.0 }),
        Channel::Power => {
            let metric = Metric::new(name, "W", Bound::Absolute { step: 0.1 });
            (metric, Grain::Gauge { unit: 1e-3 })
        }
    };
    metric.key().grain(grain)
}
