//! Probes: each reads one kind of source and tells how its readings are called.
//!
//! | probe | reads | tier |
//! |---|---|---|
//! | [`cpu`] | `/proc/stat`, per core; interrupts, context switches | fast |
//! | [`memory`] | `/proc/meminfo` | fast |
//! | [`network`] | `/proc/net/dev` | fast |
//! | [`disk`] | `/proc/diskstats` | fast |
//! | [`pressure`] | `/proc/pressure` | fast |
//! | [`load`] | `/proc/loadavg` | fast |
//! | [`paging`] | `/proc/vmstat`: faults, refaults, swapping, reclaim | middle |
//! | [`own`] | the agent's own process: `agent.cpu`, `agent.memory`, `agent.slowed` | middle |
//! | [`numa`] | NUMA nodes and `/proc/buddyinfo` | middle |
//! | [`power`] | RAPL, hwmon, battery under `/sys/class` | middle |
//! | [`workload`] | cgroups | middle |
//! | [`pci`] | `/sys/bus/pci/devices`: attributes and configuration space | slow |
//! | [`edac`] | `/sys/devices/system/edac`: errors of memory | slow |
//! | [`msr`] | `/dev/cpu/*/msr`: heat, throttling, frequency, machine checks | slow |
//! | [`thermal`] | `/sys/class/thermal`, platform controller hub | slow |
//! | [`bmc`] | what the BMC's own thread has read | middle |
//!
//! A probe opens its files once and reads them again with `pread`; on the fast tier it allocates nothing, and can put what
//! its files hold on tape, to be parsed later ([`Probe::record`]).
//! Slow sources, and what may hang, are read in a thread of their own (`worker`); the probe hands over what is new.
//! All take a root path, so that a tree of recorded files serves as a host. A probe that fails costs itself
//! alone: see [`ProbeSet`].

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use shadow::{Bound, Finding, Inventory, Metric, Reading, Vantage};

use crate::{bmc::Watch, config::Probes, error::ProbeError};

pub mod bmc;
pub mod cpu;
pub mod cpuinfo;
pub mod disk;
pub mod edac;
pub mod load;
pub mod memory;
pub mod msr;
pub mod network;
pub mod numa;
pub mod own;
pub mod paging;
pub mod pci;
pub mod power;
pub mod pressure;
pub mod thermal;
pub mod workload;

mod file;
mod parse;
mod set;
#[cfg(test)]
pub(crate) mod tree;
mod worker;

pub(crate) use parse::metric_part;
pub use set::{Checkup, ProbeSet};

/// The bound of CPU and pressure shares: off by at most half a point.
const HALF_POINT: Bound = Bound::Absolute { step: 0.01 };

/// The value below which a rate in bytes a second is no longer told relative to itself.
const BYTES_FLOOR: f64 = 100.0;

/// The value below which a rate of events a second is no longer told relative to itself.
const EVENTS_FLOOR: f64 = 1.0;

/// How often a probe is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// With every sample.
    Fast,
    /// About once a second: its readings are [`Reading::STALE`] in the samples between.
    Middle,
}

/// One kind of source.
pub trait Probe: Send {
    /// How often it is to be read.
    fn tier(&self) -> Tier {
        Tier::Fast
    }

    /// Where it reads, for people.
    fn location(&self) -> String;

    /// What it reads, in the order of [`Probe::read`]. It does not change in the probe's life.
    fn metrics(&self) -> &[Metric];

    /// Reads everything into `out`, which has one place a metric. `now_ns` is monotonic.
    ///
    /// # Errors
    /// [`ProbeError`] when nothing could be read; what `out` holds then does not matter.
    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError>;

    /// Puts all its files on tape as they are now, as the texts `number` (0 begins a new tape), for a reading within
    /// [`file::play`] later on. Returns how much is on tape, in bytes; `None` where it is to be read at once.
    fn record(&self, _number: usize) -> Option<usize> {
        None
    }

    /// Hands over what it has found since the last call and that is no sample: errors that were counted, a link that got
    /// slower, an entry of a log. Asked for behind a reading; probes of the fast tier are not asked.
    fn take_findings(&mut self) -> Vec<Finding> {
        Vec::new()
    }

    /// Waits a moment for what the first birth needs. Called once, before the first sample; a probe that is opened anew
    /// later has [`Probe::has_news_for_birth`] instead.
    fn await_first(&mut self) {}

    /// Adds what it knows of the host to a birth.
    fn describe(&mut self, _inventory: &mut Inventory) {}

    /// Whether what it would add to a birth is no longer what it added last, so that a new one is due.
    fn has_news_for_birth(&self) -> bool {
        false
    }

    /// Whether what it could read is no longer what [`Probe::metrics`] says: it is to be opened anew.
    fn outdated(&mut self) -> bool {
        false
    }
}

/// Where probes look, and what they are told to look at.
#[derive(Debug, Clone)]
pub struct Place {
    /// `/`, or a tree that looks like one.
    pub root: PathBuf,
    /// What the configuration says.
    pub config: Probes,
    /// From where the host is seen.
    pub vantage: Vantage,
    /// The host's BMC, where one is configured.
    pub bmc: Option<Watch>,
    /// Whether samples are rarer than wanted because of what they cost; the sampler says so.
    pub slowed: Arc<AtomicBool>,
}

impl Place {
    /// The machine whose files lie below `root`, without a BMC.
    pub fn new(root: PathBuf, config: Probes) -> Self {
        Self {
            root,
            config,
            vantage: Vantage::Inband,
            bmc: None,
            slowed: Arc::default(),
        }
    }

    /// Whether the files below the root are the host's; out of band they are of the machine that the agent runs on.
    pub fn is_inband(&self) -> bool {
        self.vantage == Vantage::Inband
    }

    /// `path` (without a leading `/`) below the root.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
}

type Open = fn(&Place) -> Result<Box<dyn Probe>, ProbeError>;

/// All probes there are, in the order in which they are read.
const PROBES: [(&str, Open); 16] = [
    ("cpu", cpu::open),
    ("memory", memory::open),
    ("network", network::open),
    ("disk", disk::open),
    ("pressure", pressure::open),
    ("load", load::open),
    ("paging", paging::open),
    ("numa", numa::open),
    ("power", power::open),
    ("workload", workload::open),
    ("bmc", bmc::open),
    ("pci", pci::open),
    ("edac", edac::open),
    ("thermal", thermal::open),
    ("msr", msr::open),
    ("agent", own::open),
];

/// Those that see a host out of band.
const OUT_OF_BAND: [&str; 2] = ["power", "bmc"];

/// Whether a probe has this name.
pub(crate) fn is_probe(name: &str) -> bool {
    PROBES.iter().any(|(known, _)| *known == name)
}

/// Writes `values` to their places.
fn put(places: &mut [Reading], values: impl IntoIterator<Item = Reading>) {
    for (place, value) in places.iter_mut().zip(values) {
        *place = value;
    }
}
