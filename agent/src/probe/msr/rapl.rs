//! Energy counters (RAPL), for machines whose kernel does not show them in powercap.
//!
//! Sources: Intel SDM, volume 3B, 14.10; AMD Processor Programming References of the families 17h to 1Ah (register
//! `RAPL_PWR_UNIT`). Which models count memory in a unit of its own is known from the kernel's `intel_rapl_common`.

use std::collections::BTreeSet;

use shadow::Processor;

use super::registers::{MsrFiles, Registers, path};
use crate::{
    error::ProbeError,
    probe::{Place, cpuinfo::CpuInfo},
};

const INTEL_UNIT: u32 = 0x606;
const INTEL_PACKAGE: u32 = 0x611;
const INTEL_DRAM: u32 = 0x619;
const AMD_UNIT: u32 = 0xc001_0299;
const AMD_PACKAGE: u32 = 0xc001_029b;

/// Joules a count of memory where the unit register does not hold: Haswell, Broadwell, Skylake and Ice Lake servers,
/// Xeon Phi.
const SERVER_DRAM_J: f64 = 15.3e-6;
const SERVER_DRAM: [u32; 7] = [0x3f, 0x4f, 0x55, 0x57, 0x6a, 0x6c, 0x85];

/// Models whose unit is a power of two of microjoules: Silvermont and Airmont.
const MICROJOULES: [u32; 4] = [0x37, 0x4a, 0x4c, 0x5a];

/// What a counter covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::probe) enum Domain {
    /// A processor as a whole.
    Package,
    /// The memory at a processor.
    Dram,
}

/// A counter of 32 bits that wraps.
#[derive(Debug)]
pub(in crate::probe) struct EnergyCounter<R = MsrFiles> {
    registers: R,
    cpu: u32,
    register: u32,
    /// What it covers.
    pub(in crate::probe) domain: Domain,
    /// What one count stands for.
    pub(in crate::probe) joules: f64,
    /// Where it is read, for people.
    pub(in crate::probe) location: String,
}

impl<R: Registers> EnergyCounter<R> {
    /// The count; `None` when the register no longer answers.
    pub(in crate::probe) fn count(&self) -> Option<u32> {
        count(self.registers.read(self.cpu, self.register)?)
    }
}

fn count(register: u64) -> Option<u32> {
    u32::try_from(register & 0xffff_ffff).ok()
}

/// All counters of the machine, one or two a processor.
///
/// # Errors
/// [`ProbeError`] when there is no processor of a known kind, or its registers cannot be read.
pub(in crate::probe) fn counters(place: &Place) -> Result<Vec<EnergyCounter>, ProbeError> {
    let info = CpuInfo::read(place)?;
    let mut packages = BTreeSet::new();
    let firsts = info.threads.iter().filter(|thread| packages.insert(thread.package));
    let mut found = Vec::new();
    for cpu in firsts.map(|thread| thread.cpu) {
        for (domain, register, joules) in domains(&MsrFiles::open(place, [cpu])?, cpu, &info.processor) {
            found.push(EnergyCounter {
                registers: MsrFiles::open(place, [cpu])?,
                cpu,
                register,
                domain,
                joules,
                location: format!("{} {register:#x}", path(place, cpu).display()),
            });
        }
    }
    Ok(found)
}

/// Those domains whose registers answer. A counter that stands at zero counts nothing: hypervisors show such.
fn domains(registers: &impl Registers, cpu: u32, processor: &Processor) -> Vec<(Domain, u32, f64)> {
    let (unit, known): (u32, &[(Domain, u32)]) = match &*processor.vendor {
        "GenuineIntel" => (
            INTEL_UNIT,
            &[(Domain::Package, INTEL_PACKAGE), (Domain::Dram, INTEL_DRAM)],
        ),
        "AuthenticAMD" | "HygonGenuine" => (AMD_UNIT, &[(Domain::Package, AMD_PACKAGE)]),
        _ => return Vec::new(),
    };
    let Some(unit) = registers.read(cpu, unit) else {
        return Vec::new();
    };
    let counts = |register: u32| {
        registers
            .read(cpu, register)
            .and_then(count)
            .is_some_and(|count| count > 0)
    };
    let domain = |&(domain, register): &(Domain, u32)| {
        let joules = joules(unit, domain, processor).filter(|_| counts(register))?;
        Some((domain, register, joules))
    };
    known.iter().filter_map(domain).collect()
}

/// Joules a count: 1 / 2^b12:8 of the unit register, where the model has no unit of its own; `None` of a unit register
/// that nobody fills.
fn joules(unit: u64, domain: Domain, processor: &Processor) -> Option<f64> {
    let [_, exponent, ..] = unit.to_le_bytes();
    let exponent = i32::from(exponent & 0x1f);
    let intel = processor.vendor == "GenuineIntel" && processor.family == 6;
    if unit == 0 {
        None
    } else if intel && domain == Domain::Dram && SERVER_DRAM.contains(&processor.model) {
        Some(SERVER_DRAM_J)
    } else if intel && MICROJOULES.contains(&processor.model) {
        Some(2_f64.powi(exponent) * 1e-6)
    } else {
        Some(2_f64.powi(-exponent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::msr::registers::tests::Fake;

    fn processor(vendor: &str, family: u32, model: u32) -> Processor {
        Processor {
            vendor: vendor.to_owned(),
            family,
            model,
            ..Processor::default()
        }
    }

    #[test]
    fn units_depend_on_the_model() {
        let intel = |model| processor("GenuineIntel", 6, model);
        let check = |unit, domain, processor: &Processor, expected: f64| {
            let joules = joules(unit, domain, processor).unwrap();
            assert!((joules - expected).abs() < expected * 1e-3, "{joules} {processor:?}");
        };
        check(0x000a_1003, Domain::Package, &intel(0x2a), 15.26e-6);
        check(0x000a_0e03, Domain::Package, &intel(0x55), 61.04e-6);
        check(0x000a_0e03, Domain::Dram, &intel(0x55), 15.3e-6);
        check(0x000a_0e03, Domain::Dram, &intel(0x8f), 61.04e-6);
        check(0x0000_0505, Domain::Package, &intel(0x37), 32e-6);
        check(
            0x000a_1000,
            Domain::Package,
            &processor("AuthenticAMD", 0x19, 0x61),
            15.26e-6,
        );
        assert_eq!(joules(0, Domain::Package, &intel(0x55)), None);
    }

    #[test]
    fn what_stands_at_zero_is_no_counter() {
        let mut fake = Fake::default();
        let amd = processor("AuthenticAMD", 0x19, 1);
        assert_eq!(domains(&fake, 0, &amd), []);
        fake.set(0, AMD_UNIT, 0);
        fake.set(0, AMD_PACKAGE, 5);
        assert_eq!(domains(&fake, 0, &amd), []);
        fake.set(0, AMD_UNIT, 0x000a_1000);
        assert_eq!(
            domains(&fake, 0, &amd),
            [(Domain::Package, AMD_PACKAGE, 2_f64.powi(-16))]
        );
        fake.set(0, AMD_PACKAGE, 0);
        assert_eq!(domains(&fake, 0, &amd), []);
    }

    /// Values that tools have decoded on real machines: `FORESHADOW_SHARED` names a folder with `data/hardware/msr`.
    #[test]
    fn recorded_values_are_read_as_their_reporters_read_them() {
        let Ok(shared) = std::env::var("FORESHADOW_SHARED") else {
            eprintln!("stepped aside: FORESHADOW_SHARED does not name a folder with data/hardware/msr");
            return;
        };
        let path = std::path::Path::new(&shared).join("data/hardware/msr/real-msr-values.tsv");
        let table = std::fs::read_to_string(path).unwrap();
        let value = |register: &str, machine: &str| {
            let row = table
                .lines()
                .find(|line| line.starts_with(register) && line.contains(machine));
            let hex = row.unwrap().split('\t').nth(2).unwrap().trim_start_matches("0x");
            u64::from_str_radix(hex, 16).unwrap()
        };
        let xeon = processor("GenuineIntel", 6, 0x2a);
        let unit = value("MSR_RAPL_POWER_UNIT", "Xeon E3-1270");
        let count = count(value("MSR_PKG_ENERGY_STATUS", "Xeon E3-1270")).unwrap();
        let energy = f64::from(count) * joules(unit, Domain::Package, &xeon).unwrap();
        assert!((energy - 20_152.0).abs() < 1.0, "{energy} J");
        let ryzen = processor("AuthenticAMD", 0x19, 0x61);
        let unit = joules(value("MSR_AMD_RAPL_PWR_UNIT", "7950X"), Domain::Package, &ryzen).unwrap();
        assert!((unit - 0.000_015).abs() < 1e-6, "{unit} J");
        let target = value("MSR_TEMPERATURE_TARGET", "i7-6600U");
        assert_eq!(super::super::intel::tjmax_celsius(target), Some(100));
    }
}
