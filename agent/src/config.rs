//! What an operator may set: `config/agent.toml` shows every key with its default.

use runtime::Span;
use serde::{Deserialize, Serialize};
use shadow::{Capacity, Vantage};

use crate::guard::Limit;

mod bmc;
mod check;

pub use bmc::Bmc;

/// The agent of one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The host spoken for: a topic level. Without it, the machine's own name.
    pub host: Option<String>,
    /// From where the host is seen.
    pub vantage: Vantage,
    /// The cell that the host belongs to.
    pub cell: String,
    /// First level of all topics.
    pub prefix: String,
    /// How often the agent tells of itself.
    pub status_every: Span,
    /// Where the broker listens.
    pub broker: Broker,
    /// How often samples are taken.
    pub pace: Pace,
    /// How samples are put together.
    pub frame: Frame,
    /// What is kept until it is durable.
    pub spool: Spool,
    /// What probes look at.
    pub probes: Probes,
    /// The host's BMC.
    pub bmc: Bmc,
    /// Other hosts that are spoken for, through their BMCs alone.
    pub out_of_band: Vec<OutOfBand>,
    /// What the host could give at most, where that cannot be found out.
    pub capacity: CapacityOverride,
    /// What workloads are worth: the first that matches rules.
    pub workloads: Vec<WorkloadRule>,
    /// Floors and ceilings that no command gets past.
    pub limits: Vec<Limit>,
}

/// A host that is seen through its BMC, from another machine: a chassis manager, or a neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutOfBand {
    /// The host: a topic level.
    pub host: String,
    /// Its BMC.
    pub bmc: Bmc,
}

/// Where the broker listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// How often samples are taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// Distance of samples while anything moves.
    pub min: Span,
    /// Distance of samples at rest.
    pub max: Span,
    /// How often a resting host is looked at in between, to see whether it woke up.
    pub watch: Span,
    /// Share of one core that sampling may cost; when it would cost more, samples get rarer.
    pub budget: f64,
    /// Bytes of memory that the agent may take; when it takes more, samples get rarer. 0 is no limit.
    pub memory_budget: u64,
}

/// How samples are put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Frame {
    /// The time that one frame spans. Samples that are further apart are sent one by one.
    pub span: Span,
}

/// What is kept until it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Bytes of memory; past them the oldest frames go.
    pub max_bytes: usize,
}

/// What probes look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probes {
    /// How often is looked for what came and went: interfaces, disks, workloads, and probes that failed.
    pub refresh: Span,
    /// How often slow sources are read, each in a thread of its own: PCI, errors of memory, thermal zones.
    pub slow: Span,
    /// Names of probes that are left alone, as `cpu` or `numa`.
    pub off: Vec<String>,
    /// Of the network.
    pub network: Network,
    /// Of disks.
    pub disk: Disk,
    /// Of workloads.
    pub workload: WorkloadProbe,
}

/// What the network probe looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Names of interfaces; empty chooses those with a device behind them.
    pub interfaces: Vec<String>,
}

/// What the disk probe looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    /// Names of block devices; empty chooses whole disks.
    pub devices: Vec<String>,
}

/// What the workload probe looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadProbe {
    /// Cgroups whose children are workloads, below the root of the hierarchy; `""` is the root itself.
    pub parents: Vec<String>,
    /// The most workloads; further ones, by name, are left out.
    pub max: usize,
}

/// What a workload is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRule {
    /// Which: a name, with `*` for any characters.
    pub name: String,
    /// 0 (may be stopped) to 100 (the host is pointless without it).
    #[serde(default = "default_criticality")]
    pub criticality: u8,
    /// The policy class that rules it.
    #[serde(default = "default_class")]
    pub class: String,
}

/// What the host could give at most, where the agent cannot find it out or is wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapacityOverride {
    /// Cores.
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

/// The criticality of a workload that no rule names: in the middle.
pub const fn default_criticality() -> u8 {
    50
}

/// The class of a workload that no rule names.
pub fn default_class() -> String {
    "default".to_owned()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: None,
            vantage: Vantage::Inband,
            cell: "main".to_owned(),
            prefix: "foreshadow".to_owned(),
            status_every: Span::from_secs(10),
            broker: Broker::default(),
            pace: Pace::default(),
            frame: Frame::default(),
            spool: Spool::default(),
            probes: Probes::default(),
            bmc: Bmc::default(),
            out_of_band: Vec::new(),
            capacity: CapacityOverride::default(),
            workloads: Vec::new(),
            limits: Vec::new(),
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 1883,
        }
    }
}

impl Default for Pace {
    /// A full-rate sample costs some hundred microseconds: 1 % of a core leaves room for slow kernels.
    fn default() -> Self {
        Self {
            min: Span::from_millis(100),
            max: Span::from_secs(5),
            watch: Span::from_millis(100),
            budget: 0.01,
            memory_budget: 16_000_000,
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            span: Span::from_secs(1),
        }
    }
}

impl Default for Spool {
    /// Some ten hours of frames at full rate.
    fn default() -> Self {
        Self { max_bytes: 16 << 20 }
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            refresh: Span::from_secs(10),
            slow: Span::from_secs(10),
            off: Vec::new(),
            network: Network::default(),
            disk: Disk::default(),
            workload: WorkloadProbe::default(),
        }
    }
}

impl Default for WorkloadProbe {
    fn default() -> Self {
        Self {
            parents: vec![String::new()],
            max: 200,
        }
    }
}

impl CapacityOverride {
    /// `found`, with what is set here in its place.
    #[must_use]
    pub fn over(&self, found: Capacity) -> Capacity {
        Capacity {
            cpu_cores: self.cpu_cores.or(found.cpu_cores),
            memory_bytes: self.memory_bytes.or(found.memory_bytes),
            network_bytes_per_s: self.network_bytes_per_s.or(found.network_bytes_per_s),
            disk_bytes_per_s: self.disk_bytes_per_s.or(found.disk_bytes_per_s),
            power_w: self.power_w.or(found.power_w),
        }
    }
}
