//! Bytes a second that a workload may read from, and write to, each disk: `MAJ:MIN rbps=... wbps=... riops=... wiops=...`, or
//! in version 1 a file for reads and one for writes, with a line `MAJ:MIN BYTES` a disk.

use super::{Aim, Folder, Quantity, Version, Words};

/// The keys of a line, in the kernel's order.
const KEYS: [&str; 4] = ["rbps", "wbps", "riops", "wiops"];

/// The least that leaves a disk usable.
const LEAST: f64 = 65_536.0;

/// Behind a disk's number in version 1: of which file the value is.
const OF_ONE: [(char, &str); 2] = [
    ('r', "blkio.throttle.read_bps_device"),
    ('w', "blkio.throttle.write_bps_device"),
];

/// `io.max`, a line a disk; a disk without a line has no limit.
pub(super) struct IoMax;

impl Words for IoMax {
    fn name(&self) -> &'static str {
        "io.max"
    }

    fn quantity(&self) -> Quantity {
        Quantity::Disk
    }

    fn file(&self, version: Version) -> Option<(&'static str, &'static str)> {
        match version {
            Version::Two => Some(("", "io.max")),
            Version::One => Some(("blkio", OF_ONE[0].1)),
        }
    }

    fn file_of(&self, file: &'static str, detail: &str) -> &'static str {
        OF_ONE
            .into_iter()
            .find(|(letter, _)| detail.ends_with(*letter))
            .map_or(file, |(_, of)| of)
    }

    fn aim(&self, folder: &Folder<'_>, bytes: f64) -> Result<Vec<Aim>, String> {
        if folder.disks.is_empty() {
            return Err("there is no disk to limit".to_owned());
        }
        let limit = bytes.max(LEAST).round();
        let note = if bytes < LEAST { "raised to 64 KiB/s" } else { "" };
        if folder.version == Version::One {
            let aim = |disk: &String, letter: char| Aim {
                detail: format!("{disk}{letter}"),
                text: format!("{limit:.0}"),
                note: note.to_owned(),
            };
            let both = |disk| OF_ONE.map(|(letter, _)| aim(disk, letter));
            return Ok(folder.disks.iter().flat_map(both).collect());
        }
        let text = folder.read("io.max").map_err(|fault| format!("io.max: {fault}"))?;
        let aim = |disk: &String| {
            let [_, _, reads, writes] = values(&text, disk);
            Aim {
                detail: disk.clone(),
                text: join([format!("{limit:.0}"), format!("{limit:.0}"), reads, writes]),
                note: note.to_owned(),
            }
        };
        Ok(folder.disks.iter().map(aim).collect())
    }

    fn pick(&self, text: &str, disk: &str) -> String {
        match of_one(disk) {
            Some(disk) => {
                let lines = text.lines().filter_map(|line| line.split_once(' '));
                let value = lines.filter(|(of, _)| *of == disk).map(|(_, value)| value).next();
                value.unwrap_or("max").to_owned()
            }
            None => join(values(text, disk)),
        }
    }

    fn line(&self, text: &str, disk: &str) -> String {
        match of_one(disk) {
            // 0 is no limit.
            Some(disk) => format!("{disk} {}", if text == "max" { "0" } else { text }),
            None => format!("{disk} {text}"),
        }
    }

    fn amount(&self, folder: &Folder<'_>, text: &str) -> Option<f64> {
        if folder.version == Version::One {
            return text.parse().ok();
        }
        let [read, write, ..] = values(&format!("x {text}"), "x");
        let [read, write] = [read, write].map(|value| value.parse::<f64>().ok());
        match (read, write) {
            (Some(read), Some(write)) => Some(read.min(write)),
            (one, other) => one.or(other),
        }
    }
}

/// The disk of a detail of version 1.
fn of_one(detail: &str) -> Option<&str> {
    OF_ONE.into_iter().find_map(|(letter, _)| detail.strip_suffix(letter))
}

/// The values of `disk`, in the order of [`KEYS`]; `max` where it has none.
fn values(text: &str, disk: &str) -> [String; 4] {
    let line = text
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(of, _)| *of == disk));
    let line = line.map_or("", |(_, line)| line);
    KEYS.map(|key| {
        let mut pairs = line.split_ascii_whitespace().filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(of, _)| *of == key).map_or("max", |(_, value)| value);
        value.to_owned()
    })
}

fn join(values: [String; 4]) -> String {
    let pairs = KEYS.iter().zip(values).map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}
