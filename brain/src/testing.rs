//! Births, frames and batches for tests.

use limits::HOLDS_MIN;
use shadow::{
    Birth, Block, Capacity, Catalogue, Channel, Event, Finding, Frame, Peak, Reading, Resource, Severity, UnixMs,
    Workload,
    birth::workload_metric,
    codec,
    metric::{Bound, Metric, channel_metric},
};

use crate::allocate::{HostInput, WorkloadInput};

/// A test steps aside and says why; where everything must be there (`FORESHADOW_ALL`, which `.ci/run` sets) it fails instead.
pub(crate) fn step_aside(why: &str) {
    assert!(
        std::env::var_os("FORESHADOW_ALL").is_none(),
        "it cannot be tested here: {why}"
    );
    eprintln!("SKIPPED: {why}");
}

/// A birth with the channels of a traced host, and one workload.
pub(crate) fn birth(epoch: u64) -> Birth {
    let channels = [Channel::Cpu, Channel::Memory, Channel::NetworkRx, Channel::NetworkTx];
    let mut metrics: Vec<Metric> = channels.into_iter().map(channel_metric).collect();
    let cores = Bound::Absolute { step: 0.01 };
    metrics.push(Metric::new(workload_metric("web", Resource::Cpu), "{core}", cores));
    Birth {
        epoch,
        time_ms: 1,
        agent_version: "0.1.0".into(),
        catalogue: Catalogue::new(metrics),
        capacity: Capacity {
            cpu_cores: Some(4.0),
            memory_bytes: Some(8e9),
            ..Capacity::default()
        },
        workloads: vec![Workload {
            name: "web".into(),
            criticality: 50,
            class: "default".into(),
        }],
        ..Birth::default()
    }
}

/// An event at `time_ms`.
pub(crate) fn event(epoch: u64, sequence: u64, time_ms: i64) -> Event {
    Event {
        epoch,
        sequence,
        time_ms,
        finding: Finding {
            source: "pci".into(),
            subject: "0000:01:00.0".into(),
            kind: "link_degraded".into(),
            severity: Severity::Warning,
            text: "8 GT/s x4 of x16".into(),
            details: vec![("link_status".into(), "0x1043".into())],
        },
    }
}

/// A frame of [`birth`] with a sample at each of `times_ms`, the host's processor busy by `cpu`.
pub(crate) fn frame(epoch: u64, sequence: u64, times_ms: &[i64], cpu: f64) -> Frame {
    let catalogue = birth(epoch).catalogue;
    let mut block = Block::new(&catalogue);
    let readings = [cpu, 0.5, 1_000.0, 2_000.0, cpu * 4.0].map(Reading::new);
    for &time_ms in times_ms {
        block.push(time_ms, &readings);
    }
    Frame {
        epoch,
        sequence,
        start_ms: times_ms[0],
        samples: u32::try_from(times_ms.len()).unwrap(),
        codec: codec::MASK_VARINT_LZ4,
        reference: 0,
        body: codec::encode(&catalogue, &block).unwrap().into(),
    }
}

/// A host with a network of 1 GB/s that is so busy at `end_ms`, whose peaks a network of ours foretells, and at most one workload.
pub(crate) fn host_with_peaks(busy: f64, end_ms: UnixMs, criticality: Option<u8>) -> HostInput {
    let peak = |(rank, minutes): (usize, u32)| Peak {
        resource: Resource::Network,
        made_ms: end_ms,
        hold_s: 60 * minutes,
        quantiles: std::array::from_fn(|quantile| 1e9 * (busy + 0.01 * (rank + quantile + 1) as f64)),
    };
    let workload = |criticality| WorkloadInput {
        criticality,
        ..WorkloadInput::default()
    };
    HostInput {
        capacity: Capacity {
            cpu_cores: Some(4.0),
            network_bytes_per_s: Some(1e9),
            ..Capacity::default()
        },
        present: [Some(busy), None, Some(busy * 1e9), None, None],
        peaks: HOLDS_MIN.into_iter().enumerate().map(peak).collect(),
        workloads: criticality
            .map(|c| ("web".to_owned(), workload(c)))
            .into_iter()
            .collect(),
        ..HostInput::default()
    }
}
