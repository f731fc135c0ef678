//! What a host is and could give at most: read at each birth, never on the sampling path.

use std::path::Path;

use shadow::{Capacity, Inventory, Workload};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::{
    bmc::Watch,
    config::{Config, default_class, default_criticality},
    pattern::matches,
    probe::{Place, cpuinfo::CpuInfo, disk, network, power::text, workload::Hierarchy},
};

/// The most interfaces, and the most disks, that a birth names.
const MAX_NAMES: usize = 1_024;

/// What the host is, without what probes add.
pub(crate) fn inventory(place: &Place) -> Inventory {
    let bmc = place.bmc.as_ref().and_then(Watch::inventory);
    if !place.is_inband() {
        return Inventory {
            bmc,
            ..Inventory::default()
        };
    }
    let model = system().and_then(|system| Some(system.cpus().first()?.brand().trim().to_owned()));
    Inventory {
        kernel: System::kernel_version().unwrap_or_default(),
        os: System::long_os_version().unwrap_or_default(),
        cpu_model: model.unwrap_or_default(),
        pci: Vec::new(),
        interfaces: bounded(network::interfaces(place)),
        disks: bounded(disk::disks(place)),
        processor: CpuInfo::read(place).ok().map(|info| info.processor),
        bmc,
    }
}

/// What the host could give at most. Disks and most power supplies do not tell: the configuration does.
pub(crate) fn capacity(config: &Config, place: &Place) -> Capacity {
    if !place.is_inband() {
        return config.capacity.over(Capacity::default());
    }
    let positive = |value: f64| Some(value).filter(|v| *v > 0.0);
    let system = system();
    config.capacity.over(Capacity {
        cpu_cores: system.as_ref().and_then(|s| positive(s.cpus().len() as f64)),
        memory_bytes: system.as_ref().and_then(|s| positive(s.total_memory() as f64)),
        network_bytes_per_s: network_capacity(place),
        disk_bytes_per_s: None,
        power_w: None,
    })
}

/// Names of processors and the size of the memory; `None` where the system does not tell.
fn system() -> Option<System> {
    let kinds = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    System::new_with_specifics(kinds).ok()
}

/// As many as a birth may name.
fn bounded(mut names: Vec<String>) -> Vec<String> {
    names.truncate(MAX_NAMES);
    names
}

/// Both directions of all sampled interfaces; `None` when any does not tell its speed, as virtual ones do not.
fn network_capacity(place: &Place) -> Option<f64> {
    let class = place.path("sys/class/net");
    let speeds: Option<Vec<f64>> = network::interfaces(place)
        .iter()
        .map(|name| bytes_per_s(&class.join(name)))
        .collect();
    speeds
        .filter(|speeds| !speeds.is_empty())
        .map(|speeds| speeds.iter().sum())
}

/// Of `speed` in Mbit/s: -1 or an error while it is not known.
fn bytes_per_s(interface: &Path) -> Option<f64> {
    let megabits: f64 = text(&interface.join("speed")).parse().ok()?;
    let directions = if text(&interface.join("duplex")) == "half" {
        1.0
    } else {
        2.0
    };
    (megabits > 0.0).then_some(megabits * 1e6 / 8.0 * directions)
}

/// Every workload with what the configuration says it is worth.
pub(crate) fn workloads(config: &Config, place: &Place) -> Vec<Workload> {
    let found = Hierarchy::find(place)
        .map(|hierarchy| hierarchy.workloads(place))
        .unwrap_or_default();
    let judge = |name: String| {
        let rule = config.workloads.iter().find(|rule| matches(&rule.name, &name));
        Workload {
            criticality: rule.map_or_else(default_criticality, |rule| rule.criticality),
            class: rule.map_or_else(default_class, |rule| rule.class.clone()),
            name,
        }
    };
    found.into_iter().map(|workload| judge(workload.name)).collect()
}
