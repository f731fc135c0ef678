//! The files of one cgroup, and what is made of their numbers.

use std::path::Path;

use shadow::{Bound, Metric, Reading, rate::RateMeter};

use super::Found;
use crate::{
    error::ProbeError,
    probe::{
        BYTES_FLOOR, EVENTS_FLOOR, HALF_POINT,
        disk::scaled,
        file::KeptFile,
        parse::{fields, lines, next_number, number},
    },
};

const CORES: Bound = Bound::Relative {
    ratio: 0.01,
    floor: 0.1,
};
const BYTES: Bound = Bound::Relative {
    ratio: 0.001,
    floor: 1e6,
};

/// Some files of one cgroup that are read together.
pub(super) struct Source {
    metrics: Vec<Metric>,
    files: Files,
}

enum Files {
    /// `usage_usec` and `throttled_usec` of `cpu.stat`; version 1 tells the latter alone, in nanoseconds.
    Cpu {
        stat: KeptFile,
        usage: RateMeter,
        throttled: RateMeter,
    },
    /// `cpuacct.usage`: nanoseconds.
    Usage {
        file: KeptFile,
        meter: RateMeter,
    },
    /// `throttled_time` of version 1's `cpu.stat`: nanoseconds.
    Throttled {
        stat: KeptFile,
        meter: RateMeter,
    },
    Memory {
        charged: KeptFile,
        stat: KeptFile,
        /// Names of idle pages of files and of anonymous memory in `stat`.
        names: [&'static [u8]; 2],
        /// Anonymous bytes of the last reading, and when that was.
        last: Option<(u64, u64)>,
    },
    Events {
        file: KeptFile,
        kills: RateMeter,
        high: RateMeter,
        killed: Option<u64>,
        /// Since it was asked last.
        more: u64,
    },
    Io {
        file: KeptFile,
        /// Bytes read and written on all devices, of what is in it.
        parse: fn(&[u8]) -> [u64; 2],
        read: RateMeter,
        written: RateMeter,
    },
    Tasks(KeptFile),
    /// Microseconds that some task waited.
    Pressure {
        file: KeptFile,
        meter: RateMeter,
    },
}

impl Source {
    /// What cgroup v2 has of a workload.
    pub(super) fn of_v2(found: &Found) -> Vec<Self> {
        let Some(dir) = found.cpu.as_deref() else {
            return Vec::new();
        };
        let name = &found.name;
        let all = [
            cpu(name, dir),
            memory(
                name,
                dir,
                ["memory.current", "memory.stat"],
                [b"inactive_file", b"anon"],
            ),
            open(dir, "memory.events").map(|file| events(name, file, &["oom_kills", "memory_high"])),
            open(dir, "io.stat").map(|file| io(name, file, transferred)),
            open(dir, "pids.current").map(|file| tasks(name, file)),
            pressure(name, dir, "cpu"),
            pressure(name, dir, "memory"),
            pressure(name, dir, "io"),
        ];
        all.into_iter().flatten().collect()
    }

    /// What cgroup v1 has of a workload. Each file is in the tree of its controller; the kernel tells no pressure there,
    /// and of kills only those in the group itself.
    pub(super) fn of_v1(found: &Found) -> Vec<Self> {
        let name = &found.name;
        let file = |file: &str| found.dirs().find_map(|dir| open(dir, file));
        let usage = file("cpuacct.usage").map(|file| Self {
            metrics: vec![metric(name, "cpu", "{core}", CORES)],
            files: Files::Usage {
                file,
                meter: RateMeter::default(),
            },
        });
        let throttled = file("cpu.stat").map(|stat| Self {
            metrics: vec![metric(name, "throttled", "1", HALF_POINT)],
            files: Files::Throttled {
                stat,
                meter: RateMeter::default(),
            },
        });
        let files = ["memory.usage_in_bytes", "memory.stat"];
        let names: [&[u8]; 2] = [b"total_inactive_file", b"total_rss"];
        let memory = found.memory.as_deref().and_then(|dir| memory(name, dir, files, names));
        // Told since Linux 4.13.
        let tells = |file: &KeptFile| file.read().is_ok_and(|text| named(&text, [b"oom_kill"]) != [None]);
        let kills = file("memory.oom_control").filter(tells);
        let all = [
            usage,
            throttled,
            memory,
            kills.map(|file| events(name, file, &["oom_kills"])),
            file("blkio.throttle.io_service_bytes_recursive").map(|file| io(name, file, transferred_v1)),
            file("pids.current").map(|file| tasks(name, file)),
        ];
        all.into_iter().flatten().collect()
    }

    pub(super) fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// How many processes were killed for want of memory since the last call.
    pub(super) fn take_killed(&mut self) -> u64 {
        match &mut self.files {
            Files::Events { more, .. } => std::mem::take(more),
            _ => 0,
        }
    }

    /// Reads into the places of its metrics.
    ///
    /// # Errors
    /// [`ProbeError`] when a file is gone or tells nothing.
    pub(super) fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let readings = self.files.read(now_ns)?;
        crate::probe::put(out, readings);
        Ok(())
    }
}

impl Files {
    /// As many readings as there are metrics, the rest is to be left out.
    fn read(&mut self, now_ns: u64) -> Result<[Reading; 3], ProbeError> {
        let mut out = [Reading::ABSENT; 3];
        let [first, second, third] = &mut out;
        match self {
            Self::Cpu { stat, usage, throttled } => {
                let [used, held] = named(&stat.read()?, [b"usage_usec", b"throttled_usec"]);
                let used = used.ok_or_else(|| stat.format("tells no usage_usec"))?;
                *first = scaled(usage.update(used, now_ns), 1e-6);
                *second = held.map_or(Reading::ABSENT, |held| scaled(throttled.update(held, now_ns), 1e-6));
            }
            Self::Usage { file, meter } => *first = scaled(meter.update(file.number()?, now_ns), 1e-9),
            Self::Throttled { stat, meter } => {
                let [held] = named(&stat.read()?, [b"throttled_time"]);
                *first = held.map_or(Reading::ABSENT, |held| scaled(meter.update(held, now_ns), 1e-9));
            }
            Self::Memory {
                charged,
                stat,
                names,
                last,
            } => {
                let all = charged.number()?;
                let [idle, anon] = named(&stat.read()?, *names);
                *first = Reading::new(all.saturating_sub(idle.unwrap_or(0)) as f64);
                *second = Reading::new(all as f64);
                *third = anon.map_or(Reading::ABSENT, |anon| {
                    growth(last.replace((anon, now_ns)), anon, now_ns)
                });
            }
            Self::Events {
                file,
                kills,
                high,
                killed,
                more,
            } => {
                let [held, dead] = named(&file.read()?, [b"high", b"oom_kill"]);
                if let Some(dead) = dead {
                    *first = kills.update(dead, now_ns);
                    *more += dead.saturating_sub(killed.replace(dead).unwrap_or(dead));
                }
                *second = held.map_or(Reading::ABSENT, |held| high.update(held, now_ns));
            }
            Self::Io {
                file,
                parse,
                read,
                written,
            } => {
                let [r, w] = parse(&file.read()?);
                *first = read.update(r, now_ns);
                *second = written.update(w, now_ns);
            }
            Self::Tasks(file) => *first = Reading::new(file.number()? as f64),
            Self::Pressure { file, meter } => {
                let total = waited(&file.read()?).ok_or_else(|| file.format("tells no total"))?;
                *first = scaled(meter.update(total, now_ns), 1e-6);
            }
        }
        Ok(out)
    }
}

/// Bytes a second that anonymous memory grew, or below 0 shrank.
fn growth(last: Option<(u64, u64)>, anon: u64, now_ns: u64) -> Reading {
    match last {
        Some((before, then_ns)) if now_ns > then_ns => {
            Reading::new((anon as f64 - before as f64) / ((now_ns - then_ns) as f64 / 1e9))
        }
        _ => Reading::STALE,
    }
}

fn open(dir: &Path, file: &str) -> Option<KeptFile> {
    KeptFile::open(dir.join(file)).ok()
}

fn metric(workload: &str, part: &str, unit: &str, bound: Bound) -> Metric {
    Metric::new(format!("workload.{workload}.{part}"), unit, bound)
}

fn rate(workload: &str, part: &str, unit: &str, floor: f64) -> Metric {
    Metric::rate(format!("workload.{workload}.{part}"), unit, floor)
}

fn cpu(name: &str, dir: &Path) -> Option<Source> {
    let stat = open(dir, "cpu.stat")?;
    Some(Source {
        metrics: vec![
            metric(name, "cpu", "{core}", CORES),
            metric(name, "throttled", "1", HALF_POINT),
        ],
        files: Files::Cpu {
            stat,
            usage: RateMeter::default(),
            throttled: RateMeter::default(),
        },
    })
}

fn memory(name: &str, dir: &Path, [charged, stat]: [&str; 2], names: [&'static [u8]; 2]) -> Option<Source> {
    Some(Source {
        metrics: vec![
            metric(name, "memory", "By", BYTES),
            metric(name, "memory_charged", "By", BYTES),
            rate(name, "memory_growth", "By/s", 1e5),
        ],
        files: Files::Memory {
            charged: open(dir, charged)?,
            stat: open(dir, stat)?,
            names,
            last: None,
        },
    })
}

/// `parts` of `oom_kills` and `memory_high`, in this order, that the file tells.
fn events(name: &str, file: KeptFile, parts: &[&str]) -> Source {
    let parts = parts.iter().map(|part| rate(name, part, "1/s", EVENTS_FLOOR));
    Source {
        metrics: parts.collect(),
        files: Files::Events {
            file,
            kills: RateMeter::default(),
            high: RateMeter::default(),
            killed: None,
            more: 0,
        },
    }
}

fn io(name: &str, file: KeptFile, parse: fn(&[u8]) -> [u64; 2]) -> Source {
    Source {
        metrics: vec![
            rate(name, "disk_read", "By/s", BYTES_FLOOR),
            rate(name, "disk_write", "By/s", BYTES_FLOOR),
        ],
        files: Files::Io {
            file,
            parse,
            read: RateMeter::default(),
            written: RateMeter::default(),
        },
    }
}

fn tasks(name: &str, file: KeptFile) -> Source {
    Source {
        metrics: vec![metric(name, "tasks", "{task}", Bound::Absolute { step: 1.0 })],
        files: Files::Tasks(file),
    }
}

fn pressure(name: &str, dir: &Path, what: &str) -> Option<Source> {
    let file = open(dir, &format!("{what}.pressure"))?;
    waited(&file.read().ok()?)?;
    Some(Source {
        metrics: vec![metric(name, &format!("pressure.{what}"), "1", HALF_POINT)],
        files: Files::Pressure {
            file,
            meter: RateMeter::default(),
        },
    })
}

/// The numbers of the lines `NAME NUMBER` with these names.
fn named<const N: usize>(text: &[u8], names: [&[u8]; N]) -> [Option<u64>; N] {
    let mut found = [None; N];
    for line in lines(text) {
        let mut fields = fields(line);
        let Some(name) = fields.next() else { continue };
        if let Some((_, place)) = names.iter().zip(&mut found).find(|(known, _)| **known == name) {
            *place = next_number(&mut fields);
        }
    }
    found
}

/// Bytes read and written on all devices, of lines such as `8:0 rbytes=90430464 wbytes=299008 rios=8950 ...`.
fn transferred(text: &[u8]) -> [u64; 2] {
    let mut sums = [0_u64; 2];
    for field in lines(text).flat_map(fields) {
        let [read, written] = &mut sums;
        let (sum, value) = match (field.strip_prefix(b"rbytes="), field.strip_prefix(b"wbytes=")) {
            (Some(value), _) => (read, value),
            (_, Some(value)) => (written, value),
            _ => continue,
        };
        *sum = sum.saturating_add(number(value).unwrap_or(0));
    }
    sums
}

/// The same of lines such as `8:0 Read 90430464` and `8:0 Write 299008`.
fn transferred_v1(text: &[u8]) -> [u64; 2] {
    let mut sums = [0_u64; 2];
    for line in lines(text) {
        let mut fields = fields(line);
        let [read, written] = &mut sums;
        let sum = match fields.nth(1) {
            Some(b"Read") => read,
            Some(b"Write") => written,
            _ => continue,
        };
        *sum = sum.saturating_add(next_number(&mut fields).unwrap_or(0));
    }
    sums
}

/// `total` of the line `some avg10=0.00 ... total=123`.
fn waited(text: &[u8]) -> Option<u64> {
    let some = lines(text).find(|line| line.starts_with(b"some "))?;
    fields(some).find_map(|field| number(field.strip_prefix(b"total=")?))
}
