//! Processes that sample this machine ten times a second, each in its own way.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use sysinfo::{CpuRefreshKind, Disks, MemoryRefreshKind, Networks, RefreshKind, System};

use super::Cost;
use crate::process::memory_bytes;

const TICK: Duration = Duration::from_millis(100);

/// Probes that are left out, so that ours reads the same files as the floor.
pub(super) const FAST_ONLY: &[&str] = &[
    "paging", "numa", "power", "workload", "bmc", "pci", "edac", "thermal", "msr", "agent",
];

/// The files of the fast probes.
const FILES: [&str; 9] = [
    "/proc/stat",
    "/sys/fs/cgroup/cpuacct/cpuacct.usage_all",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/diskstats",
    "/proc/pressure/cpu",
    "/proc/pressure/memory",
    "/proc/pressure/io",
    "/proc/loadavg",
];

/// Waits until a tenth of a second has just passed by `phase`.
pub(super) fn wait_for_phase(phase: Duration) {
    let now_ms = runtime::Clock::system().now_ms().rem_euclid(100).unsigned_abs();
    let phase_ms = u64::try_from(phase.as_millis()).unwrap_or(0) % 100;
    thread::sleep(Duration::from_millis((phase_ms + 100 - now_ms) % 100));
}

/// Reading and parsing, without frames and publishing.
pub(super) fn probes(length: Duration) -> anyhow::Result<Cost> {
    let config = agent::config::Probes {
        off: FAST_ONLY.iter().map(|&name| name.to_owned()).collect(),
        ..agent::config::Probes::default()
    };
    let mut probes = agent::probe::ProbeSet::open(agent::probe::Place::new("/".into(), config));
    let clock = runtime::Clock::system();
    each_tick(length, || {
        probes.sample(clock.monotonic_ns());
        Ok(())
    })
}

/// The floor: every file is read once, and nothing is made of it.
pub(super) fn raw_preads(length: Duration) -> anyhow::Result<Cost> {
    let files: Vec<File> = FILES.iter().filter_map(|path| File::open(path).ok()).collect();
    let mut buffer = vec![0; 64 << 10];
    each_tick(length, || {
        for file in &files {
            file.read_at(&mut buffer, 0)?;
        }
        Ok(())
    })
}

/// The crate sysinfo, which has no pressure and no load.
pub(super) fn with_sysinfo(length: Duration) -> anyhow::Result<Cost> {
    let kinds = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing().with_usage())
        .with_memory(MemoryRefreshKind::everything());
    let failed = |why: sysinfo::Error| anyhow::anyhow!("sysinfo: {why:?}");
    let mut system = System::new_with_specifics(kinds).map_err(failed)?;
    let mut networks = Networks::new_with_refreshed_list().map_err(failed)?;
    let mut disks = Disks::new_with_refreshed_list().map_err(failed)?;
    each_tick(length, || {
        system.refresh_specifics(kinds);
        networks.refresh(false);
        disks.refresh(false);
        Ok(())
    })
}

/// Calls `sample` each tick and tells what a call cost.
fn each_tick(length: Duration, mut sample: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Cost> {
    sample()?;
    let (start, meter) = (Instant::now(), Meter::start());
    let mut ticks = 0;
    while start.elapsed() < length {
        ticks += 1;
        thread::sleep((start + TICK * ticks).saturating_duration_since(Instant::now()));
        sample()?;
    }
    meter.end(f64::from(ticks))
}

/// CPU time of this process.
struct Meter(Duration);

impl Meter {
    fn start() -> Self {
        Self(cpu_time())
    }

    fn end(self, samples: f64) -> anyhow::Result<Cost> {
        let spent = cpu_time().saturating_sub(self.0);
        Ok(Cost {
            cpu_us_per_sample: spent.as_secs_f64() * 1e6 / samples,
            rss_mb: memory_bytes(std::process::id(), "VmRSS:")? / 1e6,
        })
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
