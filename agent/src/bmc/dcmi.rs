//! Power of the whole machine (DCMI 1.5, 6.6). The group of its commands is `DCh`, repeated in each reply.

use super::{BmcError, bytes::Bytes};

/// The group extension that requests and replies begin with.
pub const GROUP: u8 = 0xdc;

/// The reply to Get Power Reading in the system's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerReading {
    /// Watts now.
    pub watts: u16,
    /// Least watts of the statistics' period.
    pub min_w: u16,
    /// Most watts of the statistics' period.
    pub max_w: u16,
    /// Mean watts of the statistics' period.
    pub average_w: u16,
    /// The statistics' period in milliseconds.
    pub period_ms: u32,
    /// Whether power is being measured; where it is not, the watts say nothing.
    pub active: bool,
}

impl PowerReading {
    /// Reads a reply behind its completion code.
    ///
    /// # Errors
    /// [`BmcError::Malformed`] when it is too short or of another group.
    pub fn parse(reply: &[u8]) -> Result<Self, BmcError> {
        let reply = group(reply, "DCMI Get Power Reading")?;
        Ok(Self {
            watts: reply.u16(1)?,
            min_w: reply.u16(3)?,
            max_w: reply.u16(5)?,
            average_w: reply.u16(7)?,
            period_ms: reply.u32(13)?,
            active: reply.u8(17)? & 0x40 != 0,
        })
    }
}

/// The reply to Get Power Limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerLimit {
    /// Whether it is being enforced.
    pub active: bool,
    /// What happens when it is exceeded for too long: 0 nothing, 1 power off, 11h an entry in the SEL.
    pub action: u8,
    /// Watts.
    pub watts: u16,
    /// Time in milliseconds within which the BMC brings power below it.
    pub correction_ms: u32,
    /// Period in seconds over which power is averaged for it.
    pub period_s: u16,
}

impl PowerLimit {
    /// Completion code of a limit that is set, but not active; the reply goes on as if it were.
    pub const INACTIVE: u8 = 0x80;

    /// Reads a reply: its completion code, 0 or [`Self::INACTIVE`], and what follows.
    ///
    /// # Errors
    /// [`BmcError::Refused`] with another code, [`BmcError::Malformed`] when it is too short or of another group.
    pub fn parse(code: u8, reply: &[u8]) -> Result<Self, BmcError> {
        if code != 0 && code != Self::INACTIVE {
            return Err(BmcError::Refused(code));
        }
        let reply = group(reply, "DCMI Get Power Limit")?;
        Ok(Self {
            active: code == 0,
            action: reply.u8(3)?,
            watts: reply.u16(4)?,
            correction_ms: reply.u32(6)?,
            period_s: reply.u16(12)?,
        })
    }
}

/// Whether a limit that is set is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// What a BMC does when a limit is exceeded for too long. To switch the host off is none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// Nothing.
    Ignored,
    /// An entry in the event log.
    Logged,
}

impl Exceeded {
    const fn code(self) -> u8 {
        match self {
            Self::Ignored => 0x00,
            Self::Logged => 0x11,
        }
    }
}

/// A limit that can be set without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SafeLimit {
    /// Watts.
    pub watts: u16,
    /// What happens past it.
    pub exceeded: Exceeded,
    /// As [`PowerLimit::correction_ms`].
    pub correction_ms: u32,
    /// As [`PowerLimit::period_s`].
    pub period_s: u16,
}

impl SafeLimit {
    /// The data of a request that sets it (DCMI 1.5, 6.6.3).
    pub fn request(&self) -> Vec<u8> {
        let mut data = vec![GROUP, 0, 0, 0, self.exceeded.code()];
        data.extend(self.watts.to_le_bytes());
        data.extend(self.correction_ms.to_le_bytes());
        data.extend([0, 0]);
        data.extend(self.period_s.to_le_bytes());
        data
    }
}

impl PowerLimit {
    /// The same as what can be set; `None` for one that switches the host off, or does what is not known here.
    pub fn to_safe(self) -> Option<SafeLimit> {
        let exceeded = match self.action {
            0x00 => Exceeded::Ignored,
            0x11 => Exceeded::Logged,
            _ => return None,
        };
        Some(SafeLimit {
            watts: self.watts,
            exceeded,
            correction_ms: self.correction_ms,
            period_s: self.period_s,
        })
    }
}

fn group<'a>(reply: &'a [u8], what: &'static str) -> Result<Bytes<'a>, BmcError> {
    let reply = Bytes::new(reply, what);
    if reply.u8(0)? == GROUP {
        Ok(reply)
    } else {
        Err(BmcError::Malformed(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_read_with_its_statistics() {
        let reply = [0xdc, 232, 0, 180, 0, 0x9a, 1, 225, 0, 1, 2, 3, 4, 0xe8, 3, 0, 0, 0x40];
        let expected = PowerReading {
            watts: 232,
            min_w: 180,
            max_w: 410,
            average_w: 225,
            period_ms: 1_000,
            active: true,
        };
        assert_eq!(PowerReading::parse(&reply), Ok(expected));
        for length in 0..reply.len() {
            assert!(PowerReading::parse(&reply[..length]).is_err(), "{length}");
        }
        assert!(PowerReading::parse(&[0; 18]).is_err(), "another group");
    }

    #[test]
    fn no_limit_that_is_set_switches_a_host_off() {
        let mut limit = PowerLimit {
            active: true,
            action: 0x11,
            watts: 300,
            correction_ms: 1_000,
            period_s: 5,
        };
        let expected = [0xdc, 0, 0, 0, 0x11, 0x2c, 1, 0xe8, 3, 0, 0, 0, 0, 5, 0];
        assert_eq!(limit.to_safe().unwrap().request(), expected);
        for action in (0..=0xff).filter(|action| ![0x00, 0x11].contains(action)) {
            limit.action = action;
            assert_eq!(limit.to_safe(), None, "{action}");
        }
        limit.action = 0;
        assert_eq!(limit.to_safe().unwrap().request()[4], 0);
    }

    #[test]
    fn a_limit_that_is_not_active_is_still_told() {
        let reply = [0xdc, 0, 0, 0x11, 0x2c, 1, 0xe8, 3, 0, 0, 0, 0, 5, 0];
        let limit = PowerLimit::parse(PowerLimit::INACTIVE, &reply).unwrap();
        assert_eq!((limit.active, limit.watts, limit.action), (false, 300, 0x11));
        assert_eq!((limit.correction_ms, limit.period_s), (1_000, 5));
        assert!(PowerLimit::parse(0, &reply).unwrap().active);
        assert_eq!(PowerLimit::parse(0xc1, &[]), Err(BmcError::Refused(0xc1)));
        assert!(PowerLimit::parse(0, &reply[..13]).is_err());
    }
}
