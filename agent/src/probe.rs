//! Probes: each reads one kind of source and tells how its readings are called.
//!
//! | probe | reads | tier |
//! |---|---|---|
//! | [`cpu`] | `/proc/stat`, per core | fast |
//! | [`memory`] | `/proc/meminfo` | fast |
//! | [`network`] | `/proc/net/dev` | fast |
//! | [`disk`] | `/proc/diskstats` | fast |
//! | [`pressure`] | `/proc/pressure` | fast |
//! | [`load`] | `/proc/loadavg` | fast |
//! | [`power`] | RAPL, hwmon, battery under `/sys/class` | middle |
//! | [`workload`] | cgroups | middle |
//! | [`pci`] | `/sys/bus/pci/devices`, at each birth only | |
//!
//! A probe opens its files once and reads them again with `pread`; on the fast tier it allocates nothing.
//! All take a root path, so that a tree of recorded files serves as a host. A probe that fails costs
//! itself alone: its columns are [`Reading::FAILED`], and after [`MAX_FAILURES`] failures in a row it is
//! left alone until the next [`ProbeSet::refresh`].

use std::path::{Path, PathBuf};

use shadow::{Bound, Catalogue, Channel, Metric, Reading, Source, SourceState};

use crate::{config::Probes, error::ProbeError};

pub mod cpu;
pub mod disk;
pub mod load;
pub mod memory;
pub mod network;
pub mod pci;
pub mod power;
pub mod pressure;
pub mod workload;

mod file;
mod parse;

/// Failures in a row after which a probe is left alone until the next refresh.
const MAX_FAILURES: u32 = 3;

/// The shortest time between two readings of a middle probe.
const MIDDLE_NS: u64 = 900_000_000;

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
}

impl Place {
    /// `path` (without a leading `/`) below the root.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
}

type Open = fn(&Place) -> Result<Box<dyn Probe>, ProbeError>;

/// All probes there are, in the order in which they are read.
const PROBES: [(&str, Open); 8] = [
    ("cpu", cpu::open),
    ("memory", memory::open),
    ("network", network::open),
    ("disk", disk::open),
    ("pressure", pressure::open),
    ("load", load::open),
    ("power", power::open),
    ("workload", workload::open),
];

/// All probes of a host, and the order of their readings.
///
/// Channels come first, in the order of [`Channel::ALL`], then everything else in the order of the probes.
pub struct ProbeSet {
    place: Place,
    slots: Vec<Slot>,
    catalogue: Catalogue,
    /// Column of each reading, in the order in which they are read.
    columns: Vec<usize>,
    scratch: Vec<Reading>,
    row: Vec<Reading>,
}

impl ProbeSet {
    /// Opens whatever `place` has. What cannot be opened is told by [`ProbeSet::sources`].
    pub fn open(place: Place) -> Self {
        let slots = PROBES.map(|(name, open)| Slot::new(name, open, &place)).into();
        let mut set = Self {
            place,
            slots,
            catalogue: Catalogue::default(),
            columns: Vec::new(),
            scratch: Vec::new(),
            row: Vec::new(),
        };
        set.lay_out();
        set
    }

    /// What is read, in column order.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What each probe reads, or why it does not.
    pub fn sources(&self) -> Vec<Source> {
        self.slots.iter().map(Slot::source).collect()
    }

    /// Reads everything, in the column order of the catalogue. `now_ns` is monotonic.
    pub fn sample(&mut self, now_ns: u64) -> &[Reading] {
        let mut rest = self.scratch.as_mut_slice();
        for slot in &mut self.slots {
            let (out, tail) = rest.split_at_mut(slot.metrics.len().min(rest.len()));
            slot.read(now_ns, out);
            rest = tail;
        }
        for (&column, &reading) in self.columns.iter().zip(&self.scratch) {
            if let Some(place) = self.row.get_mut(column) {
                *place = reading;
            }
        }
        &self.row
    }

    /// Looks for what came and went, and gives failed probes another try. Takes some milliseconds.
    ///
    /// Returns whether the catalogue or a source's state changed: then a new epoch has to begin.
    pub fn refresh(&mut self) -> bool {
        let mut changed = false;
        for slot in &mut self.slots {
            changed |= slot.refresh(&self.place);
        }
        if changed {
            self.lay_out();
        }
        changed
    }

    fn lay_out(&mut self) {
        let metrics: Vec<&Metric> = self.slots.iter().flat_map(|slot| &slot.metrics).collect();
        let rank = |metric: &Metric| {
            let found = Channel::ALL.iter().position(|c| c.metric() == metric.name);
            found.unwrap_or(Channel::COUNT)
        };
        let mut order: Vec<usize> = (0..metrics.len()).collect();
        order.sort_by_key(|&i| metrics.get(i).map(|m| rank(m)));
        let mut columns = vec![0; order.len()];
        for (column, &reading) in order.iter().enumerate() {
            if let Some(place) = columns.get_mut(reading) {
                *place = column;
            }
        }
        let sorted = order
            .iter()
            .filter_map(|&i| metrics.get(i).map(|&m| m.clone()))
            .collect();
        self.catalogue = Catalogue::new(sorted);
        self.scratch = vec![Reading::STALE; columns.len()];
        self.row = vec![Reading::STALE; columns.len()];
        self.columns = columns;
    }
}

/// One probe with its troubles.
struct Slot {
    name: &'static str,
    open: Open,
    /// What the layout has places for; kept while the probe fails.
    metrics: Vec<Metric>,
    probe: Option<Box<dyn Probe>>,
    fault: Option<ProbeError>,
    failures: u32,
    last_ns: Option<u64>,
}

impl Slot {
    fn new(name: &'static str, open: Open, place: &Place) -> Self {
        let mut slot = Self {
            name,
            open,
            metrics: Vec::new(),
            probe: None,
            fault: None,
            failures: 0,
            last_ns: None,
        };
        slot.reopen(place);
        slot
    }

    /// Opens the probe anew; a source that is gone takes its metrics along, one that fails keeps them.
    fn reopen(&mut self, place: &Place) {
        self.failures = 0;
        self.last_ns = None;
        match (self.open)(place) {
            Ok(probe) => {
                self.metrics = probe.metrics().to_vec();
                self.probe = Some(probe);
                self.fault = None;
            }
            Err(fault) => {
                if fault.state() == SourceState::Absent {
                    self.metrics.clear();
                }
                self.probe = None;
                self.fault = Some(fault);
            }
        }
    }

    fn refresh(&mut self, place: &Place) -> bool {
        let outdated = self.probe.as_mut().is_none_or(|probe| probe.outdated());
        if !outdated {
            return false;
        }
        let before = (self.metrics.clone(), self.state());
        self.reopen(place);
        before != (self.metrics.clone(), self.state())
    }

    fn read(&mut self, now_ns: u64, out: &mut [Reading]) {
        let Some(probe) = self.probe.as_mut() else {
            out.fill(Reading::FAILED);
            return;
        };
        let rested = self.last_ns.is_none_or(|last| now_ns.saturating_sub(last) >= MIDDLE_NS);
        if probe.tier() == Tier::Middle && !rested {
            out.fill(Reading::STALE);
            return;
        }
        self.last_ns = Some(now_ns);
        match probe.read(now_ns, out) {
            Ok(()) => self.failures = 0,
            Err(fault) => {
                out.fill(Reading::FAILED);
                self.fail(fault);
            }
        }
    }

    fn fail(&mut self, fault: ProbeError) {
        self.failures += 1;
        if self.failures >= MAX_FAILURES {
            tracing::warn!(probe = self.name, %fault, "probe left alone until the next refresh");
            self.probe = None;
            self.fault = Some(fault);
        }
    }

    fn state(&self) -> SourceState {
        match &self.fault {
            None => SourceState::Works,
            Some(fault) => fault.state(),
        }
    }

    fn source(&self) -> Source {
        let reason = match (&self.fault, &self.probe) {
            (Some(fault), _) => fault.to_string(),
            (None, Some(probe)) => probe.location(),
            (None, None) => String::new(),
        };
        Source {
            name: self.name.to_owned(),
            state: self.state(),
            reason,
        }
    }
}
