//! The Express capability: kind of port, errors that the device has seen, its link. Pure.
//!
//! Source: PCI Express 5.0, 7.5.3.

use super::config_space::Space;

/// Rates by their code in link registers, from 1 on, in GT/s (PCI Express 6.0, 7.5.3.18).
const SPEEDS_GTS: [f64; 6] = [2.5, 5.0, 8.0, 16.0, 32.0, 64.0];

/// Error bits of the device status register.
const DEVICE_ERRORS: [(u32, &str); 4] = [(0, "CorrErr"), (1, "NonFatalErr"), (2, "FatalErr"), (3, "UnsupReq")];

/// What the Express capability says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Express {
    pub(super) port: Port,
    /// Device status, +0Ah.
    pub(super) device_status: u16,
    /// `None` where the function has no link of its own.
    pub(super) link: Option<Link>,
}

/// Kind of function, +02h b7:4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Endpoint,
    LegacyEndpoint,
    Root,
    Upstream,
    Downstream,
    ToPciBridge,
    FromPciBridge,
    IntegratedEndpoint,
    EventCollector,
    Other,
}

/// A link as one of its ends sees it. `None` is a code that no specification has, or a link that is down.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Link {
    /// Link capabilities, +0Ch: GT/s and lanes.
    pub(super) speed_max_gts: Option<f64>,
    pub(super) width_max: Option<u32>,
    /// Link status, +12h.
    pub(super) speed_gts: Option<f64>,
    pub(super) width: Option<u32>,
    /// Link control 2, +30h: what software has asked for.
    pub(super) target_gts: Option<f64>,
}

impl Express {
    pub(super) fn read(space: &(impl Space + ?Sized), at: u16) -> Option<Self> {
        let flags = space.word(at + 0x02)?;
        let port = Port::of(flags >> 4 & 0xf);
        Some(Self {
            port,
            device_status: space.word(at + 0x0a)?,
            link: if port.has_link() {
                Link::read(space, at, flags & 0xf)
            } else {
                None
            },
        })
    }

    /// Names of the errors that the device has seen since they were last cleared.
    pub(super) fn errors(&self) -> impl Iterator<Item = &'static str> {
        set_bits(self.device_status.into(), &DEVICE_ERRORS)
    }
}

impl Port {
    const fn of(code: u16) -> Self {
        match code {
            0x0 => Self::Endpoint,
            0x1 => Self::LegacyEndpoint,
            0x4 => Self::Root,
            0x5 => Self::Upstream,
            0x6 => Self::Downstream,
            0x7 => Self::ToPciBridge,
            0x8 => Self::FromPciBridge,
            0x9 => Self::IntegratedEndpoint,
            0xa => Self::EventCollector,
            _ => Self::Other,
        }
    }

    /// The word for people.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::LegacyEndpoint => "legacy endpoint",
            Self::Root => "root port",
            Self::Upstream => "upstream port",
            Self::Downstream => "downstream port",
            Self::ToPciBridge => "bridge to PCI",
            Self::FromPciBridge => "bridge from PCI",
            Self::IntegratedEndpoint => "root complex endpoint",
            Self::EventCollector => "event collector",
            Self::Other => "other",
        }
    }

    const fn has_link(self) -> bool {
        !matches!(self, Self::IntegratedEndpoint | Self::EventCollector | Self::Other)
    }

    /// Whether it is the end of a link that is nearer to the processor.
    pub(super) const fn is_upper_end(self) -> bool {
        matches!(self, Self::Root | Self::Downstream | Self::FromPciBridge)
    }
}

impl Link {
    fn read(space: &(impl Space + ?Sized), at: u16, version: u16) -> Option<Self> {
        const REPORTS_ACTIVE: u32 = 1 << 20;
        const ACTIVE: u16 = 1 << 13;
        let capabilities = space.dword(at + 0x0c)?;
        let status = space.word(at + 0x12)?;
        let up = capabilities & REPORTS_ACTIVE == 0 || status & ACTIVE != 0;
        let target = if version >= 2 { space.word(at + 0x30) } else { None };
        Some(Self {
            speed_max_gts: speed_gts(capabilities & 0xf),
            width_max: width(capabilities >> 4 & 0x3f),
            speed_gts: speed_gts(u32::from(status) & 0xf).filter(|_| up),
            width: width(u32::from(status) >> 4 & 0x3f).filter(|_| up),
            target_gts: target.and_then(|word| speed_gts(u32::from(word) & 0xf)),
        })
    }
}

fn speed_gts(code: u32) -> Option<f64> {
    SPEEDS_GTS.get(usize::try_from(code.checked_sub(1)?).ok()?).copied()
}

fn width(lanes: u32) -> Option<u32> {
    (lanes > 0).then_some(lanes)
}

/// The names of those bits of `register` that are set.
pub(super) fn set_bits(register: u32, names: &'static [(u32, &'static str)]) -> impl Iterator<Item = &'static str> {
    let is_set = move |bit: u32| register >> bit & 1 != 0;
    names.iter().filter(move |(bit, _)| is_set(*bit)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::pci::fixture::Dump;

    const AT: u16 = 0x40;

    fn endpoint(status: u16) -> Dump {
        Dump::endpoint()
            .standard(0x40, 0x10, 0)
            .word(0x42, 0x0002)
            .word(0x4a, 0x0009)
            .dword(0x4c, 0x0040_0083)
            .word(0x52, status)
            .word(0x70, 0x0003)
    }

    fn read(dump: &Dump) -> Express {
        Express::read(dump.bytes(), AT).unwrap()
    }

    #[test]
    fn a_link_is_read_from_its_registers() {
        let express = read(&endpoint(0x1042));
        assert_eq!(express.port, Port::Endpoint);
        assert_eq!(express.errors().collect::<Vec<_>>(), ["CorrErr", "UnsupReq"]);
        let link = Link {
            speed_max_gts: Some(8.0),
            width_max: Some(8),
            speed_gts: Some(5.0),
            width: Some(4),
            target_gts: Some(8.0),
        };
        assert_eq!(express.link, Some(link));
    }

    #[test]
    fn a_link_that_is_down_or_not_there_has_no_speed() {
        let reporting = |status| endpoint(status).dword(0x4c, 0x0010_0083);
        assert_eq!(read(&reporting(0x1042)).link.unwrap().width, None);
        assert_eq!(read(&reporting(0x3042)).link.unwrap().width, Some(4));
        let unknown = Link {
            target_gts: Some(8.0),
            ..Link::default()
        };
        assert_eq!(read(&endpoint(0x0007).dword(0x4c, 0)).link, Some(unknown));
        let integrated = endpoint(0x1042).word(0x42, 0x0092);
        assert_eq!(read(&integrated).link, None);
        assert_eq!(Express::read(&endpoint(0).bytes()[..0x48], AT), None);
    }
}
