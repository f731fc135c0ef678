//! Readings: a value, or why there is none. Unread is not zero.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::UnixMs;

/// Why a reading has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The host does not have it (any more).
    Absent,
    /// Reading it failed.
    Failed,
    /// Its source did not answer in time; an older value is not repeated.
    Stale,
}

/// One value of one metric, or why there is none.
///
/// Eight bytes: a missing reading is a NaN with its reason in the payload, so that a column of
/// readings is a column of `f64` to whoever only asks for values.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Reading(f64);

const ABSENT: u64 = 0x7ff8_0000_0000_0001;
const FAILED: u64 = 0x7ff8_0000_0000_0002;
const STALE: u64 = 0x7ff8_0000_0000_0003;

impl Reading {
    /// The host does not have it.
    pub const ABSENT: Self = Self(f64::from_bits(ABSENT));
    /// Reading it failed.
    pub const FAILED: Self = Self(f64::from_bits(FAILED));
    /// Its source did not answer in time.
    pub const STALE: Self = Self(f64::from_bits(STALE));

    /// A value; one that is not finite is a failed reading.
    pub fn new(value: f64) -> Self {
        if value.is_finite() { Self(value) } else { Self::FAILED }
    }

    /// A value that is known to be finite, or will be seen not to be.
    pub(crate) const fn of(value: f64) -> Self {
        Self(value)
    }

    /// The value, if there is one.
    pub fn value(self) -> Option<f64> {
        (!self.0.is_nan()).then_some(self.0)
    }

    /// The value, or NaN.
    pub const fn or_nan(self) -> f64 {
        self.0
    }

    /// Why there is no value; `None` when there is one.
    pub fn missing(self) -> Option<Missing> {
        match self.0.to_bits() {
            ABSENT => Some(Missing::Absent),
            STALE => Some(Missing::Stale),
            _ if self.0.is_nan() => Some(Missing::Failed),
            _ => None,
        }
    }
}

impl Missing {
    /// The word for people and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Failed => "failed",
            Self::Stale => "stale",
        }
    }
}

impl Serialize for Reading {
    /// The value, or the word that tells why there is none.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.missing() {
            None => serializer.serialize_f64(self.0),
            Some(why) => serializer.serialize_str(why.as_str()),
        }
    }
}

impl From<Missing> for Reading {
    fn from(why: Missing) -> Self {
        match why {
            Missing::Absent => Self::ABSENT,
            Missing::Failed => Self::FAILED,
            Missing::Stale => Self::STALE,
        }
    }
}

impl PartialEq for Reading {
    fn eq(&self, other: &Self) -> bool {
        self.missing() == other.missing() && (self.0.is_nan() || self.0 == other.0)
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.missing() {
            None => self.0.fmt(f),
            Some(why) => why.fmt(f),
        }
    }
}

/// The readings of a host at one moment, in the column order of its catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was read.
    pub time_ms: UnixMs,
    /// One reading a metric.
    pub readings: Vec<Reading>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_readings_keep_their_reason() {
        for why in [Missing::Absent, Missing::Failed, Missing::Stale] {
            let reading = Reading::from(why);
            assert_eq!(reading.missing(), Some(why));
            assert_eq!(reading.value(), None);
        }
        assert_eq!(Reading::new(f64::NAN).missing(), Some(Missing::Failed));
        assert_eq!(Reading::new(f64::INFINITY).missing(), Some(Missing::Failed));
        assert_eq!(Reading::new(1.5).value(), Some(1.5));
    }
}
