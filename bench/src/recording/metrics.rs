//! The 62 metrics of a raw recording, with the bounds that an agent gives them.

use anyhow::Context;
use shadow::{Bound, Grain, Metric};

use super::{Column, Kind, Levels};

/// Memory of the recorded machine, in bytes; the recording does not tell it.
const MEMORY_BYTES: f64 = (24_u64 << 30) as f64;

/// Rates in bytes a second are relative above this, as in the agent.
const BYTES_FLOOR: f64 = 100.0;

/// Rates of events a second are relative above this, as in the agent.
const EVENTS_FLOOR: f64 = 1.0;

/// Counters of busy time: field, and what one unit of it is in seconds.
const SHARES: [(&str, f64); 23] = [
    ("cpuacct_cpu0_run_ns", 1e-9),
    ("cpu0_user_jiffies", 1e-2),
    ("cpu0_nice_jiffies", 1e-2),
    ("cpu0_system_jiffies", 1e-2),
    ("cpu0_idle_jiffies", 1e-2),
    ("cpu0_iowait_jiffies", 1e-2),
    ("cpu0_softirq_jiffies", 1e-2),
    ("cpu0_steal_jiffies", 1e-2),
    ("cpuacct_cpu1_run_ns", 1e-9),
    ("cpu1_user_jiffies", 1e-2),
    ("cpu1_nice_jiffies", 1e-2),
    ("cpu1_system_jiffies", 1e-2),
    ("cpu1_idle_jiffies", 1e-2),
    ("cpu1_iowait_jiffies", 1e-2),
    ("cpu1_softirq_jiffies", 1e-2),
    ("cpu1_steal_jiffies", 1e-2),
    ("disk_vda_io_ms", 1e-3),
    ("disk_vda_weighted_ms", 1e-3),
    ("psi_cpu_some_us", 1e-6),
    ("psi_io_some_us", 1e-6),
    ("psi_io_full_us", 1e-6),
    ("psi_memory_some_us", 1e-6),
    ("psi_memory_full_us", 1e-6),
];

/// Counters of bytes: field, and bytes in one unit of it.
const BYTES: [(&str, f64); 8] = [
    ("net_lo_rx_bytes", 1.0),
    ("net_lo_tx_bytes", 1.0),
    ("net_eth0_rx_bytes", 1.0),
    ("net_eth0_tx_bytes", 1.0),
    ("disk_vda_rd_sectors", 512.0),
    ("disk_vda_wr_sectors", 512.0),
    ("vm_pgpgin", 1024.0),
    ("vm_pgpgout", 1024.0),
];

/// Counters of events.
const EVENTS: [&str; 12] = [
    "stat_intr",
    "stat_ctxt",
    "stat_forks",
    "stat_softirq",
    "net_lo_rx_packets",
    "net_lo_tx_packets",
    "net_eth0_rx_packets",
    "net_eth0_tx_packets",
    "disk_vda_rd_ios",
    "disk_vda_wr_ios",
    "vm_pgfault",
    "vm_pgmajfault",
];

/// Gauges in KiB.
const MEMORY: [&str; 14] = [
    "MemFree",
    "MemAvailable",
    "Buffers",
    "Cached",
    "Active",
    "Inactive",
    "AnonPages",
    "Mapped",
    "Shmem",
    "Slab",
    "Dirty",
    "Writeback",
    "PageTables",
    "Committed_AS",
];

/// Metrics of which each second's maximum is told exactly.
const KEYS: [&str; 10] = [
    "cpuacct_cpu0_run_ns",
    "cpuacct_cpu1_run_ns",
    "net_eth0_rx_bytes",
    "net_eth0_tx_bytes",
    "net_lo_rx_bytes",
    "disk_vda_rd_sectors",
    "disk_vda_wr_sectors",
    "mem_MemAvailable_kB",
    "psi_cpu_some_us",
    "psi_io_some_us",
];

/// Gauges: field, what one unit of it is, and the distance of two values that are told apart.
const GAUGES: [(&str, f64, f64); 5] = [
    ("disk_vda_inflight", 1.0, 1.0),
    ("stat_procs_running", 1.0, 1.0),
    ("stat_procs_blocked", 1.0, 1.0),
    ("load1_x100", 1e-2, 1e-2),
    ("tasks_total", 1.0, 1.0),
];

/// Bound H: shares within half a point, rates within 1 %, memory within 0.1 % of all of it, counts exact; with the
/// maxima of seconds. Lossless: counters' differences and gauges as they were read.
pub(super) fn columns(levels: Levels, field: impl Fn(&str) -> Option<usize>) -> anyhow::Result<Vec<Column>> {
    let share = Bound::Absolute { step: 0.01 };
    let memory = Bound::Absolute {
        step: MEMORY_BYTES / 5e2,
    };
    let column = |name: &str, unit: &str, bound: Bound, factor: f64, counter: bool| {
        let field = field(name).with_context(|| format!("there is no field {name}"))?;
        if levels == Levels::Lossless {
            return Ok(Column::lossless(name, field, factor, counter));
        }
        let grain = if counter {
            Grain::Rate { unit: factor }
        } else {
            Grain::Gauge { unit: factor }
        };
        let metric = Metric::new(name, unit, bound).grain(grain);
        Ok(Column {
            metric: if KEYS.contains(&name) { metric.key() } else { metric },
            field,
            factor,
            kind: if counter { Kind::Rate } else { Kind::Gauge },
        })
    };
    let relative = |floor: f64| Bound::Relative { ratio: 0.01, floor };
    let shares = SHARES
        .iter()
        .map(|&(name, factor)| column(name, "1", share, factor, true));
    let bytes = BYTES
        .iter()
        .map(|&(name, factor)| column(name, "By/s", relative(BYTES_FLOOR), factor, true));
    let events = EVENTS
        .iter()
        .map(|name| column(name, "1/s", relative(EVENTS_FLOOR), 1.0, true));
    let memory = MEMORY
        .iter()
        .map(|name| column(&format!("mem_{name}_kB"), "By", memory, 1024.0, false));
    let gauges = GAUGES
        .iter()
        .map(|&(name, factor, step)| column(name, "1", Bound::Absolute { step }, factor, false));
    shares.chain(bytes).chain(events).chain(memory).chain(gauges).collect()
}
