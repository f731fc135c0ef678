//! Who the BMC is, and what state its chassis is in.

use super::{BmcError, bytes::Bytes};

/// The reply to Get Device ID (IPMI 2.0, 20.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceId {
    /// IANA enterprise number of the manufacturer; 20 bits.
    pub manufacturer: u32,
    /// The manufacturer's number of the product.
    pub product: u16,
    /// Major and minor revision of the firmware: `2.19`.
    pub firmware: String,
    /// Version of IPMI that it speaks: `2.0`.
    pub ipmi: String,
}

impl DeviceId {
    /// Reads a reply behind its completion code.
    ///
    /// # Errors
    /// [`BmcError::Malformed`] when it is too short.
    pub fn parse(reply: &[u8]) -> Result<Self, BmcError> {
        let reply = Bytes::new(reply, "Get Device ID");
        let ipmi = reply.u8(4)?;
        let [low, middle, high] = reply.array(6)?;
        Ok(Self {
            // The minor revision is in BCD: written in hexadecimal it reads right.
            firmware: format!("{}.{:02x}", reply.u8(2)? & 0x7f, reply.u8(3)?),
            // The lower digit stands first (BCD, 51h for 1.5).
            ipmi: format!("{}.{}", ipmi & 0x0f, ipmi >> 4),
            manufacturer: u32::from_le_bytes([low, middle, high & 0x0f, 0]),
            product: reply.u16(9)?,
        })
    }
}

/// The name of a manufacturer of servers or BMCs by its IANA enterprise number; empty for others.
pub fn manufacturer(enterprise: u32) -> &'static str {
    match enterprise {
        2 => "IBM",
        11 | 47_196 => "HPE",
        42 => "Sun",
        343 => "Intel",
        674 => "Dell",
        4_753 => "MontaVista",
        5_771 => "Cisco",
        6_876 => "VMware",
        7_244 => "Quanta",
        10_368 => "Fujitsu",
        10_876 => "Supermicro",
        15_370 => "GIGABYTE",
        19_046 => "Lenovo",
        2_011 => "Huawei",
        20_974 => "American Megatrends",
        40_092 => "Wiwynn",
        40_981 => "Facebook",
        45_065 => "Inspur",
        47_488 => "Bull",
        49_622 => "OpenPOWER",
        49_769 => "YADRO",
        _ => "",
    }
}

/// The reply to Get Chassis Status (IPMI 2.0, 28.2), as far as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chassis {
    /// Bits of the current power state: 0 on, 1 overload, 2 interlock, 3 power fault, 4 control fault.
    pub power: u8,
    /// Bits of the rest: 0 intrusion, 1 front panel locked, 2 drive fault, 3 cooling fault.
    pub misc: u8,
}

impl Chassis {
    /// What the bits of `power` and then of `misc` are called; an empty name is not told.
    const NAMES: [(&str, bool); 9] = [
        ("power on", false),
        ("power overload", true),
        ("power interlock", true),
        ("main power fault", true),
        ("power control fault", true),
        ("chassis intrusion", true),
        ("front panel lockout", false),
        ("drive fault", true),
        ("cooling or fan fault", true),
    ];

    /// Reads a reply behind its completion code.
    ///
    /// # Errors
    /// [`BmcError::Malformed`] when it is too short.
    pub fn parse(reply: &[u8]) -> Result<Self, BmcError> {
        let reply = Bytes::new(reply, "Get Chassis Status");
        Ok(Self {
            power: reply.u8(0)? & 0x1f,
            misc: reply.u8(2)? & 0x0f,
        })
    }

    /// Whether the system's power is on.
    pub const fn is_on(self) -> bool {
        self.power & 1 == 1
    }

    /// Every state with its name, whether it is a fault, and whether it holds.
    pub fn states(self) -> impl Iterator<Item = (&'static str, bool, bool)> {
        let bits = u16::from(self.power) | u16::from(self.misc) << 5;
        let named = Self::NAMES.into_iter().enumerate();
        named.map(move |(bit, (name, fault))| (name, fault, bits >> bit & 1 == 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_tells_who_it_is() {
        let reply = [
            0x23, 0x01, 0x02, 0x19, 0x02, 0x9f, 0x91, 0x12, 0x00, 0x02, 0x0f, 0, 0, 0, 0,
        ];
        let device = DeviceId::parse(&reply).unwrap();
        assert_eq!((device.manufacturer, device.product), (4_753, 0x0f02));
        assert_eq!((&*device.firmware, &*device.ipmi), ("2.19", "2.0"));
        assert_eq!(manufacturer(device.manufacturer), "MontaVista");
        for length in 0..11 {
            assert!(DeviceId::parse(&reply[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_chassis_names_what_holds() {
        let chassis = Chassis::parse(&[0b0110_1001, 0, 0b0101_0100]).unwrap();
        let holds: Vec<_> = chassis
            .states()
            .filter(|(_, _, holds)| *holds)
            .map(|(name, ..)| name)
            .collect();
        assert_eq!(holds, ["power on", "main power fault", "drive fault"]);
        assert!(chassis.is_on());
        assert!(Chassis::parse(&[1, 0]).is_err());
    }
}
