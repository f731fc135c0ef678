//! [`PciDevice`]s on the wire.

use schemas::v1;

use super::{CHECK, WireError, each};
use crate::{
    PciDevice,
    birth::{Aer, Dpc, Register, SrIov},
};

pub(super) fn pci_to_wire(device: &PciDevice) -> v1::PciDevice {
    v1::PciDevice {
        address: device.address.clone(),
        vendor: device.vendor.into(),
        device: device.device.into(),
        class: device.class,
        driver: device.driver.clone(),
        link_speed_gts: device.link_speed_gts.unwrap_or(0.0),
        link_width: device.link_width.unwrap_or(0),
        link_speed_max_gts: device.link_speed_max_gts.unwrap_or(0.0),
        link_width_max: device.link_width_max.unwrap_or(0),
        subsystem_vendor: device.subsystem.map(|(vendor, _)| vendor.into()),
        subsystem_device: device.subsystem.map(|(_, device)| device.into()),
        revision: device.revision.map(u32::from),
        power_state: device.power_state.clone(),
        port_type: device.port_type.clone(),
        errors: device.errors.clone(),
        aer: device.aer.map(aer_to_wire),
        dpc: device.dpc.as_ref().map(dpc_to_wire),
        sriov: device.sriov.map(sriov_to_wire),
        registers: device.registers.iter().map(register_to_wire).collect(),
    }
}

const fn aer_to_wire(aer: Aer) -> v1::Aer {
    v1::Aer {
        uncorrectable_status: aer.uncorrectable_status,
        uncorrectable_mask: aer.uncorrectable_mask,
        uncorrectable_severity: aer.uncorrectable_severity,
        correctable_status: aer.correctable_status,
        correctable_mask: aer.correctable_mask,
        correctable: aer.correctable,
        nonfatal: aer.nonfatal,
        fatal: aer.fatal,
    }
}

fn dpc_to_wire(dpc: &Dpc) -> v1::Dpc {
    v1::Dpc {
        enabled: dpc.enabled,
        triggered: dpc.triggered,
        reason: dpc.reason.clone(),
    }
}

fn sriov_to_wire(sriov: SrIov) -> v1::SrIov {
    v1::SrIov {
        total_vfs: sriov.total_vfs.into(),
        vfs: sriov.vfs.into(),
    }
}

fn register_to_wire(register: &Register) -> v1::Register {
    v1::Register {
        name: register.name.clone(),
        address: register.address,
        value: register.value,
    }
}

pub(super) fn pci_from_wire(i: usize, device: v1::PciDevice) -> Result<PciDevice, WireError> {
    let fields = Fields(i);
    let width = |width: u32| (width > 0).then_some(width);
    Ok(PciDevice {
        address: fields.text("address", device.address)?,
        vendor: fields.id("vendor", device.vendor)?,
        device: fields.id("device", device.device)?,
        class: fields.bits("class", device.class, 24)?,
        driver: fields.text("driver", device.driver)?,
        link_speed_gts: fields.speed("link_speed_gts", device.link_speed_gts)?,
        link_width: width(device.link_width),
        link_speed_max_gts: fields.speed("link_speed_max_gts", device.link_speed_max_gts)?,
        link_width_max: width(device.link_width_max),
        subsystem: fields.subsystem(device.subsystem_vendor, device.subsystem_device)?,
        revision: device.revision.map(|revision| fields.revision(revision)).transpose()?,
        power_state: fields.text("power_state", device.power_state)?,
        port_type: fields.text("port_type", device.port_type)?,
        errors: each(device.errors, |_, name| fields.text("errors", name))?,
        aer: device.aer.map(aer_from_wire),
        dpc: device.dpc.map(|dpc| fields.dpc(dpc)).transpose()?,
        sriov: device.sriov.map(|sriov| fields.sriov(sriov)).transpose()?,
        registers: each(device.registers, |_, register| fields.register(register))?,
    })
}

const fn aer_from_wire(aer: v1::Aer) -> Aer {
    Aer {
        uncorrectable_status: aer.uncorrectable_status,
        uncorrectable_mask: aer.uncorrectable_mask,
        uncorrectable_severity: aer.uncorrectable_severity,
        correctable_status: aer.correctable_status,
        correctable_mask: aer.correctable_mask,
        correctable: aer.correctable,
        nonfatal: aer.nonfatal,
        fatal: aer.fatal,
    }
}

/// Reads fields of one function, with errors that name them.
#[derive(Clone, Copy)]
struct Fields(usize);

impl Fields {
    /// A register of `bits` bits, fewer than 32.
    fn bits(self, name: &str, value: u32, bits: u32) -> Result<u32, WireError> {
        if value >> bits == 0 {
            return Ok(value);
        }
        let fault = format!("{value:#x} has more than {bits} bits");
        Err(CHECK.bad(format_args!("inventory.pci[{}].{name}", self.0), fault))
    }

    fn id(self, name: &str, id: u32) -> Result<u16, WireError> {
        let [a, b, ..] = self.bits(name, id, 16)?.to_le_bytes();
        Ok(u16::from_le_bytes([a, b]))
    }

    fn revision(self, revision: u32) -> Result<u8, WireError> {
        let [revision, ..] = self.bits("revision", revision, 8)?.to_le_bytes();
        Ok(revision)
    }

    fn speed(self, name: &str, speed: f64) -> Result<Option<f64>, WireError> {
        let speed = CHECK.amount(format_args!("inventory.pci[{}].{name}", self.0), speed)?;
        Ok((speed > 0.0).then_some(speed))
    }

    fn text(self, name: &str, text: String) -> Result<String, WireError> {
        CHECK.text(format_args!("inventory.pci[{}].{name}", self.0), text)
    }

    fn subsystem(self, vendor: Option<u32>, device: Option<u32>) -> Result<Option<(u16, u16)>, WireError> {
        let Some((vendor, device)) = vendor.zip(device) else {
            return Ok(None);
        };
        let vendor = self.id("subsystem_vendor", vendor)?;
        Ok(Some((vendor, self.id("subsystem_device", device)?)))
    }

    fn dpc(self, dpc: v1::Dpc) -> Result<Dpc, WireError> {
        Ok(Dpc {
            enabled: dpc.enabled,
            triggered: dpc.triggered,
            reason: self.text("dpc.reason", dpc.reason)?,
        })
    }

    fn sriov(self, sriov: v1::SrIov) -> Result<SrIov, WireError> {
        Ok(SrIov {
            total_vfs: self.id("sriov.total_vfs", sriov.total_vfs)?,
            vfs: self.id("sriov.vfs", sriov.vfs)?,
        })
    }

    fn register(self, register: v1::Register) -> Result<Register, WireError> {
        Ok(Register {
            name: self.text("registers.name", register.name)?,
            address: register.address,
            value: register.value,
        })
    }
}
