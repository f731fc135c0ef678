//! What the PCI functions of a host are.

use serde::Serialize;

/// The most functions that a birth tells.
pub const MAX_PCI_DEVICES: usize = 4_096;

/// The most error bits that a birth tells, of all functions together.
pub const MAX_PCI_ERRORS: usize = 16_384;

/// The most registers that a birth tells, of all functions together.
pub const MAX_PCI_REGISTERS: usize = 1_024;

/// One PCI function.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PciDevice {
    /// `0000:00:1f.2`.
    pub address: String,
    /// PCI vendor id.
    pub vendor: u16,
    /// PCI device id.
    pub device: u16,
    /// Class, subclass and programming interface: 24 bits.
    pub class: u32,
    /// Bound driver, or empty.
    pub driver: String,
    /// Link speed in GT/s; `None` without a link.
    pub link_speed_gts: Option<f64>,
    /// Lanes in use; `None` without a link.
    pub link_width: Option<u32>,
    /// What the device could do, in GT/s.
    pub link_speed_max_gts: Option<f64>,
    /// Lanes it has.
    pub link_width_max: Option<u32>,
    /// Vendor and device id of the card's or board's maker; bridges may have none.
    pub subsystem: Option<(u16, u16)>,
    /// Revision id.
    pub revision: Option<u8>,
    /// `D0`, `D1`, `D2`, `D3hot`, `D3cold`, or empty when it is not known.
    pub power_state: String,
    /// `endpoint`, `root port`, ..., or empty for conventional PCI.
    pub port_type: String,
    /// Error bits that are set in the status registers, by name.
    pub errors: Vec<String>,
    /// Advanced error reporting; `None` without it.
    pub aer: Option<Aer>,
    /// Downstream port containment; `None` without it.
    pub dpc: Option<Dpc>,
    /// Single root I/O virtualisation; `None` without it.
    pub sriov: Option<SrIov>,
    /// Registers of a chipset function, as they are.
    pub registers: Vec<Register>,
}

/// Advanced error reporting: raw registers (PCI Express 5.0, 7.8.4), and what the kernel has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Aer {
    /// Uncorrectable error status, which the kernel clears once it has handled an error.
    pub uncorrectable_status: Option<u32>,
    /// Uncorrectable errors that are not reported.
    pub uncorrectable_mask: Option<u32>,
    /// Uncorrectable errors that are fatal.
    pub uncorrectable_severity: Option<u32>,
    /// Correctable error status.
    pub correctable_status: Option<u32>,
    /// Correctable errors that are not reported.
    pub correctable_mask: Option<u32>,
    /// Correctable errors since the kernel started.
    pub correctable: Option<u64>,
    /// Uncorrectable errors that were not fatal, since the kernel started.
    pub nonfatal: Option<u64>,
    /// Fatal errors since the kernel started.
    pub fatal: Option<u64>,
}

/// Downstream port containment (PCI Express 5.0, 7.9.15).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dpc {
    /// Whether an error would trigger it.
    pub enabled: bool,
    /// Whether the port is contained now.
    pub triggered: bool,
    /// What triggered it, or empty.
    pub reason: String,
}

/// Single root I/O virtualisation (PCI Express 5.0, 9.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SrIov {
    /// Virtual functions that the device can have.
    pub total_vfs: u16,
    /// Virtual functions that are switched on.
    pub vfs: u16,
}

/// One 32 bit register.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Register {
    /// As its data sheet calls it.
    pub name: String,
    /// Where it is in its space.
    pub address: u32,
    /// What it holds.
    pub value: u32,
}
