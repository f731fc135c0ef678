//! What an operator may set: `config/agent.toml` shows every key with its default.

use std::path::PathBuf;

use runtime::Span;
use serde::{Deserialize, Serialize};
use shadow::{Capacity, Vantage};

pub use crate::publish::Fsync;
use crate::{guard::Limit, publish::Places};

mod act;
mod bmc;
mod bounds;
mod check;

pub use act::{Act, Allow, Exec, TrafficClass};
pub use bmc::Bmc;
pub use bounds::BoundRule;
pub(crate) use bounds::told_as;
pub use bus::Broker;

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
    /// What outlives the machine's start: the spool's segments, how far the BMC's log was read. Without it, the folder
    /// that systemd gives (`StateDirectory`), and none where it gives none.
    pub state_dir: Option<PathBuf>,
    /// A RAM-backed folder that outlives the process. Without it, the one that systemd gives (`RuntimeDirectory`).
    pub runtime_dir: Option<PathBuf>,
    /// How often the agent tells of itself.
    pub status_every: Span,
    /// How the broker is reached, and as whom.
    pub broker: Broker,
    /// Who this agent is and whom it believes. Without it every command is believed: for one machine, over loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<trust::Config>,
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
    /// What commands may change.
    pub act: Act,
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
    /// How samples are coded.
    pub codec: Codec,
}

/// How samples are coded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// What is written and read in the least time, with each second's maximum of key metrics exactly.
    #[default]
    Quick,
    /// The same as small as can be: a fifth shorter, for twice the time to write and to read.
    Dense,
    /// Without exact maxima, and each frame by itself.
    Lz4,
}

/// What is kept until it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Bytes of memory, the copy in `runtime_dir` included; past them the oldest frames go.
    pub max_bytes: usize,
    /// Bytes in `state_dir`, which is written to only while frames cannot be sent; past them the oldest go. 0 is none.
    pub disk_bytes: u64,
    /// When what is in `state_dir` is made to survive a loss of power.
    pub fsync: Fsync,
}

impl Spool {
    /// Where the spool of one stream lies: its files have folders of their own below `runtime_dir` and `state_dir`.
    pub(crate) fn places(&self, config: &Config, stream: &str) -> Places {
        let below = |folder: Option<PathBuf>| folder.map(|folder| folder.join("spool").join(stream));
        Places {
            memory_bytes: self.max_bytes,
            ram: below(config.runtime_dir()),
            disk: below(config.state_dir()).filter(|_| self.disk_bytes > 0),
            disk_bytes: self.disk_bytes,
            fsync: self.fsync,
        }
    }
}

impl Config {
    /// What outlives the machine's start; `None` where there is no such folder.
    pub(crate) fn state_dir(&self) -> Option<PathBuf> {
        self.state_dir.clone().or_else(|| given("STATE_DIRECTORY"))
    }

    /// What outlives the process.
    pub(crate) fn runtime_dir(&self) -> Option<PathBuf> {
        self.runtime_dir.clone().or_else(|| given("RUNTIME_DIRECTORY"))
    }
}

/// A folder from systemd (systemd.exec(5)): of several, the first.
fn given(variable: &str) -> Option<PathBuf> {
    let folders = std::env::var(variable).ok()?;
    folders
        .split(':')
        .next()
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
}

/// What probes look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// How exactly metrics are told: the first that matches rules.
    pub bounds: Vec<BoundRule>,
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
            state_dir: None,
            runtime_dir: None,
            status_every: Span::from_secs(10),
            broker: Broker::default(),
            trust: None,
            pace: Pace::default(),
            frame: Frame::default(),
            spool: Spool::default(),
            probes: Probes::default(),
            bmc: Bmc::default(),
            out_of_band: Vec::new(),
            capacity: CapacityOverride::default(),
            workloads: Vec::new(),
            limits: Vec::new(),
            act: Act::default(),
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
            codec: Codec::default(),
        }
    }
}

impl Default for Spool {
    /// Some ten hours of frames at full rate in memory, and two days on disk.
    fn default() -> Self {
        Self {
            max_bytes: 16 << 20,
            disk_bytes: 64 << 20,
            fsync: Fsync::Segment,
        }
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
            bounds: Vec::new(),
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
