//! Pressure stall information: `/proc/pressure/{cpu,memory,io}` (kernel documentation, `accounting/psi`).
//!
//! The share of time that some, or all, tasks that were not idle waited. Taken from the totals, which are
//! exact at any distance of samples; the kernel's own averages span 10 s at least. `full` of CPU is left
//! out, for it has no meaning for a host and reads 0.

use shadow::{Metric, Reading, rate::RateMeter};

use super::{
    HALF_POINT, Place, Probe,
    disk::scaled,
    file::KeptFile,
    parse::{lines, number},
};
use crate::error::ProbeError;

/// What is waited for, and how many lines of its file are told.
const FILES: [(&str, &[&str]); 3] = [
    ("cpu", &["some"]),
    ("memory", &["some", "full"]),
    ("io", &["some", "full"]),
];

/// Opens `/proc/pressure`.
///
/// # Errors
/// [`ProbeError`] where the kernel has no PSI (before 4.20, or booted with `psi=0`).
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let mut files = Vec::new();
    let mut metrics = Vec::new();
    for (what, kinds) in FILES {
        let file = KeptFile::open(place.path("proc/pressure").join(what))?;
        metrics.extend(
            kinds
                .iter()
                .map(|kind| Metric::new(format!("pressure.{what}.{kind}"), "1", HALF_POINT)),
        );
        files.push(Stalls {
            file,
            meters: kinds.iter().map(|_| RateMeter::default()).collect(),
        });
    }
    Ok(Box::new(Pressure {
        location: place.path("proc/pressure").display().to_string(),
        files,
        metrics,
    }))
}

struct Pressure {
    location: String,
    files: Vec<Stalls>,
    metrics: Vec<Metric>,
}

impl Probe for Pressure {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        let mut rest = out;
        for stalls in &mut self.files {
            let (out, tail) = rest.split_at_mut(stalls.meters.len().min(rest.len()));
            stalls.read(now_ns, out)?;
            rest = tail;
        }
        Ok(())
    }

    fn record(&self, number: usize) -> Option<usize> {
        Some(self.files.iter().map(|stalls| stalls.file.record(number)).sum())
    }
}

/// A cheap look at whether tasks wait, for the time between two samples.
pub struct Watch(Vec<Stalls>);

impl Watch {
    /// Opens what `/proc/pressure` has; without it, nothing is ever seen to wait.
    pub fn open(place: &Place) -> Self {
        let files = FILES.iter().filter_map(|(what, _)| {
            let file = KeptFile::open(place.path("proc/pressure").join(what)).ok()?;
            let meters = vec![RateMeter::default()];
            Some(Stalls { file, meters })
        });
        Self(files.collect())
    }

    /// The largest share of the time since the last look that some task waited for CPU, memory or a disk.
    pub fn waited(&mut self, now_ns: u64) -> f64 {
        let mut most = 0.0_f64;
        for stalls in &mut self.0 {
            let mut some = [Reading::STALE];
            if stalls.read(now_ns, &mut some).is_ok() {
                most = some.iter().filter_map(|reading| reading.value()).fold(most, f64::max);
            }
        }
        most
    }
}

struct Stalls {
    file: KeptFile,
    meters: Vec<RateMeter>,
}

impl Stalls {
    /// The lines come in the order of [`FILES`]: `some avg10=0.12 avg60=0.03 avg300=0.04 total=3100769`.
    fn read(&mut self, now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        out.fill(Reading::ABSENT);
        for ((line, meter), place) in lines(&self.file.read()?).zip(&mut self.meters).zip(out) {
            let total_us = line.rsplit(|&b| b == b'=').next().and_then(number);
            let share = total_us.map(|us| scaled(meter.update(us, now_ns), 1e-6));
            *place = share.unwrap_or(Reading::FAILED);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::{Tree, check, read};

    fn stalls(some: u64, full: u64) -> String {
        format!(
            "some avg10=0.12 avg60=0.03 avg300=0.04 total={some}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total={full}\n"
        )
    }

    #[test]
    fn stalls_are_shares_of_time() {
        let tree = Tree::new(&[]);
        for (what, _) in FILES {
            tree.set(&format!("proc/pressure/{what}"), &stalls(1_000_000, 500_000));
        }
        let mut probe = open(&tree.place()).unwrap();
        read(probe.as_mut(), 0.0).unwrap();
        tree.set("proc/pressure/io", &stalls(1_050_000, 525_000));
        check(
            &read(probe.as_mut(), 0.1).unwrap(),
            &[
                ("pressure.io.some", 0.5),
                ("pressure.io.full", 0.25),
                ("pressure.cpu.some", 0.0),
            ],
        );
        tree.set("proc/pressure/cpu", "some nonsense\n");
        assert_eq!(read(probe.as_mut(), 0.2).unwrap()["pressure.cpu.some"], Reading::FAILED);
    }

    #[test]
    fn a_watch_sees_what_waits() {
        let tree = Tree::new(&[("proc/pressure/io", &stalls(1_000_000, 0))]);
        let mut watch = Watch::open(&tree.place());
        assert_eq!(watch.waited(0), 0.0);
        tree.set("proc/pressure/io", &stalls(1_005_000, 0));
        assert!((watch.waited(100_000_000) - 0.05).abs() < 1e-9);
        assert_eq!(Watch::open(&Tree::new(&[]).place()).waited(0), 0.0);
    }

    #[test]
    fn a_kernel_without_it_says_so() {
        let fault = open(&Tree::new(&[]).place()).err().unwrap();
        assert_eq!(fault.state(), shadow::SourceState::Absent);
    }
}
