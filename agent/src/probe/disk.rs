//! Traffic of whole disks: `/proc/diskstats` (kernel documentation, `admin-guide/iostats`).
//!
//! Left out is what would count the same bytes twice or is no disk: partitions, device-mapper, md and
//! other stacked devices, loop and memory disks.

use std::fs;

use shadow::{Bound, Channel, Metric, Reading, metric::channel_metric, rate::RateMeter};

use super::{
    BYTES_FLOOR, EVENTS_FLOOR, HALF_POINT, Place, Probe,
    file::KeptFile,
    network::total,
    parse::{Fields, fields, lines, metric_part, next_number},
    put,
};
use crate::error::ProbeError;

/// A sector of `/proc/diskstats`, whatever the disk calls a sector.
const SECTOR_BYTES: f64 = 512.0;

/// Devices that are no disks, or lie on top of disks that are counted already.
const NO_DISKS: [&str; 10] = [
    "loop", "ram", "zram", "dm-", "md", "drbd", "bcache", "sr", "fd", "mtdblock",
];

/// What is told of each disk, in this order.
const PARTS: [(&str, &str, Bound); 8] = [
    ("read_bytes", "By/s", relative(BYTES_FLOOR)),
    ("write_bytes", "By/s", relative(BYTES_FLOOR)),
    ("read_ios", "1/s", relative(EVENTS_FLOOR)),
    ("write_ios", "1/s", relative(EVENTS_FLOOR)),
    ("busy", "1", HALF_POINT),
    ("inflight", "{request}", Bound::Absolute { step: 1.0 }),
    (
        "queue",
        "{request}",
        Bound::Relative {
            ratio: 0.01,
            floor: 0.1,
        },
    ),
    (
        "wait",
        "s",
        Bound::Relative {
            ratio: 0.01,
            floor: 1e-4,
        },
    ),
];

const fn relative(floor: f64) -> Bound {
    Bound::Relative { ratio: 0.01, floor }
}

/// Opens `/proc/diskstats`.
///
/// # Errors
/// [`ProbeError`] when it is not there, or shows no disk.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let table = KeptFile::open(place.path("proc/diskstats"))?;
    let names = chosen(place, &table.read()?);
    if names.is_empty() {
        return Err(ProbeError::Absent(format!("{} shows no disk", table.path().display())));
    }
    let mut metrics = vec![channel_metric(Channel::DiskRead), channel_metric(Channel::DiskWrite)];
    for name in &names {
        let name = metric_part(name);
        metrics.extend(PARTS.map(|(part, unit, bound)| Metric::new(format!("disk.{name}.{part}"), unit, bound)));
    }
    Ok(Box::new(Disks {
        place: place.clone(),
        table,
        each: names.into_iter().map(Disk::new).collect(),
        metrics,
    }))
}

/// The disks that are sampled on the host at `place`; empty where that cannot be told.
pub fn disks(place: &Place) -> Vec<String> {
    fs::read(place.path("proc/diskstats")).map_or_else(|_| Vec::new(), |text| chosen(place, &text))
}

fn chosen(place: &Place, text: &[u8]) -> Vec<String> {
    let all: Vec<String> = lines(text)
        .filter_map(|line| Some(String::from_utf8_lossy(fields(line).nth(2)?).into_owned()))
        .collect();
    let wanted = &place.config.disk.devices;
    let keep = |name: &&String| match wanted.as_slice() {
        [] => is_whole_disk(name, &all),
        names => names.contains(name),
    };
    all.iter().filter(keep).cloned().collect()
}

/// Whether `name` is a disk of its own, among `all` names of the host.
fn is_whole_disk(name: &str, all: &[String]) -> bool {
    let stacked = NO_DISKS.iter().any(|prefix| name.starts_with(prefix));
    let partition = all.iter().any(|disk| is_partition(name, disk));
    !stacked && !partition && !is_path(name)
}

/// `sda1` of `sda`, `nvme0n1p2` of `nvme0n1`, `mmcblk0p1` of `mmcblk0` (but not `mmcblk0boot0`, and not
/// `sdaa` of `sda`).
fn is_partition(name: &str, disk: &str) -> bool {
    let Some(rest) = name.strip_prefix(disk) else {
        return false;
    };
    let number = if disk.ends_with(|c: char| c.is_ascii_digit()) {
        rest.strip_prefix('p')
    } else {
        Some(rest)
    };
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// `nvme0c1n1`: one of several paths to `nvme0n1`, which counts them all.
fn is_path(name: &str) -> bool {
    name.strip_prefix("nvme").is_some_and(|rest| rest.contains('c'))
}

struct Disks {
    place: Place,
    table: KeptFile,
    each: Vec<Disk>,
    metrics: Vec<Metric>,
}

impl Probe for Disks {
    fn location(&self) -> String {
        let names: Vec<&str> = self.each.iter().map(|d| d.name.as_str()).collect();
        format!("{}: {}", self.table.path().display(), names.join(", "))
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let (sums, parts) = out.split_at_mut(out.len().min(2));
        parts.fill(Reading::ABSENT);
        for line in lines(&self.table.read()?) {
            let mut fields = fields(line);
            let name = fields.nth(2).unwrap_or_default();
            let mut places = self.each.iter_mut().zip(parts.chunks_mut(PARTS.len()));
            if let Some((disk, out)) = places.find(|(disk, _)| name.iter().eq(disk.name.as_bytes()))
                && let Some(counters) = Counters::parse(fields)
            {
                put(out, disk.update(&counters, now_ns));
            }
        }
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = total(parts.iter().skip(column).step_by(PARTS.len()));
        }
        Ok(())
    }

    fn record(&self, number: usize) -> Option<usize> {
        Some(self.table.record(number))
    }

    fn outdated(&mut self) -> bool {
        let now = self.table.read().map(|text| chosen(&self.place, &text));
        now.map_or(true, |names| !names.iter().eq(self.each.iter().map(|d| &d.name)))
    }
}

/// Since boot, except `inflight`, which is now.
struct Counters {
    reads: u64,
    sectors_read: u64,
    writes: u64,
    sectors_written: u64,
    inflight: u64,
    busy_ms: u64,
    /// Time of all requests that were done, and of all that were there.
    done_ms: u64,
    queued_ms: u64,
}

impl Counters {
    /// What is behind major, minor and name: reads completed, merged, sectors, ms; the same of writes; in flight, busy ms,
    /// ms of all requests together.
    fn parse(mut fields: Fields<'_>) -> Option<Self> {
        let mut values = [0; 11];
        for value in &mut values {
            *value = next_number(&mut fields)?;
        }
        let [
            reads,
            _,
            sectors_read,
            read_ms,
            writes,
            _,
            sectors_written,
            write_ms,
            inflight,
            busy_ms,
            queued_ms,
        ] = values;
        Some(Self {
            reads,
            sectors_read,
            writes,
            sectors_written,
            inflight,
            busy_ms,
            done_ms: read_ms.saturating_add(write_ms),
            queued_ms,
        })
    }
}

struct Disk {
    name: String,
    meters: [RateMeter; 7],
}

impl Disk {
    fn new(name: String) -> Self {
        Self {
            name,
            meters: Default::default(),
        }
    }

    /// In the order of [`PARTS`].
    fn update(&mut self, now: &Counters, now_ns: u64) -> [Reading; PARTS.len()] {
        let [read, written, reads, writes, busy, done, queued] = &mut self.meters;
        let (reads, writes) = (reads.update(now.reads, now_ns), writes.update(now.writes, now_ns));
        let requests = total([&reads, &writes].into_iter());
        let done = done.update(now.done_ms, now_ns);
        [
            scaled(read.update(now.sectors_read, now_ns), SECTOR_BYTES),
            scaled(written.update(now.sectors_written, now_ns), SECTOR_BYTES),
            reads,
            writes,
            scaled(busy.update(now.busy_ms, now_ns), 1e-3),
            Reading::new(now.inflight as f64),
            scaled(queued.update(now.queued_ms, now_ns), 1e-3),
            wait(done, requests),
        ]
    }
}

/// Seconds that a request took on average, of milliseconds and requests a second; stale while none is done.
fn wait(done: Reading, requests: Reading) -> Reading {
    match (done.value(), requests.value()) {
        (Some(ms), Some(requests)) if requests > 0.0 => Reading::new(ms / requests / 1e3),
        _ => Reading::STALE,
    }
}

/// `reading` times `factor`; one that is missing stays so.
pub(super) fn scaled(reading: Reading, factor: f64) -> Reading {
    reading.value().map_or(reading, |value| Reading::new(value * factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read};

    #[test]
    fn whole_disks_are_told_from_partitions_and_stacks() {
        let all = "sda sda1 sda12 sdaa nvme0n1 nvme0n1p2 nvme0c1n1 mmcblk0 mmcblk0p1 mmcblk0boot0 xvda1 vda dm-0 md127 md127p1 loop0 ram0 zram0 sr0 nbd0";
        let all: Vec<String> = all.split(' ').map(str::to_owned).collect();
        let whole: Vec<&String> = all.iter().filter(|name| is_whole_disk(name, &all)).collect();
        assert_eq!(
            whole,
            [
                "sda",
                "sdaa",
                "nvme0n1",
                "mmcblk0",
                "mmcblk0boot0",
                "xvda1",
                "vda",
                "nbd0"
            ]
        );
    }

    #[test]
    fn counters_become_rates() {
        let before =
            "   8       0 sda 10 0 100 5 20 0 200 9 3 1000 14\n   8       1 sda1 10 0 100 5 20 0 200 9 0 1000 14\n";
        let tree = Tree::new(&[("proc/diskstats", before)]);
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        // Newer kernels have more columns.
        tree.set(
            "proc/diskstats",
            "   8       0 sda 20 0 300 25 60 0 1200 89 2 1500 1014 1 2 3 4 5 6\n",
        );
        check(
            &read(probe.as_mut(), 2.0).unwrap(),
            &[
                ("host.disk.read", 100.0 * 512.0),
                ("host.disk.write", 500.0 * 512.0),
                ("disk.sda.read_ios", 5.0),
                ("disk.sda.write_ios", 20.0),
                ("disk.sda.busy", 0.25),
                ("disk.sda.inflight", 2.0),
                ("disk.sda.queue", 0.5),
                ("disk.sda.wait", 0.002),
            ],
        );
    }

    #[test]
    fn a_machine_without_disks_says_so() {
        let tree = Tree::new(&[("proc/diskstats", "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0\n")]);
        let fault = open(&tree.place()).err().unwrap();
        assert_eq!(fault.state(), shadow::SourceState::Absent);
    }
}
