//! The five resources that are forecast and allocated, and the channels that they are made of.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What is forecast and allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Share of all cores that is busy, 0 to 1.
    Cpu,
    /// Share of memory that is not available, 0 to 1.
    Memory,
    /// Bytes a second received and sent, loopback left out.
    Network,
    /// Bytes a second read from and written to whole disks.
    Disk,
    /// Watts of the machine, or of what can be measured of it.
    Power,
}

impl Resource {
    /// All resources, in the order of every table.
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Memory, Self::Network, Self::Disk, Self::Power];

    /// The name in topics, tables and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Power => "power",
        }
    }

    /// The unit of its values: a share of capacity has none and is written `1`.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Cpu | Self::Memory => "1",
            Self::Network | Self::Disk => "B/s",
            Self::Power => "W",
        }
    }

    /// The channels whose sum it is.
    pub const fn channels(self) -> &'static [Channel] {
        match self {
            Self::Cpu => &[Channel::Cpu],
            Self::Memory => &[Channel::Memory],
            Self::Network => &[Channel::NetworkRx, Channel::NetworkTx],
            Self::Disk => &[Channel::DiskRead, Channel::DiskWrite],
            Self::Power => &[Channel::Power],
        }
    }

    /// Position in [`Resource::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Resource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|r| r.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is none of cpu, memory, network, disk, power"))
    }
}

/// One host-level series that every agent publishes under a fixed metric name, and every trace has as a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Share of all cores that is busy, 0 to 1.
    Cpu,
    /// Share of memory that is not available, 0 to 1.
    Memory,
    /// Bytes a second received, loopback left out.
    NetworkRx,
    /// Bytes a second sent, loopback left out.
    NetworkTx,
    /// Bytes a second read from whole disks.
    DiskRead,
    /// Bytes a second written to whole disks.
    DiskWrite,
    /// Watts.
    Power,
}

impl Channel {
    /// All channels, in the order of trace columns and of rows in memory.
    pub const ALL: [Self; 7] = [
        Self::Cpu,
        Self::Memory,
        Self::NetworkRx,
        Self::NetworkTx,
        Self::DiskRead,
        Self::DiskWrite,
        Self::Power,
    ];

    /// How many channels there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The column of a trace CSV.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "mem",
            Self::NetworkRx => "net_rx",
            Self::NetworkTx => "net_tx",
            Self::DiskRead => "disk_read",
            Self::DiskWrite => "disk_write",
            Self::Power => "power",
        }
    }

    /// The metric that carries it in a catalogue.
    pub const fn metric(self) -> &'static str {
        match self {
            Self::Cpu => "host.cpu",
            Self::Memory => "host.memory",
            Self::NetworkRx => "host.network.rx",
            Self::NetworkTx => "host.network.tx",
            Self::DiskRead => "host.disk.read",
            Self::DiskWrite => "host.disk.write",
            Self::Power => "host.power",
        }
    }

    /// The resource that it is part of.
    pub const fn resource(self) -> Resource {
        match self {
            Self::Cpu => Resource::Cpu,
            Self::Memory => Resource::Memory,
            Self::NetworkRx | Self::NetworkTx => Resource::Network,
            Self::DiskRead | Self::DiskWrite => Resource::Disk,
            Self::Power => Resource::Power,
        }
    }

    /// Position in [`Channel::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}
