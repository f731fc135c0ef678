//! Machine check banks: what a status register says. Pure.
//!
//! Sources: Intel SDM, volume 3B, 15.3.2 (registers) and 15.9 (codes); AMD64 Architecture Programmer's Manual, volume 2,
//! 9.3 (which shares codes of caches, buses and address translation, and has deferred errors besides).

use shadow::Severity;

/// Count of banks in b7:0.
pub(super) const IA32_MCG_CAP: u32 = 0x179;

/// Where the registers of a bank are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// 401h + 4 x bank.
    Legacy,
    /// AMD's scalable architecture: C0002001h + 10h x bank.
    Scalable,
}

impl Layout {
    /// The bank's status; address and further information are the two registers after it.
    pub(super) const fn status(self, bank: u32) -> u32 {
        match self {
            Self::Legacy => 0x401 + 4 * bank,
            Self::Scalable => 0xc000_2001 + 0x10 * bank,
        }
    }
}

/// What a status register says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// Of the event.
    pub(super) kind: &'static str,
    pub(super) severity: Severity,
    /// What failed, in words.
    pub(super) what: String,
    /// How many corrected errors the bank has counted; `None` where it does not say.
    pub(super) corrected: Option<u16>,
    /// Whether errors were lost, because the bank was full.
    pub(super) overflow: bool,
    /// Whether the two registers after the status hold something.
    pub(super) has_address: bool,
    pub(super) has_more: bool,
}

impl Check {
    /// `None` of a bank that holds no error.
    pub(super) fn decode(status: u64, layout: Layout) -> Option<Self> {
        let bit = |n: u32| status >> n & 1 != 0;
        if !bit(63) {
            return None;
        }
        let deferred = layout == Layout::Scalable && bit(44);
        let (kind, severity) = match (bit(61), bit(57)) {
            (true, true) => ("fatal_error", Severity::Critical),
            (true, false) => ("uncorrected_error", Severity::Critical),
            (false, _) if deferred => ("deferred_error", Severity::Warning),
            (false, _) => ("corrected_error", Severity::Warning),
        };
        let [low, high, ..] = status.to_le_bytes();
        let counted = u16::try_from(status >> 38 & 0x7fff).ok();
        Some(Self {
            kind,
            severity,
            what: what(u16::from_le_bytes([low, high])),
            corrected: counted.filter(|&count| count > 0 && layout == Layout::Legacy && !bit(61)),
            overflow: bit(62),
            has_address: bit(58),
            has_more: bit(59),
        })
    }
}

/// Kinds of transactions, b3:2.
const TRANSACTIONS: [&str; 4] = ["instruction", "data", "generic", "unknown"];
/// Levels of caches, b1:0.
const LEVELS: [&str; 4] = ["level-0", "level-1", "level-2", "generic level"];
/// Requests, b7:4.
const REQUESTS: [&str; 9] = [
    "generic",
    "read",
    "write",
    "data-read",
    "data-write",
    "instruction-fetch",
    "prefetch",
    "eviction",
    "snoop",
];
/// What a memory controller did, b6:4.
const MEMORY: [&str; 5] = ["generic", "read", "write", "address or command", "scrub"];
/// Who took part on the bus, b10:9.
const PARTIES: [&str; 4] = [
    "request of this processor",
    "response",
    "seen as third party",
    "generic",
];
/// What was accessed, b3:2.
const TARGETS: [&str; 4] = ["memory", "reserved", "I/O", "other"];

fn pick(names: &'static [&'static str], index: u16) -> &'static str {
    names.get(usize::from(index)).copied().unwrap_or("unknown")
}

/// An error code in words, Intel SDM, tables 15-8 to 15-14.
fn what(code: u16) -> String {
    // b12 tells that corrected errors are filtered, and is no part of the code.
    let code = code & !0x1000;
    let (kind, level) = (pick(&TRANSACTIONS, code >> 2 & 3), pick(&LEVELS, code & 3));
    let request = pick(&REQUESTS, code >> 4 & 0xf);
    match code {
        0x0000 => "no error".to_owned(),
        0x0001 => "unclassified".to_owned(),
        0x0002 => "microcode ROM parity".to_owned(),
        0x0003 => "external".to_owned(),
        0x0004 => "functional redundancy check".to_owned(),
        0x0005 => "internal parity".to_owned(),
        0x0006 => "SMM handler code access violation".to_owned(),
        0x000c..=0x000f => format!("{level} generic cache hierarchy"),
        0x0010..=0x001f => format!("{kind} TLB {level}"),
        0x0080..=0x00ff => memory("memory", code),
        0x0100..=0x01ff => format!("{kind} cache {level} {request}"),
        0x0280..=0x02ff => memory("memory used as cache", code),
        0x0400 => "internal timer".to_owned(),
        0x0401..=0x07ff => format!("internal unclassified {code:#06x}"),
        0x0800..=0x0fff => {
            let (party, target) = (pick(&PARTIES, code >> 9 & 3), pick(&TARGETS, code >> 2 & 3));
            let timeout = if code >> 8 & 1 == 0 { "no timeout" } else { "timed out" };
            format!("bus {level}, {party}, {request}, {target}, {timeout}")
        }
        _ => format!("unknown code {code:#06x}"),
    }
}

fn memory(which: &str, code: u16) -> String {
    let action = pick(&MEMORY, code >> 4 & 7);
    match code & 0xf {
        0xf => format!("{which}: {action}, channel not known"),
        channel => format!("{which}: {action}, channel {channel}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn check(status: u64) -> Check {
        Check::decode(status, Layout::Legacy).unwrap()
    }

    #[test]
    fn only_a_valid_status_is_an_error() {
        assert_eq!(Check::decode(0, Layout::Legacy), None);
        assert_eq!(Check::decode(0x1234, Layout::Scalable), None);
    }

    #[test]
    fn severity_follows_correction_and_context() {
        let corrected = check(0x8c00_0040_0001_009f);
        assert_eq!(
            (corrected.kind, corrected.severity),
            ("corrected_error", Severity::Warning)
        );
        assert_eq!(
            (corrected.corrected, corrected.has_address, corrected.has_more),
            (Some(1), true, true)
        );
        assert_eq!(corrected.what, "memory: read, channel not known");
        assert_eq!(check(0xbe00_0000_0080_0400).kind, "fatal_error");
        assert_eq!(check(0xbc00_0000_0100_0134).kind, "uncorrected_error");
        assert!(check(0xd000_0000_0000_0000).overflow);
        let deferred = Check::decode(0x9c00_1000_0001_0000, Layout::Scalable).unwrap();
        assert_eq!(deferred.kind, "deferred_error");
    }

    #[test]
    fn codes_have_words() {
        for (code, words) in [
            (0x0005, "internal parity"),
            (0x000e, "level-2 generic cache hierarchy"),
            (0x0015, "data TLB level-1"),
            (0x00c1, "memory: scrub, channel 1"),
            (0x0136, "data cache level-2 data-read"),
            (0x1136, "data cache level-2 data-read"),
            (0x0290, "memory used as cache: read, channel 0"),
            (0x0410, "internal unclassified 0x0410"),
            (0x0e0b, "bus generic level, generic, generic, I/O, no timeout"),
            (0x0020, "unknown code 0x0020"),
        ] {
            assert_eq!(what(code), words, "{code:#06x}");
        }
    }

    #[test]
    fn banks_have_registers() {
        assert_eq!(Layout::Legacy.status(5), 0x415);
        assert_eq!(Layout::Scalable.status(17), 0xc000_2111);
    }

    /// Recorded inputs of `mcelog`: `FORESHADOW_SHARED` names a folder with `data/hardware/mce`.
    #[test]
    fn recorded_statuses_are_decoded() {
        let Ok(shared) = std::env::var("FORESHADOW_SHARED") else {
            eprintln!("stepped aside: FORESHADOW_SHARED does not name a folder with data/hardware/mce");
            return;
        };
        for (file, expected) in [
            ("bdw_mirror1.txt", Some("memory: generic, channel 0")),
            ("skx_mirror1.txt", Some("memory: generic, channel 0")),
            ("spr_uc_patscrub.txt", Some("memory: generic, channel 0")),
            ("dimm0.txt", Some("memory: generic, channel 0")),
            ("simple1.txt", None),
            ("full1.txt", None),
        ] {
            let path = std::path::Path::new(&shared).join("data/hardware/mce").join(file);
            let text = std::fs::read_to_string(path).unwrap();
            let hex = text.lines().find_map(|line| line.strip_prefix("STATUS ")).unwrap();
            let status = u64::from_str_radix(hex.trim().trim_start_matches("0x"), 16).unwrap();
            let found = Check::decode(status, Layout::Legacy);
            assert_eq!(found.as_ref().map(|check| check.what.as_str()), expected, "{file}");
            assert!(found.is_none_or(|check| check.kind == "corrected_error"), "{file}");
        }
    }

    /// The words of `mcelog`, as far as another word stands for the same.
    const MCELOG: [(&str, &str); 20] = [
        ("microcode rom parity error", "microcode ROM parity"),
        ("smm handler code access violation", "SMM handler code access violation"),
        ("frc error", "functional redundancy check"),
        ("internal timer error", "internal timer"),
        ("level-3", "generic level"),
        ("gen_channel", "generic, channel "),
        ("rd_channel", "read, channel "),
        ("wr_channel", "write, channel "),
        ("ac_channel", "address or command, channel "),
        ("ms_channel", "scrub, channel "),
        ("unspecified_err", "not known"),
        ("_err", ""),
        ("memory as cache: memory controller", "memory used as cache:"),
        ("memory controller", "memory:"),
        ("local-cpu-originated-request", "request of this processor,"),
        ("observed-error-as-third-party", "seen as third party,"),
        ("responed-to-request", "response,"),
        ("request-did-not-timeout", "no timeout"),
        ("request-timed-out", "timed out"),
        ("memory-access", "memory,"),
    ];

    /// What `GENMCA` expects of `mcelog`, in our words.
    fn in_our_words(expected: &str) -> String {
        let lower = expected.trim().to_lowercase();
        let mapped = MCELOG
            .iter()
            .fold(lower, |text, (theirs, ours)| text.replace(theirs, ours));
        mapped.trim_end_matches(" error").replace(" tlb ", " TLB ")
    }

    /// The generator of test cases of `mcelog`: `FORESHADOW_SHARED` names a folder with `data/hardware/mce/GENMCA`.
    #[test]
    fn codes_have_the_words_of_mcelog() {
        let Ok(shared) = std::env::var("FORESHADOW_SHARED") else {
            eprintln!("stepped aside: FORESHADOW_SHARED does not name a folder with data/hardware/mce");
            return;
        };
        let script = std::path::Path::new(&shared).join("data/hardware/mce/GENMCA");
        let script = if script.exists() {
            script
        } else {
            script.with_extension("txt")
        };
        let dir = tempfile::TempDir::new().unwrap();
        let mut compared = 0;
        for code in [
            1, 2, 4, 5, 6, 0xc, 0xd, 0x10, 0x15, 0x1a, 0x80, 0x91, 0xa2, 0xb3, 0xcf, 0x285, 0x29f, 0x400,
        ] {
            let status = format!("{:#x}", 0x8000_0000_0000_0000_u64 | code);
            let mut bash = std::process::Command::new("bash");
            let done = bash.arg(&script).arg(&status).current_dir(dir.path()).status();
            assert!(done.unwrap().success(), "{status}");
            let expected = std::fs::read_to_string(dir.path().join(format!("mca-{code:x}-expect"))).unwrap();
            assert_eq!(
                check(0x8000_0000_0000_0000 | code).what,
                in_our_words(&expected),
                "{code:#x} {expected}"
            );
            compared += 1;
        }
        eprintln!("{compared} codes have the words of mcelog");
    }
}
