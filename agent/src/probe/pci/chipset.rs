//! Registers of chipset functions that matter when hosts are compared: host bridge, LPC or eSPI bridge, `SMBus`. Pure.
//!
//! Only configuration space is read; buses behind it are never probed. Sources: Intel's data sheets of processors
//! (host bridge, device 0) and of platform controller hubs (functions 31:0 and 31:4).

use shadow::birth::Register;

use super::config_space::{Header, Space};

const INTEL: u16 = 0x8086;

/// Classes and subclasses of the functions.
const HOST_BRIDGE: u32 = 0x0600;
const ISA_BRIDGE: u32 = 0x0601;
const SMBUS: u32 = 0x0c05;

type Names = [(u16, &'static str)];

/// Of every vendor.
const COMMON: &Names = &[(0x04, "STATUS_COMMAND")];

const INTEL_HOST: &Names = &[
    (0x48, "MCHBAR_LOW"),
    (0x4c, "MCHBAR_HIGH"),
    (0x50, "GGC"),
    (0x54, "DEVEN"),
    (0x60, "PCIEXBAR_LOW"),
    (0x64, "PCIEXBAR_HIGH"),
    (0xa0, "TOM_LOW"),
    (0xa4, "TOM_HIGH"),
    (0xbc, "TOLUD"),
    (0xe4, "CAPID0_A"),
    (0xe8, "CAPID0_B"),
];

const INTEL_LPC: &Names = &[
    (0x40, "ACPI_BASE"),
    (0x44, "ACPI_CONTROL"),
    (0x80, "IO_DECODE_ENABLES"),
    (0x84, "GENERIC_DECODE_1"),
    (0x88, "GENERIC_DECODE_2"),
    (0x8c, "GENERIC_DECODE_3"),
    (0x90, "GENERIC_DECODE_4"),
    (0xdc, "BIOS_CONTROL"),
];

const INTEL_SMBUS: &Names = &[(0x10, "SMBMBAR_LOW"), (0x20, "SMB_BASE"), (0x40, "HOST_CONFIGURATION")];

/// The registers of a chipset function; none of any other function. What reads as all ones is left out.
pub(super) fn registers(space: &(impl Space + ?Sized), header: &Header) -> Vec<Register> {
    let own: &Names = match (header.class >> 8, header.vendor) {
        (HOST_BRIDGE, INTEL) => INTEL_HOST,
        (ISA_BRIDGE, INTEL) => INTEL_LPC,
        (SMBUS, INTEL) => INTEL_SMBUS,
        (HOST_BRIDGE | ISA_BRIDGE | SMBUS, _) => &[],
        _ => return Vec::new(),
    };
    let read = |&(at, name): &(u16, &str)| {
        let value = space.dword(at).filter(|&value| value != u32::MAX)?;
        Some(Register {
            name: name.to_owned(),
            address: at.into(),
            value,
        })
    };
    COMMON.iter().chain(own).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::pci::fixture::Dump;

    #[test]
    fn chipset_functions_alone_tell_registers() {
        let registers = |dump: &Dump| {
            let header = Header::read(dump.bytes()).unwrap();
            registers(dump.bytes(), &header)
        };
        assert_eq!(registers(&Dump::endpoint()), []);
        let smbus = Dump::endpoint().dword(0x08, 0x0c05_0000).dword(0x20, 0xefa1);
        let found = registers(&smbus.dword(0x40, u32::MAX));
        let names: Vec<&str> = found.iter().map(|register| register.name.as_str()).collect();
        assert_eq!(names, ["STATUS_COMMAND", "SMBMBAR_LOW", "SMB_BASE"]);
        assert_eq!((found[2].address, found[2].value), (0x20, 0xefa1));
    }
}
