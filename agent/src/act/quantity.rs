//! What can be set: a workload's share of a resource, its tasks, a host's power.

use serde::{Deserialize, Serialize};
use shadow::{ActionKind, Resource};

/// What a lever sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantity {
    /// Cores.
    Cpu,
    /// Bytes.
    Memory,
    /// Bytes a second.
    Network,
    /// Bytes a second.
    Disk,
    /// Watts.
    Power,
    /// Processes and threads.
    Tasks,
    /// Whether the host is on: 1 is.
    Chassis,
}

impl Quantity {
    /// The word in configuration and texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Power => "power",
            Self::Tasks => "tasks",
            Self::Chassis => "chassis",
        }
    }

    /// The resource that it is a reservation of; `None` for what actions set.
    pub const fn resource(self) -> Option<Resource> {
        match self {
            Self::Cpu => Some(Resource::Cpu),
            Self::Memory => Some(Resource::Memory),
            Self::Network => Some(Resource::Network),
            Self::Disk => Some(Resource::Disk),
            Self::Power => Some(Resource::Power),
            Self::Tasks | Self::Chassis => None,
        }
    }
}

impl From<Resource> for Quantity {
    fn from(resource: Resource) -> Self {
        match resource {
            Resource::Cpu => Self::Cpu,
            Resource::Memory => Self::Memory,
            Resource::Network => Self::Network,
            Resource::Disk => Self::Disk,
            Resource::Power => Self::Power,
        }
    }
}

impl From<ActionKind> for Quantity {
    fn from(kind: ActionKind) -> Self {
        match kind {
            ActionKind::ChassisOn => Self::Chassis,
            ActionKind::LimitTasks => Self::Tasks,
        }
    }
}
