//! What an agent tells of its host before its first frame.

use serde::Serialize;

use crate::{Catalogue, Resource, UnixMs};

mod pci;
mod processor;

pub use pci::{Aer, Dpc, MAX_PCI_DEVICES, MAX_PCI_ERRORS, MAX_PCI_REGISTERS, PciDevice, Register, SrIov};
pub use processor::Processor;

/// Everything needed to read the frames of one epoch.
///
/// An epoch is one life of an agent's catalogue: it begins at the agent's start and whenever the
/// catalogue changes (a workload came or went), and frames are numbered from 0 within it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Birth {
    /// Microseconds of the unix clock at its begin; a larger epoch is newer.
    pub epoch: u64,
    /// When it was told.
    pub time_ms: UnixMs,
    /// Version of the agent.
    pub agent_version: String,
    /// What is sampled, in column order.
    pub catalogue: Catalogue,
    /// What the agent reads, and whether it can.
    pub sources: Vec<Source>,
    /// What the host could give at most.
    pub capacity: Capacity,
    /// What the host is.
    pub inventory: Inventory,
    /// What resources are allocated to.
    pub workloads: Vec<Workload>,
}

/// One place that an agent reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Source {
    /// The probe's name: `cpu`, `memory`, `power`, ...
    pub name: String,
    /// Whether it can be read.
    pub state: SourceState,
    /// Why not, or where it is read.
    pub reason: String,
}

/// Whether a source can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    /// It is read.
    Works,
    /// The machine does not have it.
    Absent,
    /// The agent may not read it.
    #[serde(rename = "no permission")]
    NoPermission,
    /// It should be there, but reading it failed.
    Failed,
}

impl SourceState {
    /// The word for people and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Absent => "absent",
            Self::NoPermission => "no permission",
            Self::Failed => "failed",
        }
    }
}

/// What a host could give at most; `None` is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Capacity {
    /// Cores that may be used.
    pub cpu_cores: Option<f64>,
    /// Bytes of memory.
    pub memory_bytes: Option<f64>,
    /// Bytes a second, both directions together.
    pub network_bytes_per_s: Option<f64>,
    /// Bytes a second, reads and writes together.
    pub disk_bytes_per_s: Option<f64>,
    /// Watts.
    pub power_w: Option<f64>,
}

impl Capacity {
    /// What the host has of `resource`, in cores, bytes, bytes/s or watts.
    pub const fn of(&self, resource: Resource) -> Option<f64> {
        match resource {
            Resource::Cpu => self.cpu_cores,
            Resource::Memory => self.memory_bytes,
            Resource::Network => self.network_bytes_per_s,
            Resource::Disk => self.disk_bytes_per_s,
            Resource::Power => self.power_w,
        }
    }
}

/// What a host is, as far as it changes slowly.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inventory {
    /// Kernel release.
    pub kernel: String,
    /// Distribution and version.
    pub os: String,
    /// Processor model.
    pub cpu_model: String,
    /// Functions on the PCI buses.
    pub pci: Vec<PciDevice>,
    /// Network interfaces that are sampled.
    pub interfaces: Vec<String>,
    /// Whole disks that are sampled.
    pub disks: Vec<String>,
    /// The processors; `None` where the kernel does not tell.
    pub processor: Option<Processor>,
    /// The management controller; `None` where none has answered.
    pub bmc: Option<Bmc>,
}

/// A management controller, and the names of the machine that it keeps. Empty where it does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bmc {
    /// Who made the controller.
    pub manufacturer: String,
    /// The manufacturer's number of the controller.
    pub product_id: u16,
    /// Revision of its firmware.
    pub firmware: String,
    /// Version of IPMI that it speaks.
    pub ipmi: String,
    /// Who made the board.
    pub board_manufacturer: String,
    /// Name of the board.
    pub board_product: String,
    /// Serial number of the board.
    pub board_serial: String,
    /// Who made the machine.
    pub system_manufacturer: String,
    /// Name of the machine.
    pub system_product: String,
    /// Serial number of the machine.
    pub system_serial: String,
}

/// A cgroup or systemd unit that resources are allocated to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// Unique on its host; `workload.<name>.cpu` and `workload.<name>.memory` are its metrics.
    pub name: String,
    /// 0 (may be stopped) to 100 (the host is pointless without it).
    pub criticality: u8,
    /// The policy class that rules it.
    pub class: String,
}

/// The name that stands for a host as a whole where a workload is named: in commands, limits and reservations. No workload
/// has it.
pub const HOST_WORKLOAD: &str = "host";

/// The metric of a workload's use of a resource: cores busy, or bytes.
pub fn workload_metric(workload: &str, resource: Resource) -> String {
    format!("workload.{workload}.{resource}")
}
