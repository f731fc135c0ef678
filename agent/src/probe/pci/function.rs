//! One function, decoded from its configuration space. Pure.

use shadow::{
    PciDevice,
    birth::{Dpc, SrIov},
};

use super::{
    aer, chipset,
    config_space::{Capabilities, Header, Layout, Space},
    express::{Express, set_bits},
};

/// Error bits of the status register, 06h (PCI Express 5.0, 7.5.1.1.4).
const STATUS_ERRORS: [(u32, &str); 6] = [
    (8, "MasterDataParityErr"),
    (11, "SignaledTargetAbort"),
    (12, "ReceivedTargetAbort"),
    (13, "ReceivedMasterAbort"),
    (14, "SignaledSystemErr"),
    (15, "DetectedParityErr"),
];

/// The same bits of the bus behind a bridge (PCI Express 5.0, 7.5.1.3.7).
const SECONDARY_ERRORS: [(u32, &str); 6] = [
    (8, "SecondaryMasterDataParityErr"),
    (11, "SecondarySignaledTargetAbort"),
    (12, "SecondaryReceivedTargetAbort"),
    (13, "SecondaryReceivedMasterAbort"),
    (14, "SecondaryReceivedSystemErr"),
    (15, "SecondaryDetectedParityErr"),
];

/// What triggered downstream port containment, status b2:1 (PCI Express 5.0, 7.9.15.4).
const DPC_REASONS: [&str; 4] = ["unmasked uncorrectable error", "ERR_NONFATAL", "ERR_FATAL", "extended"];

/// What does not go into an inventory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    /// Whether more than the header could be read.
    pub(super) whole: bool,
    pub(super) express: Option<Express>,
}

/// Writes what its configuration space says into `device`.
///
/// `None` when the function does not answer: then `device` stays as it is.
pub(super) fn decode(space: &(impl Space + ?Sized), device: &mut PciDevice) -> Option<Found> {
    let header = Header::read(space)?;
    let at = Capabilities::find(space, &header);
    let express = at.express.and_then(|at| Express::read(space, at));
    let link = express.and_then(|express| express.link).unwrap_or_default();
    let power = at.power.and_then(|at| power_state(space, at));
    device.vendor = header.vendor;
    device.device = header.device;
    device.class = header.class;
    device.revision = Some(header.revision);
    device.subsystem = subsystem(space, &header, &at);
    power.unwrap_or_default().clone_into(&mut device.power_state);
    let port = express.map_or("", |express| express.port.as_str());
    port.clone_into(&mut device.port_type);
    device.link_speed_gts = link.speed_gts;
    device.link_width = link.width;
    device.link_speed_max_gts = link.speed_max_gts;
    device.link_width_max = link.width_max;
    device.aer = at.aer.map(|at| aer::registers(space, at));
    device.errors = errors(&header, express.as_ref(), device);
    device.dpc = at.dpc.and_then(|at| dpc(space, at));
    device.sriov = at.sriov.and_then(|at| sriov(space, at));
    device.registers = chipset::registers(space, &header);
    Some(Found {
        whole: space.dword(0x40).is_some(),
        express,
    })
}

fn errors(header: &Header, express: Option<&Express>, device: &PciDevice) -> Vec<String> {
    let status = set_bits(header.status.into(), &STATUS_ERRORS);
    let secondary = set_bits(header.secondary_status.unwrap_or(0).into(), &SECONDARY_ERRORS);
    let express = express.into_iter().flat_map(Express::errors);
    let advanced = device.aer.iter().flat_map(aer::raised);
    let mut names: Vec<String> = Vec::new();
    // `UnsupReq` is in the device's status and in the advanced one.
    for name in status.chain(secondary).chain(express).chain(advanced) {
        if names.iter().all(|known| known != name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Header, or the capability 0Dh of a bridge (PCI-to-PCI Bridge 1.2, 3.2.5.13).
fn subsystem(space: &(impl Space + ?Sized), header: &Header, at: &Capabilities) -> Option<(u16, u16)> {
    let at = match header.layout {
        Layout::Endpoint => 0x2c,
        Layout::CardBus => 0x40,
        Layout::Bridge => at.subsystem? + 4,
        Layout::Other => return None,
    };
    let vendor = space.word(at).filter(|&vendor| vendor != 0 && vendor != 0xffff)?;
    Some((vendor, space.word(at + 2)?))
}

/// PCI Power Management 1.2, 3.2.4.
fn power_state(space: &(impl Space + ?Sized), at: u16) -> Option<&'static str> {
    let states = ["D0", "D1", "D2", "D3hot"];
    states.get(usize::from(space.word(at + 4)? & 3)).copied()
}

fn dpc(space: &(impl Space + ?Sized), at: u16) -> Option<Dpc> {
    let (control, status) = (space.word(at + 0x06)?, space.word(at + 0x08)?);
    let triggered = status & 1 != 0;
    let reason = DPC_REASONS.get(usize::from(status >> 1 & 3)).copied();
    Some(Dpc {
        enabled: control & 3 != 0,
        triggered,
        reason: reason.filter(|_| triggered).unwrap_or_default().to_owned(),
    })
}

fn sriov(space: &(impl Space + ?Sized), at: u16) -> Option<SrIov> {
    let enabled = space.word(at + 0x08)? & 1 != 0;
    Some(SrIov {
        total_vfs: space.word(at + 0x0e)?,
        vfs: if enabled { space.word(at + 0x10)? } else { 0 },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::pci::fixture::Dump;

    fn decoded(dump: &Dump) -> PciDevice {
        let mut device = PciDevice::default();
        decode(dump.bytes(), &mut device).unwrap();
        device
    }

    #[test]
    fn a_port_tells_its_state_errors_and_containment() {
        let port = Dump::endpoint()
            .word(0x06, 0x4010)
            .word(0x0e, 0x0001)
            .word(0x1e, 0x2000)
            .standard(0x40, 0x01, 0x50)
            .word(0x44, 0x000b)
            .standard(0x50, 0x10, 0x90)
            .word(0x52, 0x0062)
            .standard(0x90, 0x0d, 0)
            .dword(0x94, 0x1234_1028)
            .extended(0x100, 0x001d, 0)
            .word(0x106, 0x0001)
            .word(0x108, 0x0005);
        let device = decoded(&port);
        assert_eq!(device.power_state, "D3hot");
        assert_eq!(device.port_type, "downstream port");
        assert_eq!(device.subsystem, Some((0x1028, 0x1234)));
        assert_eq!(device.errors, ["SignaledSystemErr", "SecondaryReceivedMasterAbort"]);
        let contained = Dpc {
            enabled: true,
            triggered: true,
            reason: "ERR_FATAL".to_owned(),
        };
        assert_eq!(device.dpc, Some(contained));
    }

    #[test]
    fn virtual_functions_are_counted_when_they_are_on() {
        let dump = |control| {
            Dump::endpoint()
                .standard(0x40, 0x10, 0)
                .extended(0x100, 0x0010, 0)
                .word(0x108, control)
                .word(0x10e, 64)
                .word(0x110, 8)
        };
        let vfs = |control| decoded(&dump(control)).sriov.map(|sriov| (sriov.total_vfs, sriov.vfs));
        assert_eq!(vfs(0), Some((64, 0)));
        assert_eq!(vfs(1), Some((64, 8)));
    }

    #[test]
    fn an_ordinary_user_sees_the_header() {
        let mut device = PciDevice::default();
        let dump = Dump::endpoint().standard(0x40, 0x01, 0);
        let found = decode(&dump.bytes()[..64], &mut device).unwrap();
        assert!(!found.whole);
        assert_eq!(
            (device.vendor, device.device, device.class),
            (0x8086, 0x1572, 0x02_0000)
        );
        assert_eq!((device.revision, device.subsystem), (Some(2), Some((0x8086, 7))));
        assert_eq!(device.power_state, "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..4_096)) {
            decode(&*bytes, &mut PciDevice::default());
        }
    }
}
