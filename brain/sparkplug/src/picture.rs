//! What there is to tell.

use std::borrow::Cow;

use shadow::UnixMs;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Picture {
    /// When.
    pub time_ms: UnixMs,
    /// Of the edge node itself.
    pub metrics: Vec<Metric>,
    /// What lives; who is not here is dead. In the order of their names, each once.
    pub devices: Vec<Device>,
}

/// One host.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// A topic level.
    pub name: String,
    /// Each name once.
    pub metrics: Vec<Metric>,
}

/// One figure or word.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Levels, separated by `/`.
    pub name: Cow<'static, str>,
    /// Unit of a number; empty where there is none.
    pub unit: &'static str,
    /// What it is.
    pub value: Value,
}

/// What a metric is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None` while it is not known. Told again when it has moved by more than a thousandth.
    Number(Option<f64>),
    /// Told again when it is another.
    Text(String),
    /// Likewise.
    Flag(bool),
}

impl Value {
    /// Whether somebody who knows `self` is to be told `newer`.
    pub(crate) fn is_old_against(&self, newer: &Self) -> bool {
        /// As a share of the larger one.
        const NOTICEABLE: f64 = 1e-3;
        match (self, newer) {
            (Self::Number(known), Self::Number(now)) => match (finite(*known), finite(*now)) {
                (Some(known), Some(now)) => (known - now).abs() > NOTICEABLE * known.abs().max(now.abs()),
                (known, now) => known.is_some() != now.is_some(),
            },
            (known, now) => known != now,
        }
    }

    /// Whether both are of one type.
    pub(crate) const fn is_like(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Number(_), Self::Number(_)) | (Self::Text(_), Self::Text(_)) | (Self::Flag(_), Self::Flag(_))
        )
    }
}

/// What is no number is not known.
pub(crate) fn finite(number: Option<f64>) -> Option<f64> {
    number.filter(|number| number.is_finite())
}

/// Whoever owns what there is to tell.
pub trait Source: Send + Sync {
    /// The newest picture.
    fn picture(&self) -> Picture;
}
