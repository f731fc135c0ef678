//! [`Birth`]s on the wire.

use std::collections::HashSet;

use prost::Message;
use schemas::v1;

use self::{
    pci::{pci_from_wire, pci_to_wire},
    processor::{processor_from_wire, processor_to_wire},
};
use super::{WireError, check::Check, scan::List};
use crate::{
    Birth, Bmc, Bound, Capacity, Catalogue, Grain, Inventory, Metric, Source, SourceState, Workload,
    birth::{MAX_PCI_DEVICES, MAX_PCI_ERRORS, MAX_PCI_REGISTERS},
    metric::MAX_METRICS,
};

mod pci;
mod processor;

/// The longest birth: [`MAX_METRICS`] metrics and some thousand PCI functions fit.
pub const MAX_BIRTH_BYTES: usize = 4 << 20;

const CHECK: Check = Check {
    message: "birth",
    max_bytes: MAX_BIRTH_BYTES,
    lists: &[
        list("metrics", &[4], MAX_METRICS),
        list("sources", &[5], 256),
        list("inventory.pci", &[7, 4], MAX_PCI_DEVICES),
        list("inventory.pci.errors", &[7, 4, 15], MAX_PCI_ERRORS),
        list("inventory.pci.registers", &[7, 4, 19], MAX_PCI_REGISTERS),
        list("inventory.interfaces", &[7, 5], 1_024),
        list("inventory.disks", &[7, 6], 1_024),
        list("workloads", &[8], 2_048),
    ],
};

const fn list(name: &'static str, path: &'static [u64], most: usize) -> List {
    List { name, path, most }
}

/// The bytes of `birth`.
pub fn encode_birth(birth: &Birth) -> Vec<u8> {
    let message = v1::Birth {
        epoch: birth.epoch,
        time_ms: birth.time_ms,
        agent_version: birth.agent_version.clone(),
        metrics: birth.catalogue.metrics().iter().map(metric_to_wire).collect(),
        sources: birth.sources.iter().map(source_to_wire).collect(),
        capacity: Some(capacity_to_wire(birth.capacity)),
        inventory: Some(inventory_to_wire(&birth.inventory)),
        workloads: birth.workloads.iter().map(workload_to_wire).collect(),
    };
    message.encode_to_vec()
}

/// Reads a birth.
///
/// # Errors
/// [`WireError`] when it is too long, not protobuf, has too many of anything, a metric without a valid
/// bound, two metrics or workloads of one name, a capacity that is negative or not finite, or an enum
/// value that is not known.
pub fn decode_birth(bytes: &[u8]) -> Result<Birth, WireError> {
    let message: v1::Birth = CHECK.decode(bytes)?;
    Ok(Birth {
        epoch: CHECK.number(format_args!("epoch"), message.epoch)?,
        time_ms: CHECK.time(format_args!("time_ms"), message.time_ms)?,
        agent_version: CHECK.text(format_args!("agent_version"), message.agent_version)?,
        catalogue: catalogue_from_wire(message.metrics)?,
        sources: each(message.sources, source_from_wire)?,
        capacity: capacity_from_wire(message.capacity.unwrap_or_default())?,
        inventory: inventory_from_wire(message.inventory.unwrap_or_default())?,
        workloads: workloads_from_wire(message.workloads)?,
    })
}

fn each<W, D>(entries: Vec<W>, read: impl Fn(usize, W) -> Result<D, WireError>) -> Result<Vec<D>, WireError> {
    entries
        .into_iter()
        .enumerate()
        .map(|(i, entry)| read(i, entry))
        .collect()
}

fn check_unique<'a>(list: &str, names: impl Iterator<Item = &'a str>) -> Result<(), WireError> {
    let mut seen = HashSet::new();
    for (i, name) in names.enumerate() {
        if !seen.insert(name) {
            return Err(CHECK.bad(format_args!("{list}[{i}].name"), format!("{name:?} is there twice")));
        }
    }
    Ok(())
}

fn metric_to_wire(metric: &Metric) -> v1::Metric {
    let bound = match metric.bound {
        Bound::Absolute { step } => v1::metric::Bound::AbsoluteStep(step),
        Bound::Relative { ratio, floor } => v1::metric::Bound::Relative(v1::Relative { ratio, floor }),
    };
    v1::Metric {
        name: metric.name.clone(),
        unit: metric.unit.clone(),
        key: metric.key,
        minimum: metric.minimum,
        bound: Some(bound),
        grain: metric.grain.map(|grain| match grain {
            Grain::Gauge { unit } => v1::metric::Grain::GaugeUnit(unit),
            Grain::Rate { unit } => v1::metric::Grain::RateUnit(unit),
        }),
    }
}

fn catalogue_from_wire(metrics: Vec<v1::Metric>) -> Result<Catalogue, WireError> {
    let metrics = each(metrics, metric_from_wire)?;
    check_unique("metrics", metrics.iter().map(|metric| metric.name.as_str()))?;
    Ok(Catalogue::new(metrics))
}

fn metric_from_wire(i: usize, metric: v1::Metric) -> Result<Metric, WireError> {
    let bound = match metric.bound {
        Some(v1::metric::Bound::AbsoluteStep(step)) => Bound::Absolute { step },
        Some(v1::metric::Bound::Relative(v1::Relative { ratio, floor })) => Bound::Relative { ratio, floor },
        None => return Err(CHECK.bad(format_args!("metrics[{i}].bound"), "it has none")),
    };
    if !bound.is_valid() {
        return Err(CHECK.bad(format_args!("metrics[{i}].bound"), format!("{bound:?} is out of range")));
    }
    let grain = metric.grain.map(|grain| match grain {
        v1::metric::Grain::GaugeUnit(unit) => Grain::Gauge { unit },
        v1::metric::Grain::RateUnit(unit) => Grain::Rate { unit },
    });
    if let Some(grain) = grain.filter(|grain| !grain.is_valid()) {
        return Err(CHECK.bad(format_args!("metrics[{i}].grain"), format!("{grain:?} is out of range")));
    }
    Ok(Metric {
        name: CHECK.name(format_args!("metrics[{i}].name"), metric.name)?,
        unit: CHECK.text(format_args!("metrics[{i}].unit"), metric.unit)?,
        bound,
        key: metric.key,
        minimum: metric.minimum,
        grain,
    })
}

fn source_to_wire(source: &Source) -> v1::Source {
    let state = match source.state {
        SourceState::Works => v1::source::State::Works,
        SourceState::Absent => v1::source::State::Absent,
        SourceState::NoPermission => v1::source::State::NoPermission,
        SourceState::Failed => v1::source::State::Failed,
    };
    v1::Source {
        name: source.name.clone(),
        state: state.into(),
        reason: source.reason.clone(),
    }
}

fn source_from_wire(i: usize, source: v1::Source) -> Result<Source, WireError> {
    let state = match v1::source::State::try_from(source.state) {
        Ok(v1::source::State::Works) => SourceState::Works,
        Ok(v1::source::State::Absent) => SourceState::Absent,
        Ok(v1::source::State::NoPermission) => SourceState::NoPermission,
        Ok(v1::source::State::Failed) => SourceState::Failed,
        Ok(v1::source::State::Unspecified) | Err(_) => {
            let fault = format!("{} is not known", source.state);
            return Err(CHECK.bad(format_args!("sources[{i}].state"), fault));
        }
    };
    Ok(Source {
        name: CHECK.name(format_args!("sources[{i}].name"), source.name)?,
        state,
        reason: CHECK.text(format_args!("sources[{i}].reason"), source.reason)?,
    })
}

const fn capacity_to_wire(capacity: Capacity) -> v1::Capacity {
    v1::Capacity {
        cpu_cores: capacity.cpu_cores,
        memory_bytes: capacity.memory_bytes,
        network_bytes_per_s: capacity.network_bytes_per_s,
        disk_bytes_per_s: capacity.disk_bytes_per_s,
        power_w: capacity.power_w,
    }
}

fn capacity_from_wire(capacity: v1::Capacity) -> Result<Capacity, WireError> {
    let amount = |name: &str, value| CHECK.maybe_amount(format_args!("capacity.{name}"), value);
    Ok(Capacity {
        cpu_cores: amount("cpu_cores", capacity.cpu_cores)?,
        memory_bytes: amount("memory_bytes", capacity.memory_bytes)?,
        network_bytes_per_s: amount("network_bytes_per_s", capacity.network_bytes_per_s)?,
        disk_bytes_per_s: amount("disk_bytes_per_s", capacity.disk_bytes_per_s)?,
        power_w: amount("power_w", capacity.power_w)?,
    })
}

fn inventory_to_wire(inventory: &Inventory) -> v1::Inventory {
    v1::Inventory {
        kernel: inventory.kernel.clone(),
        os: inventory.os.clone(),
        cpu_model: inventory.cpu_model.clone(),
        pci: inventory.pci.iter().map(pci_to_wire).collect(),
        interfaces: inventory.interfaces.clone(),
        disks: inventory.disks.clone(),
        processor: inventory.processor.as_ref().map(processor_to_wire),
        bmc: inventory.bmc.as_ref().map(bmc_to_wire),
    }
}

fn inventory_from_wire(inventory: v1::Inventory) -> Result<Inventory, WireError> {
    let text = |name: &str, text| CHECK.text(format_args!("inventory.{name}"), text);
    Ok(Inventory {
        kernel: text("kernel", inventory.kernel)?,
        os: text("os", inventory.os)?,
        cpu_model: text("cpu_model", inventory.cpu_model)?,
        pci: each(inventory.pci, pci_from_wire)?,
        interfaces: each(inventory.interfaces, |_, name| text("interfaces", name))?,
        disks: each(inventory.disks, |_, name| text("disks", name))?,
        processor: inventory.processor.map(processor_from_wire).transpose()?,
        bmc: inventory.bmc.map(bmc_from_wire).transpose()?,
    })
}

fn bmc_to_wire(bmc: &Bmc) -> v1::Bmc {
    v1::Bmc {
        manufacturer: bmc.manufacturer.clone(),
        product_id: bmc.product_id.into(),
        firmware: bmc.firmware.clone(),
        ipmi: bmc.ipmi.clone(),
        board_manufacturer: bmc.board_manufacturer.clone(),
        board_product: bmc.board_product.clone(),
        board_serial: bmc.board_serial.clone(),
        system_manufacturer: bmc.system_manufacturer.clone(),
        system_product: bmc.system_product.clone(),
        system_serial: bmc.system_serial.clone(),
    }
}

fn bmc_from_wire(bmc: v1::Bmc) -> Result<Bmc, WireError> {
    let text = |name: &str, text| CHECK.text(format_args!("inventory.bmc.{name}"), text);
    let Ok(product_id) = u16::try_from(bmc.product_id) else {
        let fault = format!("{:#x} has more than 16 bits", bmc.product_id);
        return Err(CHECK.bad(format_args!("inventory.bmc.product_id"), fault));
    };
    Ok(Bmc {
        product_id,
        manufacturer: text("manufacturer", bmc.manufacturer)?,
        firmware: text("firmware", bmc.firmware)?,
        ipmi: text("ipmi", bmc.ipmi)?,
        board_manufacturer: text("board_manufacturer", bmc.board_manufacturer)?,
        board_product: text("board_product", bmc.board_product)?,
        board_serial: text("board_serial", bmc.board_serial)?,
        system_manufacturer: text("system_manufacturer", bmc.system_manufacturer)?,
        system_product: text("system_product", bmc.system_product)?,
        system_serial: text("system_serial", bmc.system_serial)?,
    })
}

fn workload_to_wire(workload: &Workload) -> v1::Workload {
    v1::Workload {
        name: workload.name.clone(),
        criticality: workload.criticality.into(),
        class: workload.class.clone(),
    }
}

fn workloads_from_wire(workloads: Vec<v1::Workload>) -> Result<Vec<Workload>, WireError> {
    let workloads = each(workloads, workload_from_wire)?;
    check_unique("workloads", workloads.iter().map(|workload| workload.name.as_str()))?;
    Ok(workloads)
}

fn workload_from_wire(i: usize, workload: v1::Workload) -> Result<Workload, WireError> {
    let criticality = match u8::try_from(workload.criticality) {
        Ok(criticality) if criticality <= 100 => criticality,
        _ => {
            let fault = format!("{} is more than 100", workload.criticality);
            return Err(CHECK.bad(format_args!("workloads[{i}].criticality"), fault));
        }
    };
    Ok(Workload {
        name: CHECK.name(format_args!("workloads[{i}].name"), workload.name)?,
        criticality,
        class: CHECK.text(format_args!("workloads[{i}].class"), workload.class)?,
    })
}
