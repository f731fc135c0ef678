//! What a sensor tells when it is asked: a raw byte, states, thresholds (IPMI 2.0, 35.14 and 35.9).

use super::{BmcError, bytes::Bytes, factors::Factors};

/// The reply to Get Sensor Reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensorReading {
    /// The raw byte; `None` where it is not available, or the sensor is not being scanned.
    pub raw: Option<u8>,
    /// Bit n = state n holds. Of a threshold sensor, the bits of [`Threshold`].
    pub states: u16,
}

impl SensorReading {
    /// Reads a reply behind its completion code.
    ///
    /// # Errors
    /// [`BmcError::Malformed`] when it has fewer than two bytes. Some BMCs leave the states out.
    pub fn parse(reply: &[u8]) -> Result<Self, BmcError> {
        let reply = Bytes::new(reply, "Get Sensor Reading");
        let flags = reply.u8(1)?;
        // Bit 5: not available; bit 6: scanning is on.
        let available = flags & 0x60 == 0x40;
        let states = u16::from(reply.u8(2).unwrap_or(0)) | u16::from(reply.u8(3).unwrap_or(0) & 0x7f) << 8;
        Ok(Self {
            raw: available.then_some(reply.u8(0)?),
            states: if available { states } else { 0 },
        })
    }
}

/// A threshold of a sensor, in the order of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Threshold {
    /// Lower, non-critical.
    LowerNonCritical,
    /// Lower, critical.
    LowerCritical,
    /// Lower, non-recoverable.
    LowerNonRecoverable,
    /// Upper, non-critical.
    UpperNonCritical,
    /// Upper, critical.
    UpperCritical,
    /// Upper, non-recoverable.
    UpperNonRecoverable,
}

impl Threshold {
    /// In the order of bits.
    pub const ALL: [Self; 6] = [
        Self::LowerNonCritical,
        Self::LowerCritical,
        Self::LowerNonRecoverable,
        Self::UpperNonCritical,
        Self::UpperCritical,
        Self::UpperNonRecoverable,
    ];

    /// The words for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LowerNonCritical => "lower non-critical",
            Self::LowerCritical => "lower critical",
            Self::LowerNonRecoverable => "lower non-recoverable",
            Self::UpperNonCritical => "upper non-critical",
            Self::UpperCritical => "upper critical",
            Self::UpperNonRecoverable => "upper non-recoverable",
        }
    }

    /// Its bit in [`SensorReading::states`].
    pub const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// The worst that `states` hold: non-recoverable before critical before non-critical.
    pub fn worst(states: u16) -> Option<Self> {
        let order = [
            Self::UpperNonRecoverable,
            Self::LowerNonRecoverable,
            Self::UpperCritical,
            Self::LowerCritical,
            Self::UpperNonCritical,
            Self::LowerNonCritical,
        ];
        order.into_iter().find(|threshold| states & threshold.bit() != 0)
    }
}

/// The thresholds of a sensor, as raw bytes in the order of [`Threshold::ALL`]; `None` where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thresholds(pub [Option<u8>; 6]);

impl Thresholds {
    /// Reads the reply to Get Sensor Thresholds behind its completion code.
    ///
    /// # Errors
    /// [`BmcError::Malformed`] when it is shorter than seven bytes.
    pub fn parse(reply: &[u8]) -> Result<Self, BmcError> {
        let [readable, raw @ ..] = Bytes::new(reply, "Get Sensor Thresholds").array::<7>(0)?;
        let mut thresholds = raw.map(Some);
        for (bit, threshold) in thresholds.iter_mut().enumerate() {
            if readable >> bit & 1 == 0 {
                *threshold = None;
            }
        }
        Ok(Self(thresholds))
    }

    /// The value of `threshold` in the sensor's unit.
    pub fn value(&self, threshold: Threshold, factors: &Factors) -> Option<f64> {
        let raw = self.0.get(threshold as usize).copied().flatten()?;
        factors.value(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bmc::factors::{Format, Linearisation};

    #[test]
    fn what_is_not_available_is_no_zero() {
        let check = |reply: &[u8], raw, states| {
            assert_eq!(
                SensorReading::parse(reply),
                Ok(SensorReading { raw, states }),
                "{reply:x?}"
            );
        };
        check(&[45, 0xc0, 0xc8, 0x80], Some(45), 0x00c8);
        check(&[0, 0xc0, 0x01, 0x81], Some(0), 0x0101);
        check(&[0, 0xe0, 0x08, 0], None, 0);
        check(&[0, 0x80, 0x08, 0], None, 0);
        check(&[7, 0x40], Some(7), 0);
        assert!(SensorReading::parse(&[7]).is_err());
    }

    #[test]
    fn the_worst_threshold_is_told() {
        assert_eq!(Threshold::worst(0xc0), None);
        assert_eq!(Threshold::worst(0b00_1000), Some(Threshold::UpperNonCritical));
        assert_eq!(Threshold::worst(0b01_1000), Some(Threshold::UpperCritical));
        assert_eq!(Threshold::worst(0b00_0111), Some(Threshold::LowerNonRecoverable));
        for (bit, threshold) in Threshold::ALL.into_iter().enumerate() {
            assert_eq!(threshold.bit(), 1 << bit);
        }
    }

    #[test]
    fn thresholds_that_are_not_readable_are_none() {
        let thresholds = Thresholds::parse(&[0b01_1001, 5, 2, 0, 90, 100, 105]).unwrap();
        assert_eq!(thresholds.0, [Some(5), None, None, Some(90), Some(100), None]);
        let factors = Factors::parse(&[2, 0, 0, 0, 0, 0], Format::Unsigned, Linearisation::Linear).unwrap();
        assert_eq!(thresholds.value(Threshold::UpperCritical, &factors), Some(200.0));
        assert_eq!(thresholds.value(Threshold::LowerCritical, &factors), None);
        assert!(Thresholds::parse(&[0x3f, 1, 2, 3, 4, 5]).is_err());
    }
}
