//! Model-specific registers of x86 processors: temperature and throttling (Intel), effective frequency, machine checks.
//!
//! A worker asks each processor once a second, and at most 16 of its cores, in turn. What no register tells is no metric:
//! a hypervisor may show registers that read as zero.
//!
//! | file | what it does |
//! |---|---|
//! | `registers` | `/dev/cpu/*/msr` |
//! | `intel`, `amd`, `mce` | decode registers |
//! | `reasons` | why a processor is throttled |
//! | `package` | one processor |
//! | `banks` | machine check banks |
//! | `rapl` | energy counters, for [`super::power`] |

use std::time::Duration;

use shadow::{Bound, Finding, Metric, Reading};

use self::{
    banks::Banks,
    package::Package,
    registers::{MsrFiles, Registers},
};
use super::{
    Place, Probe, Tier,
    cpuinfo::CpuInfo,
    worker::{Report, Worker},
};
use crate::error::ProbeError;

mod amd;
mod banks;
mod intel;
mod mce;
mod package;
pub(super) mod rapl;
mod reasons;
mod registers;

/// How often registers are read.
const EVERY: Duration = Duration::from_secs(1);

/// The most processors that are read.
const MAX_PACKAGES: u32 = 64;

/// Starts the worker.
///
/// # Errors
/// [`ProbeError`] when the registers cannot be read, or none of those tells anything.
pub fn open(place: &Place) -> Result<Box<dyn Probe>, ProbeError> {
    let info = CpuInfo::read(place)?;
    let registers = MsrFiles::open(place, info.cores().map(|thread| thread.cpu))?;
    let mut reader = Reader::new(registers, &info);
    if reader.banks.is_none() && reader.packages.iter().all(|package| package.abilities.is_none()) {
        let absent = "none of the known registers is implemented, or all read as zero, as under a hypervisor";
        return Err(ProbeError::Absent(absent.to_owned()));
    }
    let metrics = reader.metrics();
    let worker = Worker::start(place, "msr", EVERY, move |_| reader.round())?;
    Ok(Box::new(Msr {
        place: place.clone(),
        metrics,
        findings: Vec::new(),
        worker,
    }))
}

/// What the worker reads.
struct Reader<R> {
    registers: R,
    packages: Vec<Package>,
    banks: Option<Banks>,
}

impl<R: Registers> Reader<R> {
    fn new(registers: R, info: &CpuInfo) -> Self {
        let last = info.threads.iter().map(|thread| thread.package).max().unwrap_or(0);
        let ids = 0..=last.min(MAX_PACKAGES);
        let packages: Vec<Package> = ids.filter_map(|id| Package::new(&registers, info, id)).collect();
        let cores = |package: &Package| {
            let id = package.id;
            package.cpus().map(move |cpu| (cpu, id)).collect::<Vec<_>>()
        };
        let cpus = packages.iter().flat_map(cores).collect();
        Self {
            banks: Banks::find(&registers, info, cpus),
            packages,
            registers,
        }
    }

    /// In the order of the readings of [`Package::round`].
    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for Package { id, abilities, .. } in &self.packages {
            if abilities.base_hz.is_some() {
                let name = format!("processor.{id}.frequency");
                metrics.push(Metric::rate(name, "Hz", 1e6));
            }
            if abilities.tjmax.is_some() {
                let name = format!("processor.{id}.temperature");
                metrics.push(Metric::new(name, "Cel", Bound::Absolute { step: 0.5 }));
                let name = format!("processor.{id}.throttled");
                metrics.push(Metric::new(name, "1", Bound::Absolute { step: 1.0 }));
            }
        }
        metrics
    }

    fn round(&mut self) -> Report {
        let mut report = Report::default();
        for package in &mut self.packages {
            let readings = package.round(&self.registers, &mut report.findings);
            report.readings.extend(readings);
        }
        if let Some(banks) = &mut self.banks {
            banks.round(&self.registers, &mut report.findings);
        }
        report
    }
}

struct Msr {
    place: Place,
    metrics: Vec<Metric>,
    findings: Vec<Finding>,
    worker: Worker,
}

impl Probe for Msr {
    fn tier(&self) -> Tier {
        Tier::Middle
    }

    fn location(&self) -> String {
        self.place.path("dev/cpu").display().to_string()
    }

    fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    fn read(&mut self, _now_ns: u64, out: &mut [Reading]) -> Result<(), ProbeError> {
        self.worker.take(&self.place, out, &mut self.findings)?;
        Ok(())
    }

    fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{cpuinfo::tests::info, msr::registers::tests::Fake, tree::Tree};

    #[test]
    fn metrics_and_readings_are_in_step() {
        let mut fake = Fake::default();
        for cpu in [0, 2] {
            fake.set(cpu, intel::MSR_TEMPERATURE_TARGET, 0x0064_0000);
            fake.set(cpu, intel::IA32_PACKAGE_THERM_STATUS, 0x8841_0000);
        }
        fake.set(2, intel::MSR_PLATFORM_INFO, 0x1500);
        fake.set(2, 0xe7, 1);
        let info = info("GenuineIntel", 6, &[(0, 0, 0), (1, 0, 0), (2, 1, 0)]);
        let mut reader = Reader::new(fake, &info);
        let names: Vec<String> = reader.metrics().into_iter().map(|metric| metric.name).collect();
        let expected = [
            "processor.0.temperature",
            "processor.0.throttled",
            "processor.1.frequency",
            "processor.1.temperature",
            "processor.1.throttled",
        ];
        assert_eq!(names, expected);
        assert_eq!(reader.round().readings.len(), names.len());
    }

    #[test]
    fn what_is_missing_says_so() {
        let tree = Tree::new(&[]);
        let state = |tree: &Tree| open(&tree.place()).err().map(|fault| fault.state());
        assert_eq!(state(&tree), Some(shadow::SourceState::Absent));
        tree.set(
            "proc/cpuinfo",
            "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t: 85\n",
        );
        let fault = open(&tree.place()).err().unwrap();
        assert!(fault.to_string().contains("module msr"), "{fault}");
        tree.set_bytes("dev/cpu/0/msr", &[0; 4_096]);
        let fault = open(&tree.place()).err().unwrap();
        assert!(fault.to_string().contains("zero"), "{fault}");
    }
}
