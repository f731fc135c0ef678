//! Registers of Intel processors. Pure.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual (SDM), volume 3B, 14.8 (thermal), 14.10 (RAPL),
//! and volume 4 for each register.

use super::reasons::Reasons;

/// Thermal status of a core.
pub(super) const IA32_THERM_STATUS: u32 = 0x19c;
/// Thermal status of the package.
pub(super) const IA32_PACKAGE_THERM_STATUS: u32 = 0x1b1;
/// The temperature at which the processor throttles itself.
pub(super) const MSR_TEMPERATURE_TARGET: u32 = 0x1a2;
/// Ratio of the base frequency.
pub(super) const MSR_PLATFORM_INFO: u32 = 0xce;
/// Why the frequency is limited: of Skylake and later, and of Haswell and Broadwell.
pub(super) const LIMIT_REASONS: [u32; 2] = [0x64f, 0x690];

/// The status bits of both thermal registers; each is followed by its sticky log bit.
const THERMAL_BITS: [(u32, Reasons); 6] = [
    (0, Reasons::HEAT),
    (2, Reasons::PROCHOT),
    (4, Reasons::CRITICAL_HEAT),
    (10, Reasons::POWER),
    (12, Reasons::CURRENT),
    (14, Reasons::CROSS_DOMAIN),
];

/// Of the package, bits past 11 mean something else.
const PACKAGE_BITS: usize = 4;

/// The bits of `LIMIT_REASONS` that mean the same in all models; their log bits are 16 higher.
const LIMIT_BITS: [(u32, Reasons); 3] = [(0, Reasons::PROCHOT), (1, Reasons::HEAT), (6, Reasons::REGULATOR_HEAT)];

/// What a register says of throttling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Throttling {
    /// Now.
    pub(super) now: Reasons,
    /// Since the log bits were last cleared, which the kernel does.
    pub(super) logged: Reasons,
}

/// Throttling of a core, of [`IA32_THERM_STATUS`].
pub(super) fn core_throttling(status: u64) -> Throttling {
    throttling(status, &THERMAL_BITS)
}

/// Throttling of the package, of [`IA32_PACKAGE_THERM_STATUS`].
pub(super) fn package_throttling(status: u64) -> Throttling {
    throttling(status, THERMAL_BITS.get(..PACKAGE_BITS).unwrap_or_default())
}

fn throttling(status: u64, bits: &[(u32, Reasons)]) -> Throttling {
    Throttling {
        now: Reasons::decode(status, 0, bits),
        logged: Reasons::decode(status, 1, bits),
    }
}

/// Throttling of the package, of [`LIMIT_REASONS`].
pub(super) fn limits(register: u64) -> Throttling {
    Throttling {
        now: Reasons::decode(register, 0, &LIMIT_BITS),
        logged: Reasons::decode(register, 16, &LIMIT_BITS),
    }
}

/// The throttling temperature in degrees Celsius, of [`MSR_TEMPERATURE_TARGET`] b23:16; `None` of one that cannot be.
pub(super) fn tjmax_celsius(target: u64) -> Option<u8> {
    let [_, _, tjmax, ..] = target.to_le_bytes();
    (50..=127).contains(&tjmax).then_some(tjmax)
}

/// The temperature of a core, of [`IA32_THERM_STATUS`] b22:16: degrees below `tjmax`; `None` without the valid bit b31.
pub(super) fn core_celsius(status: u64, tjmax: u8) -> Option<f64> {
    let valid = status >> 31 & 1 != 0;
    valid.then(|| below(status, tjmax))
}

/// The temperature of the package, of [`IA32_PACKAGE_THERM_STATUS`] b22:16. It has no valid bit: a register that is zero
/// as a whole is one that nobody fills.
pub(super) fn package_celsius(status: u64, tjmax: u8) -> Option<f64> {
    (status != 0).then(|| below(status, tjmax))
}

fn below(status: u64, tjmax: u8) -> f64 {
    let [_, _, below, ..] = status.to_le_bytes();
    f64::from(tjmax) - f64::from(below & 0x7f)
}

/// The frequency at which `MPERF` counts, of [`MSR_PLATFORM_INFO`] b15:8 in units of 100 MHz (Sandy Bridge and later).
pub(super) fn base_hz(platform: u64) -> Option<f64> {
    let [_, ratio, ..] = platform.to_le_bytes();
    (ratio > 0).then(|| f64::from(ratio) * 1e8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_temperature() {
        assert_eq!(tjmax_celsius(0), None);
        assert_eq!(core_celsius(0, 100), None);
        assert_eq!(package_celsius(0, 100), None);
        assert_eq!(base_hz(0), None);
    }

    #[test]
    fn temperatures_are_told_from_below() {
        assert_eq!(tjmax_celsius(0x0064_0000), Some(100));
        assert_eq!(core_celsius(0x8845_0000, 100), Some(31.0));
        assert_eq!(core_celsius(0x0845_0000, 100), None, "not valid");
        assert_eq!(package_celsius(0x8841_0000, 100), Some(35.0));
        assert_eq!(base_hz(0x0004_043d_f101_1500), Some(2.1e9));
    }

    #[test]
    fn reasons_are_told_now_and_logged() {
        let core = core_throttling(0x8845_0000 | 1 << 2 | 1 << 3 | 1 << 1 | 1 << 12);
        assert_eq!(core.now.names(), ["PROCHOT", "current limit"]);
        assert_eq!(core.logged.names(), ["heat", "PROCHOT"]);
        let package = package_throttling(0x8841_0000 | 1 << 10 | 1 << 14);
        assert_eq!(package.now, Reasons::POWER);
        let limits = limits(0x0002_0041);
        assert_eq!(limits.now.names(), ["PROCHOT", "heat of the voltage regulator"]);
        assert_eq!(limits.logged, Reasons::HEAT);
    }
}
