//! Memory: `/proc/meminfo` (`proc_meminfo(5)`), whose `kB` are 1,024 bytes.

use shadow::{Bound, Channel, Metric, Reading, metric::channel_metric};

use super::{
    Place, Probe,
    file::KeptFile,
    parse::{after, fields, lines, next_number},
    put,
};
use crate::error::ProbeError;

/// Opens `/proc/meminfo`.
///
/// # Errors
/// [`ProbeError::Absent`] when it is not there or does not tell `MemTotal` and `MemAvailable`.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let file = KeptFile::open(place.path("proc/meminfo"))?;
    let table = Table::parse(&file.read()?);
    let (Some(total), Some(_)) = (table.total, table.available) else {
        let path = file.path().display();
        return Err(ProbeError::Absent(format!(
            "{path} tells no MemTotal or no MemAvailable (Linux 3.14)"
        )));
    };
    // A thousandth of the memory: off by at most 0.05 % of it.
    let bound = Bound::Absolute {
        step: (total as f64 / 1e3).max(1.0),
    };
    let names = [
        "available",
        "free",
        "anon",
        "file",
        "slab",
        "swap_used",
        "dirty",
        "huge_anon",
        "huge_used",
        "committed",
    ];
    let mut metrics = vec![channel_metric(Channel::Memory)];
    metrics.extend(names.map(|name| Metric::new(format!("memory.{name}"), "By", bound)));
    Ok(Box::new(Memory { file, metrics }))
}

struct Memory {
    file: KeptFile,
    metrics: Vec<Metric>,
}

impl Probe for Memory {
    fn location(&self) -> String {
        self.file.path().display().to_string()
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, _now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let table = Table::parse(&self.file.read()?);
        put(
            out,
            table
                .readings()
                .map(|value| value.map_or(Reading::ABSENT, Reading::new)),
        );
        Ok(())
    }

    fn record(&self, number: usize) -> Option<usize> {
        Some(self.file.record(number))
    }
}

/// The lines that are used, in the order in which the kernel writes them (`meminfo_proc_show` in `fs/proc/meminfo.c`): what
/// was added over the years came in between.
const NAMES: [&[u8]; 16] = [
    b"MemTotal:",
    b"MemFree:",
    b"MemAvailable:",
    b"Buffers:",
    b"Cached:",
    b"SwapTotal:",
    b"SwapFree:",
    b"Dirty:",
    b"AnonPages:",
    b"Shmem:",
    b"Slab:",
    b"Committed_AS:",
    b"AnonHugePages:",
    b"HugePages_Total:",
    b"HugePages_Free:",
    b"Hugepagesize:",
];

/// What is behind a name; a number without a unit is a count.
fn bytes(rest: &[u8]) -> Option<u64> {
    let mut fields = fields(rest);
    let number = next_number(&mut fields)?;
    let unit = if fields.next() == Some(b"kB") { 1024 } else { 1 };
    number.checked_mul(unit)
}

/// The same lines, in bytes.
struct Table {
    total: Option<u64>,
    available: Option<u64>,
    buffers: Option<u64>,
    cached: Option<u64>,
    shared: Option<u64>,
    anon: Option<u64>,
    slab: Option<u64>,
    swap_total: Option<u64>,
    swap_free: Option<u64>,
    dirty: Option<u64>,
    free: Option<u64>,
    huge_anon: Option<u64>,
    /// How many huge pages there are, how many are free, and how large one is.
    huge_total: Option<u64>,
    huge_free: Option<u64>,
    huge_size: Option<u64>,
    committed: Option<u64>,
}

impl Table {
    fn parse(text: &[u8]) -> Self {
        let mut values = [None; NAMES.len()];
        let mut next = 0;
        for line in lines(text) {
            let mut ahead = (next..).zip(NAMES.get(next..).unwrap_or_default());
            // The first letter alone sorts most lines out.
            let is_it = |name: &[u8]| line.first() == name.first();
            let Some((at, rest)) = ahead.find_map(|(at, name)| Some((at, is_it(name).then(|| after(line, name))??)))
            else {
                continue;
            };
            if let Some(place) = values.get_mut(at) {
                *place = bytes(rest);
            }
            next = at + 1;
            if next == NAMES.len() {
                break;
            }
        }
        let [
            total,
            free,
            available,
            buffers,
            cached,
            swap_total,
            swap_free,
            dirty,
            anon,
            shared,
            slab,
            committed,
            huge_anon,
            huge_total,
            huge_free,
            huge_size,
        ] = values;
        Self {
            total,
            available,
            buffers,
            cached,
            shared,
            anon,
            slab,
            swap_total,
            swap_free,
            dirty,
            free,
            huge_anon,
            huge_total,
            huge_free,
            huge_size,
            committed,
        }
    }

    /// In the order of the metrics. Pages of files are what is cached and buffered without shared memory,
    /// which has no file behind it.
    fn readings(&self) -> [Option<f64>; 11] {
        let less = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_sub(b?) as f64);
        let share = |used: f64| self.total.filter(|&t| t > 0).map(|total| used / total as f64);
        let cached = self.cached.zip(self.buffers).map(|(c, b)| c.saturating_add(b));
        [
            less(self.total, self.available).and_then(share),
            self.available.map(|v| v as f64),
            self.free.map(|v| v as f64),
            self.anon.map(|v| v as f64),
            less(cached, self.shared.or(Some(0))),
            self.slab.map(|v| v as f64),
            less(self.swap_total, self.swap_free),
            self.dirty.map(|v| v as f64),
            self.huge_anon.map(|v| v as f64),
            less(self.huge_total, self.huge_free)
                .zip(self.huge_size)
                .map(|(pages, size)| pages * size as f64),
            self.committed.map(|v| v as f64),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read};

    #[test]
    fn what_is_missing_is_absent_and_not_zero() {
        let text = "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\nBuffers: 10 kB\nCached: 90 kB\nSwapTotal: 8 kB\nSwapFree: 5 kB\nDirty: junk kB\nHugePages_Total: 5\nHugePages_Free: 3\nHugepagesize: 2048 kB\n";
        let tree = Tree::new(&[("proc/meminfo", text)]);
        let found = read(open(&tree.place()).unwrap().as_mut(), 0.0).unwrap();
        check(
            &found,
            &[
                ("host.memory", 0.6),
                ("memory.available", 400.0 * 1024.0),
                ("memory.file", 100.0 * 1024.0),
                ("memory.swap_used", 3.0 * 1024.0),
                ("memory.free", 1024.0),
                ("memory.huge_used", 4.0 * 1024.0 * 1024.0),
            ],
        );
        for absent in ["memory.anon", "memory.slab", "memory.dirty", "memory.committed"] {
            assert_eq!(found[absent], Reading::ABSENT, "{absent}");
        }
    }

    #[test]
    fn a_kernel_that_does_not_tell_what_is_available_is_refused() {
        let tree = Tree::new(&[("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\n")]);
        assert!(open(&tree.place()).is_err());
    }
}
