//! Processes that sample this machine ten times a second, each in its own way.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    thread,
    time::{Duration, Instant},
};

use sysinfo::{CpuRefreshKind, Disks, MemoryRefreshKind, Networks, RefreshKind, System};

const TICK: Duration = Duration::from_millis(100);

/// Samples of a frame.
const A_FRAME: usize = 10;

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

/// Reading, and parsing with the others of a second as the agent does, without frames and publishing.
pub(super) fn probes() -> anyhow::Result<()> {
    let config = agent::config::Probes {
        off: FAST_ONLY.iter().map(|&name| name.to_owned()).collect(),
        ..agent::config::Probes::default()
    };
    let mut probes = agent::probe::ProbeSet::open(agent::probe::Place::new("/".into(), config));
    let clock = runtime::Clock::system();
    let mut taken = Vec::new();
    each_tick(|| {
        let now_ns = clock.monotonic_ns();
        if taken.len() + 1 < A_FRAME && probes.record(taken.len(), now_ns) {
            taken.push(now_ns);
            return Ok(());
        }
        for (number, then_ns) in taken.drain(..).enumerate() {
            probes.play(number, then_ns);
        }
        probes.sample(now_ns);
        Ok(())
    })
}

/// The floor: every file is read once, and nothing is made of it.
pub(super) fn raw_preads() -> anyhow::Result<()> {
    let files: Vec<File> = FILES.iter().filter_map(|path| File::open(path).ok()).collect();
    let mut buffer = vec![0; 64 << 10];
    each_tick(|| {
        for file in &files {
            file.read_at(&mut buffer, 0)?;
        }
        Ok(())
    })
}

/// The crate sysinfo, which has no pressure and no load.
pub(super) fn with_sysinfo() -> anyhow::Result<()> {
    let kinds = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing().with_usage())
        .with_memory(MemoryRefreshKind::everything());
    let failed = |why: sysinfo::Error| anyhow::anyhow!("sysinfo: {why:?}");
    let mut system = System::new_with_specifics(kinds).map_err(failed)?;
    let mut networks = Networks::new_with_refreshed_list().map_err(failed)?;
    let mut disks = Disks::new_with_refreshed_list().map_err(failed)?;
    each_tick(|| {
        system.refresh_specifics(kinds);
        networks.refresh(false);
        disks.refresh(false);
        Ok(())
    })
}

/// Calls `sample` each tick, until that fails or the process is killed.
fn each_tick(mut sample: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut next = Instant::now();
    loop {
        sample()?;
        next += TICK;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
