//! Machine check banks: errors that the processors hold until the kernel takes them.
//!
//! The kernel drains the banks, so what is seen here is what it has not taken yet, or leaves to the firmware; counts of
//! errors of memory come from EDAC.

use std::collections::{BTreeMap, VecDeque};

use shadow::Finding;

use super::{
    mce::{Check, IA32_MCG_CAP, Layout},
    registers::Registers,
};
use crate::probe::cpuinfo::CpuInfo;

/// The most banks that a processor may have.
const MAX_BANKS: u32 = 64;

/// How many errors are remembered, so that a bank which several cores share is told once.
const MAX_TOLD: usize = 256;

/// All banks of a machine.
#[derive(Debug)]
pub(super) struct Banks {
    layout: Layout,
    count: u32,
    /// One hardware thread of each core, with its processor.
    cpus: Vec<(u32, u32)>,
    next: usize,
    /// The statuses that were seen last, by hardware thread and bank; only of banks that hold an error.
    held: BTreeMap<(u32, u32), u64>,
    told: VecDeque<Told>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    package: u32,
    bank: u32,
    status: u64,
    /// Who told it: with its bank's end the error may come anew.
    cpu: u32,
}

impl Banks {
    /// `None` where there is no bank to read.
    pub(super) fn find(registers: &impl Registers, info: &CpuInfo, cpus: Vec<(u32, u32)>) -> Option<Self> {
        let &(cpu, _) = cpus.first().filter(|_| info.has("mca"))?;
        let count = u32::try_from(registers.read(cpu, IA32_MCG_CAP)? & 0xff).ok()?;
        let amd = info.processor.vendor != "GenuineIntel";
        let layout = if amd && info.has("smca") {
            Layout::Scalable
        } else {
            Layout::Legacy
        };
        (count > 0).then(|| Self {
            layout,
            count: count.min(MAX_BANKS),
            cpus,
            next: 0,
            held: BTreeMap::new(),
            told: VecDeque::new(),
        })
    }

    /// Reads the banks of one core; the next round reads those of the next.
    pub(super) fn round(&mut self, registers: &impl Registers, findings: &mut Vec<Finding>) {
        let Some(&(cpu, package)) = self.cpus.get(self.next) else {
            return;
        };
        self.next = (self.next + 1) % self.cpus.len();
        for bank in 0..self.count {
            let Some(status) = registers.read(cpu, self.layout.status(bank)) else {
                continue;
            };
            match Check::decode(status, self.layout) {
                Some(check) => {
                    let error = Told {
                        package,
                        bank,
                        status,
                        cpu,
                    };
                    if self.is_new(error) {
                        findings.push(self.finding(registers, error, &check));
                    }
                }
                None => self.ended(cpu, bank),
            }
        }
    }

    fn is_new(&mut self, error: Told) -> bool {
        let Told {
            package,
            bank,
            status,
            cpu,
        } = error;
        if self.held.insert((cpu, bank), status) == Some(status) {
            return false;
        }
        let same = |told: &Told| told.package == package && told.bank == bank && told.status == status;
        if self.told.iter().any(same) {
            return false;
        }
        self.told.truncate(MAX_TOLD - 1);
        self.told.push_front(error);
        true
    }

    fn ended(&mut self, cpu: u32, bank: u32) {
        if self.held.remove(&(cpu, bank)).is_some() {
            self.told.retain(|told| (told.cpu, told.bank) != (cpu, bank));
        }
    }

    fn finding(&self, registers: &impl Registers, error: Told, check: &Check) -> Finding {
        let Told {
            package,
            bank,
            status,
            cpu,
        } = error;
        let mut details = vec![("status".to_owned(), format!("{status:#018x}"))];
        let first = self.layout.status(bank);
        for (name, there, register) in [
            ("address", check.has_address, first + 1),
            ("misc", check.has_more, first + 2),
        ] {
            let value = registers.read(cpu, register).filter(|_| there);
            details.extend(value.map(|value| (name.to_owned(), format!("{value:#018x}"))));
        }
        details.extend(check.corrected.map(|count| ("corrected".to_owned(), count.to_string())));
        let lost = if check.overflow { ", others were lost" } else { "" };
        Finding {
            source: "mce".to_owned(),
            subject: format!("cpu {cpu} bank {bank}"),
            kind: check.kind.to_owned(),
            severity: check.severity,
            text: format!(
                "machine check of processor {package}, bank {bank}: {}{lost}",
                check.what
            ),
            details,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{cpuinfo::tests::info, msr::registers::tests::Fake};

    const ERROR: u64 = 0x8c00_0040_0001_009f;

    fn machine() -> (Fake, Banks) {
        let mut fake = Fake::default();
        fake.set(0, IA32_MCG_CAP, 0x0100_0c02);
        for cpu in [0, 1] {
            fake.set(cpu, 0x401, 0);
            fake.set(cpu, 0x405, 0);
        }
        let info = info("GenuineIntel", 6, &[(0, 0, 0), (1, 0, 1)]);
        let banks = Banks::find(&fake, &info, vec![(0, 0), (1, 0)]).unwrap();
        (fake, banks)
    }

    fn rounds(banks: &mut Banks, fake: &Fake, count: u32) -> Vec<Finding> {
        let mut findings = Vec::new();
        (0..count).for_each(|_| banks.round(fake, &mut findings));
        findings
    }

    #[test]
    fn an_error_that_cores_share_is_told_once_and_again_when_it_recurs() {
        let (mut fake, mut banks) = machine();
        assert_eq!(rounds(&mut banks, &fake, 4), []);
        for cpu in [0, 1] {
            fake.set(cpu, 0x405, ERROR);
            fake.set(cpu, 0x406, 0x1234);
        }
        let found = rounds(&mut banks, &fake, 6);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].subject, "cpu 0 bank 1");
        let details: Vec<(&str, &str)> = found[0].details.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let expected = [
            ("status", "0x8c0000400001009f"),
            ("address", "0x0000000000001234"),
            ("corrected", "1"),
        ];
        assert_eq!(details, expected);
        fake.set(0, 0x405, 0);
        fake.set(1, 0x405, 0);
        assert_eq!(rounds(&mut banks, &fake, 2), []);
        fake.set(0, 0x405, ERROR);
        assert_eq!(rounds(&mut banks, &fake, 4).len(), 1);
    }

    #[test]
    fn a_machine_without_banks_has_none() {
        let info = info("GenuineIntel", 6, &[(0, 0, 0)]);
        let mut fake = Fake::default();
        assert!(Banks::find(&fake, &info, vec![(0, 0)]).is_none());
        fake.set(0, IA32_MCG_CAP, 0);
        assert!(Banks::find(&fake, &info, vec![(0, 0)]).is_none());
    }
}
