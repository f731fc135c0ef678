//! Advanced error reporting: raw registers, and what the kernel has counted. Pure.
//!
//! The kernel clears the status registers once it has handled an error, so counts come from its own attributes
//! `aer_dev_correctable`, `aer_dev_nonfatal` and `aer_dev_fatal` (kernel documentation,
//! `ABI/testing/sysfs-bus-pci-devices-aer_stats`). Names of bits are those of the kernel.

use std::collections::BTreeMap;

use shadow::birth::Aer;

use super::{config_space::Space, express::set_bits};
use crate::probe::parse::{fields, lines, number};

/// Uncorrectable errors by bit (PCI Express 5.0, 7.8.4.2).
pub(super) const UNCORRECTABLE: [(u32, &str); 17] = [
    (4, "DLP"),
    (5, "SDES"),
    (12, "TLP"),
    (13, "FCP"),
    (14, "CmpltTO"),
    (15, "CmpltAbrt"),
    (16, "UnxCmplt"),
    (17, "RxOF"),
    (18, "MalfTLP"),
    (19, "ECRC"),
    (20, "UnsupReq"),
    (21, "ACSViol"),
    (22, "UncorrIntErr"),
    (23, "BlockedTLP"),
    (24, "AtomicOpBlocked"),
    (25, "TLPBlockedErr"),
    (26, "PoisonTLPBlocked"),
];

/// Correctable errors by bit (PCI Express 5.0, 7.8.4.5).
pub(super) const CORRECTABLE: [(u32, &str); 8] = [
    (0, "RxErr"),
    (6, "BadTLP"),
    (7, "BadDLLP"),
    (8, "Rollover"),
    (12, "Timeout"),
    (13, "NonFatalErr"),
    (14, "CorrIntErr"),
    (15, "HeaderOF"),
];

/// The most lines that a file of counts may have.
const MAX_LINES: usize = 64;

/// The raw registers of the capability at `at`, without counts.
pub(super) fn registers(space: &(impl Space + ?Sized), at: u16) -> Aer {
    Aer {
        uncorrectable_status: space.dword(at + 0x04),
        uncorrectable_mask: space.dword(at + 0x08),
        uncorrectable_severity: space.dword(at + 0x0c),
        correctable_status: space.dword(at + 0x10),
        correctable_mask: space.dword(at + 0x14),
        ..Aer::default()
    }
}

/// Names of the errors whose status bits are set.
pub(super) fn raised(aer: &Aer) -> impl Iterator<Item = &'static str> {
    let uncorrectable = set_bits(aer.uncorrectable_status.unwrap_or(0), &UNCORRECTABLE);
    uncorrectable.chain(set_bits(aer.correctable_status.unwrap_or(0), &CORRECTABLE))
}

/// What the kernel has counted of one class of errors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    by_name: BTreeMap<String, u64>,
    total: u64,
}

impl Counts {
    /// Reads `RxErr 0`, one a line, and a line `TOTAL_ERR_COR 0`; `None` when it is not of that form.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut counts = Self::default();
        let mut total = None;
        for line in lines(text).take(MAX_LINES) {
            let mut fields = fields(line);
            let name = std::str::from_utf8(fields.next()?).ok()?;
            let count = number(fields.next()?)?;
            if name.starts_with("TOTAL_ERR") {
                total = Some(count);
            } else {
                counts.by_name.insert(name.to_owned(), count);
            }
        }
        counts.total = total?;
        Some(counts)
    }

    /// All errors of the class.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// What was counted since `before`: the sum, and each name that rose. Counts that fell began anew, and tell nothing.
    pub(super) fn since<'a>(&'a self, before: &Self) -> Option<(u64, Vec<(&'a str, u64)>)> {
        let more = self.total.checked_sub(before.total).filter(|&more| more > 0)?;
        let rose = |(name, &count): (&'a String, &u64)| {
            let more = count.checked_sub(before.by_name.get(name).copied().unwrap_or(0))?;
            (more > 0).then_some((name.as_str(), more))
        };
        Some((more, self.by_name.iter().filter_map(rose).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::pci::fixture::Dump;

    #[test]
    fn registers_and_their_names_are_read() {
        let dump = Dump::endpoint()
            .dword(0x104, 1 << 12 | 1 << 20)
            .dword(0x108, 0x0010_0000)
            .dword(0x110, 1 << 6);
        let aer = registers(dump.bytes(), 0x100);
        assert_eq!(aer.uncorrectable_mask, Some(0x0010_0000));
        assert_eq!(raised(&aer).collect::<Vec<_>>(), ["TLP", "UnsupReq", "BadTLP"]);
        assert_eq!(registers(&dump.bytes()[..256], 0x100), Aer::default());
    }

    #[test]
    fn counts_tell_what_rose() {
        let parse = |text: &str| Counts::parse(text.as_bytes());
        let before = parse("RxErr 1\nBadTLP 2\nBadDLLP 0\nTOTAL_ERR_COR 3\n").unwrap();
        let after = parse("RxErr 1\nBadTLP 5\nBadDLLP 1\nTOTAL_ERR_COR 7\n").unwrap();
        assert_eq!(after.since(&before), Some((4, vec![("BadDLLP", 1), ("BadTLP", 3)])));
        assert_eq!(after.since(&after), None);
        assert_eq!(before.since(&after), None, "counted anew");
        for bad in ["", "RxErr\nTOTAL_ERR_COR 0", "RxErr 1\n", "RxErr x\nTOTAL_ERR_COR 1"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
