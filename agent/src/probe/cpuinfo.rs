//! What `/proc/cpuinfo` says of the processors (`proc_cpuinfo(5)`): identity, and which hardware thread is where.

use std::collections::BTreeSet;

use shadow::Processor;

use super::{Place, file::KeptFile};
use crate::error::ProbeError;

/// The most hardware threads that are told apart.
const MAX_THREADS: usize = 4_096;

/// The processors of an x86 machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuInfo {
    /// Identity and numbers.
    pub processor: Processor,
    /// Hardware threads in the order of their numbers.
    pub threads: Vec<Thread>,
    /// Features of the first thread, as the kernel calls them.
    flags: BTreeSet<String>,
}

/// One hardware thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thread {
    /// `N` of `cpuN`.
    pub cpu: u32,
    /// The socket that it is in.
    pub package: u32,
    /// Its core, a number within the socket.
    pub core: u32,
}

impl CpuInfo {
    /// Reads the table of the host at `place`.
    ///
    /// # Errors
    /// [`ProbeError`] when it is not there, or tells no CPUID family as only x86 has it.
    pub fn read(place: &Place) -> Result<Self, ProbeError> {
        let file = KeptFile::open(place.path("proc/cpuinfo"))?;
        let text = String::from_utf8_lossy(&file.read()?).into_owned();
        Self::parse(&text).ok_or_else(|| ProbeError::Absent("/proc/cpuinfo: not an x86 processor".to_owned()))
    }

    /// Whether the processors have the feature that the kernel calls `flag`.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    /// The first hardware thread of each core.
    pub fn cores(&self) -> impl Iterator<Item = Thread> {
        let mut known = BTreeSet::new();
        let is_first = move |thread: &Thread| known.insert((thread.package, thread.core));
        self.threads.iter().copied().filter(is_first)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut info = Self::default();
        for block in text.split("\n\n").take(MAX_THREADS) {
            let Some(cpu) = field(block, "processor").and_then(|text| text.parse().ok()) else {
                continue;
            };
            let number = |name: &str| field(block, name).and_then(|text| text.parse().ok());
            info.threads.push(Thread {
                cpu,
                package: number("physical id").unwrap_or(0),
                core: number("core id").unwrap_or(cpu),
            });
        }
        let first = text.split("\n\n").next()?;
        let flags = field(first, "flags").unwrap_or_default();
        info.flags = flags.split_whitespace().map(str::to_owned).collect();
        info.processor = processor(first)?;
        info.threads.sort_by_key(|thread| thread.cpu);
        info.count();
        Some(info)
    }

    fn count(&mut self) {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let packages: BTreeSet<u32> = self.threads.iter().map(|thread| thread.package).collect();
        self.processor.packages = number(packages.len());
        self.processor.cores = number(self.cores().count());
        self.processor.threads = number(self.threads.len());
    }
}

fn processor(block: &str) -> Option<Processor> {
    let number = |name: &str| field(block, name).and_then(|text| text.parse().ok());
    let microcode = field(block, "microcode").and_then(|text| text.strip_prefix("0x"));
    Some(Processor {
        vendor: field(block, "vendor_id")?.to_owned(),
        family: number("cpu family")?,
        model: number("model")?,
        stepping: number("stepping").unwrap_or(0),
        // All ones stand for a hypervisor that does not tell.
        microcode: microcode
            .and_then(|hex| u32::from_str_radix(hex, 16).ok())
            .filter(|&revision| revision != 0 && revision != u32::MAX),
        ..Processor::default()
    })
}

/// What follows `name` and a colon.
fn field<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    block.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim_end() == name).then(|| value.trim())
    })
}

#[cfg(test)]
pub(in crate::probe) mod tests {
    use super::*;

    /// A machine of the hardware threads (number, processor, core) with every feature that is asked for.
    pub(in crate::probe) fn info(vendor: &str, family: u32, threads: &[(u32, u32, u32)]) -> CpuInfo {
        let flags = ["aperfmperf", "dtherm", "pts", "mca"];
        let thread = |&(cpu, package, core): &(u32, u32, u32)| Thread { cpu, package, core };
        CpuInfo {
            processor: Processor {
                vendor: vendor.to_owned(),
                family,
                ..Processor::default()
            },
            threads: threads.iter().map(thread).collect(),
            flags: flags.map(str::to_owned).into(),
        }
    }

    fn block(cpu: u32, package: u32, core: u32) -> String {
        format!(
            "processor\t: {cpu}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: X\n\
             stepping\t: 4\nmicrocode\t: 0x200005e\nphysical id\t: {package}\ncore id\t\t: {core}\nflags\t\t: fpu pts\n"
        )
    }

    #[test]
    fn threads_cores_and_packages_are_counted() {
        let text = [block(0, 0, 0), block(1, 0, 0), block(2, 0, 1), block(3, 1, 0)].join("\n");
        let info = CpuInfo::parse(&text).unwrap();
        let expected = Processor {
            vendor: "GenuineIntel".to_owned(),
            family: 6,
            model: 85,
            stepping: 4,
            microcode: Some(0x0200_005e),
            packages: 2,
            cores: 3,
            threads: 4,
        };
        assert_eq!(info.processor, expected);
        assert!(info.has("pts") && !info.has("pt"));
        let last = Thread {
            cpu: 3,
            package: 1,
            core: 0,
        };
        assert_eq!(info.threads[3], last);
    }

    #[test]
    fn what_is_not_x86_or_not_told_is_none() {
        assert_eq!(
            CpuInfo::parse("processor\t: 0\nBogoMIPS\t: 48\nCPU part\t: 0xd0c\n"),
            None
        );
        assert_eq!(CpuInfo::parse(""), None);
        let hidden = block(0, 0, 0).replace("0x200005e", "0xffffffff");
        assert_eq!(CpuInfo::parse(&hidden).unwrap().processor.microcode, None);
    }
}
