//! Processor time in nanoseconds: `cpuacct.usage_all` of cgroup v1's root (kernel documentation,
//! `admin-guide/cgroup-v1/cpuacct`). The scheduler charges what a task ran, and does not count ticks.
//!
//! Where only cgroup v2 is there is nothing finer than `/proc/stat`: `cpu.stat` of its root is the sum of the same ticks
//! (`root_cgroup_cputime` in `kernel/cgroup/rstat.c`), and `/proc/schedstat` charges a core when its task is taken off it,
//! so that a busy one looks idle for long.

use shadow::{Reading, rate::RateMeter};

use crate::{
    error::ProbeError,
    probe::{
        Place,
        file::KeptFile,
        parse::{fields, lines, next_number},
    },
};

/// How far both accounts of the time since boot may lie apart, as a share, and in seconds where that is more.
const AGREEMENT: (f64, f64) = (0.1, 10.0);

/// What each core ran.
pub(super) struct Nanos {
    file: KeptFile,
    cores: Vec<Core>,
}

struct Core {
    id: u64,
    user: RateMeter,
    system: RateMeter,
}

impl Nanos {
    /// Opens it for the cores `ids`, where the host has it. In a container it may show the container alone:
    /// so it is used only when it agrees with `busy_s`, the seconds that the host was busy since boot.
    pub(super) fn open(place: &Place, ids: &[u64], busy_s: f64) -> Option<Self> {
        let roots = ["cpuacct", "cpu,cpuacct", "cpu"].map(|name| place.path("sys/fs/cgroup").join(name));
        let path = roots
            .into_iter()
            .map(|root| root.join("cpuacct.usage_all"))
            .find(|path| path.exists())?;
        let file = KeptFile::open(path).ok()?;
        let total_s: f64 = lines(&file.read().ok()?)
            .filter_map(parse)
            .map(|(_, user, system)| (user + system) as f64 / 1e9)
            .sum();
        let (share, seconds) = AGREEMENT;
        if (total_s - busy_s).abs() > (busy_s * share).max(seconds) {
            return None;
        }
        let cores = ids.iter().map(|&id| Core {
            id,
            user: RateMeter::default(),
            system: RateMeter::default(),
        });
        let cores = cores.collect();
        Some(Self { file, cores })
    }

    /// Puts it on tape.
    pub(super) fn record(&self, number: usize) -> usize {
        self.file.record(number)
    }

    /// Writes the shares of user and system time of each core to the first two of its `parts` places in
    /// `out`; returns the share of all cores that ran tasks.
    pub(super) fn read(&mut self, now_ns: u64, out: &mut [Reading], parts: usize) -> Result<Reading, ProbeError> {
        let mut sum = 0.0;
        let mut known = 0;
        for (id, user, system) in lines(&self.file.read()?).filter_map(parse) {
            let mut places = self.cores.iter_mut().zip(out.chunks_mut(parts));
            let Some((core, places)) = places.find(|(core, _)| core.id == id) else {
                continue;
            };
            let shares = [core.user.update(user, now_ns), core.system.update(system, now_ns)].map(at_most_one);
            places.iter_mut().zip(shares).for_each(|(place, share)| *place = share);
            if let [Some(user), Some(system)] = shares.map(Reading::value) {
                sum += (user + system).min(1.0);
                known += 1;
            }
        }
        if known < self.cores.len() {
            return Ok(Reading::STALE);
        }
        Ok(Reading::new(sum / self.cores.len() as f64))
    }
}

/// A running task is charged at the next tick: a core may seem to have run longer than time passed.
fn at_most_one(share: Reading) -> Reading {
    share.value().map_or(share, |v| Reading::new((v / 1e9).min(1.0)))
}

/// `0 529702461051 32006897957`: core, user, system; `None` for the heading.
fn parse(line: &[u8]) -> Option<(u64, u64, u64)> {
    let mut fields = fields(line);
    Some((
        next_number(&mut fields)?,
        next_number(&mut fields)?,
        next_number(&mut fields)?,
    ))
}
