//! One processor: its temperature, its frequency, and why it is throttled.

use shadow::{Finding, Reading};

use super::{
    amd,
    intel::{self, Throttling},
    reasons::Reasons,
    registers::Registers,
};
use crate::probe::cpuinfo::{CpuInfo, Thread};

/// The most cores of a processor that are asked in one round: each wakes up a core that sleeps. The next round asks the
/// next ones.
const CORES_A_ROUND: usize = 16;

/// Rounds without a reason after which throttling has ended: limits come and go within seconds.
const QUIET_ROUNDS: u32 = 10;

/// What is read of a processor, found out once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Abilities {
    /// The throttling temperature; with it, Intel's thermal registers are read.
    pub(super) tjmax: Option<u8>,
    /// Whether the package has a thermal register besides its cores.
    package_thermal: bool,
    /// Where it tells why it is limited. Zero there means that it is not.
    limit_reasons: Option<u32>,
    /// The frequency at which `MPERF` counts; with it, both counters are read.
    pub(super) base_hz: Option<f64>,
}

impl Abilities {
    fn find(registers: &impl Registers, info: &CpuInfo, cpu: u32) -> Self {
        let read = |register: u32| registers.read(cpu, register);
        let family = info.processor.family;
        let counts = info.has("aperfmperf") && read(IA32_MPERF).is_some_and(|count| count > 0);
        let base = |hz: Option<f64>| hz.filter(|_| counts);
        match &*info.processor.vendor {
            "GenuineIntel" => Self {
                tjmax: read(intel::MSR_TEMPERATURE_TARGET)
                    .and_then(intel::tjmax_celsius)
                    .filter(|_| info.has("dtherm")),
                package_thermal: info.has("pts"),
                limit_reasons: intel::LIMIT_REASONS
                    .into_iter()
                    .find(|&register| read(register).is_some()),
                base_hz: base(read(intel::MSR_PLATFORM_INFO).and_then(intel::base_hz)),
            },
            "AuthenticAMD" | "HygonGenuine" => Self {
                base_hz: base(read(amd::PSTATE_DEF_0).and_then(|definition| amd::base_hz(family, definition))),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    /// Whether there is nothing to read.
    pub(super) const fn is_none(&self) -> bool {
        self.tjmax.is_none() && self.base_hz.is_none()
    }
}

/// Busy time at the base frequency, and at the frequency that was (Intel SDM, volume 3B, 14.2; the same of AMD).
const IA32_MPERF: u32 = 0xe7;
const IA32_APERF: u32 = 0xe8;

/// One processor.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) id: u32,
    pub(super) abilities: Abilities,
    /// One hardware thread of each core.
    cores: Vec<Core>,
    /// The core that is asked next.
    next: usize,
    logged: Option<Reasons>,
    episode: Episode,
}

#[derive(Debug, Clone, Copy)]
struct Core {
    cpu: u32,
    /// `MPERF` and `APERF` of the last time.
    counts: Option<(u64, u64)>,
    /// Its log bits of the last time.
    logged: Option<Reasons>,
}

/// What one round has told.
#[derive(Debug, Default)]
struct Round {
    mperf: u64,
    aperf: u64,
    hottest: Option<f64>,
    reasons: Reasons,
}

impl Package {
    /// The processor `id`; `None` when no thread of it is there.
    pub(super) fn new(registers: &impl Registers, info: &CpuInfo, id: u32) -> Option<Self> {
        let core = |thread: Thread| Core {
            cpu: thread.cpu,
            counts: None,
            logged: None,
        };
        let own = info.cores().filter(|thread| thread.package == id);
        let cores: Vec<Core> = own.map(core).collect();
        let first = cores.first()?.cpu;
        Some(Self {
            id,
            abilities: Abilities::find(registers, info, first),
            cores,
            next: 0,
            logged: None,
            episode: Episode::default(),
        })
    }

    /// One hardware thread of each core.
    pub(super) fn cpus(&self) -> impl Iterator<Item = u32> {
        self.cores.iter().map(|core| core.cpu)
    }

    /// Reads it once: frequency in Hz, temperature in degrees Celsius, and whether it is throttled, as far as it has them.
    pub(super) fn round(&mut self, registers: &impl Registers, findings: &mut Vec<Finding>) -> Vec<Reading> {
        let mut round = Round::default();
        self.ask_package(registers, &mut round);
        let count = self.cores.len().min(CORES_A_ROUND);
        for _ in 0..count {
            self.ask_next_core(registers, &mut round);
        }
        findings.extend(self.episode.update(self.id, round.reasons));
        let mut readings = Vec::with_capacity(3);
        if let Some(base) = self.abilities.base_hz {
            // Cores that all slept have no frequency.
            let frequency = base * round.aperf as f64 / round.mperf as f64;
            readings.push(if round.mperf == 0 {
                Reading::STALE
            } else {
                Reading::new(frequency)
            });
        }
        if self.abilities.tjmax.is_some() {
            readings.push(round.hottest.map_or(Reading::FAILED, Reading::new));
            readings.push(Reading::new(if round.reasons.is_none() { 0.0 } else { 1.0 }));
        }
        readings
    }

    fn ask_package(&mut self, registers: &impl Registers, round: &mut Round) {
        let Some(cpu) = self.cores.first().map(|core| core.cpu) else {
            return;
        };
        let read = |register: u32| registers.read(cpu, register);
        let mut told = Throttling::default();
        if let Some(tjmax) = self.abilities.tjmax.filter(|_| self.abilities.package_thermal)
            && let Some(status) = read(intel::IA32_PACKAGE_THERM_STATUS)
        {
            round.hottest = intel::package_celsius(status, tjmax);
            told = intel::package_throttling(status);
        }
        if let Some(register) = self.abilities.limit_reasons.and_then(read) {
            let limits = intel::limits(register);
            told.now = told.now.and(limits.now);
            told.logged = told.logged.and(limits.logged);
        }
        round.reasons = round.reasons.and(told.since(&mut self.logged));
    }

    fn ask_next_core(&mut self, registers: &impl Registers, round: &mut Round) {
        let next = self.next;
        self.next = (next + 1) % self.cores.len().max(1);
        let Some(core) = self.cores.get_mut(next) else { return };
        let read = |register: u32| registers.read(core.cpu, register);
        if let Some(tjmax) = self.abilities.tjmax
            && let Some(status) = read(intel::IA32_THERM_STATUS)
        {
            let celsius = intel::core_celsius(status, tjmax);
            round.hottest = round.hottest.into_iter().chain(celsius).reduce(f64::max);
            round.reasons = round
                .reasons
                .and(intel::core_throttling(status).since(&mut core.logged));
        }
        if self.abilities.base_hz.is_none() {
            return;
        }
        let now = read(IA32_MPERF).zip(read(IA32_APERF));
        let before = std::mem::replace(&mut core.counts, now);
        if let (Some(now), Some(before)) = (now, before)
            && let Some(mperf) = now.0.checked_sub(before.0)
            && let Some(aperf) = now.1.checked_sub(before.1)
        {
            round.mperf = round.mperf.saturating_add(mperf);
            round.aperf = round.aperf.saturating_add(aperf);
        }
    }
}

impl Throttling {
    /// The reasons that are there now, or were there since the last time: their log bit was not set then. `last` becomes
    /// the log bits of this time.
    fn since(self, last: &mut Option<Reasons>) -> Reasons {
        let before = last.replace(self.logged).unwrap_or(self.logged);
        self.now.and(self.logged.without(before))
    }
}

/// Throttling from its begin to its end, so that limits which come and go are told once.
#[derive(Debug, Clone, Copy, Default)]
struct Episode {
    told: Reasons,
    quiet: u32,
}

impl Episode {
    fn update(&mut self, package: u32, reasons: Reasons) -> Option<Finding> {
        let new = reasons.without(self.told);
        self.told = self.told.and(reasons);
        self.quiet = if reasons.is_none() { self.quiet + 1 } else { 0 };
        let finding = |kind: &str, severity, text| Finding {
            source: "msr".to_owned(),
            subject: format!("processor {package}"),
            kind: kind.to_owned(),
            severity,
            text,
            details: Vec::new(),
        };
        if !new.is_none() {
            let text = format!("processor {package} is throttled: {}", new.names().join(", "));
            return Some(finding("throttled", new.severity(), text));
        }
        if self.told.is_none() || self.quiet < QUIET_ROUNDS {
            return None;
        }
        let text = format!("processor {package} is no longer throttled");
        *self = Self::default();
        Some(finding("unthrottled", shadow::Severity::Info, text))
    }
}

#[cfg(test)]
mod tests {
    use shadow::Severity;

    use super::*;
    use crate::probe::{cpuinfo::tests::info, msr::registers::tests::Fake};

    fn xeon() -> (Fake, Package) {
        let mut fake = Fake::default();
        for (register, value) in [
            (intel::MSR_TEMPERATURE_TARGET, 0x0064_0000),
            (intel::MSR_PLATFORM_INFO, 0x1500),
            (intel::IA32_PACKAGE_THERM_STATUS, 0x8841_0000),
            (IA32_MPERF, 1_000),
            (IA32_APERF, 1_000),
        ] {
            fake.set(0, register, value);
        }
        fake.set(0, intel::IA32_THERM_STATUS, 0x883c_0000);
        let package = Package::new(&fake, &info("GenuineIntel", 6, &[(0, 0, 0), (1, 0, 0)]), 0).unwrap();
        (fake, package)
    }

    fn values(package: &mut Package, fake: &Fake) -> (Vec<Option<f64>>, Vec<Finding>) {
        let mut findings = Vec::new();
        let readings = package.round(fake, &mut findings);
        (readings.iter().map(|reading| reading.value()).collect(), findings)
    }

    #[test]
    fn frequency_temperature_and_throttling_are_told() {
        let (mut fake, mut package) = xeon();
        assert_eq!(values(&mut package, &fake).0, [None, Some(40.0), Some(0.0)]);
        fake.set(0, IA32_MPERF, 2_000);
        fake.set(0, IA32_APERF, 2_500);
        fake.set(0, intel::IA32_THERM_STATUS, 0x8800_0005 | 2);
        let (readings, findings) = values(&mut package, &fake);
        assert_eq!(readings, [Some(3.15e9), Some(100.0), Some(1.0)]);
        assert_eq!(findings[0].text, "processor 0 is throttled: heat, PROCHOT");
        assert_eq!(findings[0].severity, Severity::Warning);
        assert_eq!(
            values(&mut package, &fake),
            (vec![None, Some(100.0), Some(1.0)], vec![])
        );
        fake.set(0, intel::IA32_THERM_STATUS, 0x883c_0000);
        let ended: Vec<Finding> = (0..20).flat_map(|_| values(&mut package, &fake).1).collect();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].kind, "unthrottled");
    }

    #[test]
    fn what_happened_between_two_rounds_is_in_the_log_bits() {
        let (mut fake, mut package) = xeon();
        fake.set(0, intel::IA32_THERM_STATUS, 0x883c_0002);
        assert_eq!(values(&mut package, &fake).1, [], "long ago, perhaps");
        fake.set(0, intel::IA32_THERM_STATUS, 0x883c_000a);
        assert!(values(&mut package, &fake).1[0].text.ends_with("PROCHOT"));
    }

    #[test]
    fn registers_that_read_zero_are_not_there() {
        let mut fake = Fake::default();
        for register in [0x1a2, 0xce, 0x1b1, 0x19c, 0xe7, 0xe8] {
            fake.set(0, register, 0);
        }
        let package = Package::new(&fake, &info("GenuineIntel", 6, &[(0, 0, 0)]), 0).unwrap();
        assert!(package.abilities.is_none(), "{:?}", package.abilities);
        assert!(Package::new(&fake, &info("GenuineIntel", 6, &[(0, 0, 0)]), 1).is_none());
    }

    #[test]
    fn many_cores_are_asked_in_turn() {
        let threads: Vec<(u32, u32, u32)> = (0..40).map(|cpu| (cpu, 0, cpu)).collect();
        let mut fake = Fake::default();
        for cpu in 0..40 {
            fake.set(cpu, IA32_MPERF, 1);
            fake.set(cpu, IA32_APERF, 1);
        }
        fake.set(0, amd::PSTATE_DEF_0, 1 << 63 | 0x0a_78);
        let mut package = Package::new(&fake, &info("AuthenticAMD", 0x19, &threads), 0).unwrap();
        for _ in 0..3 {
            values(&mut package, &fake);
        }
        fake.set(20, IA32_MPERF, 101);
        fake.set(20, IA32_APERF, 51);
        let found: Vec<_> = (0..3).flat_map(|_| values(&mut package, &fake).0).collect();
        assert_eq!(found.iter().flatten().collect::<Vec<_>>(), [&1.2e9]);
    }
}
