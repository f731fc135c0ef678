//! Registers of AMD processors. Pure.
//!
//! Sources: AMD64 Architecture Programmer's Manual, volume 2, 9.3 and 17.5; Processor Programming References of the
//! families 17h to 1Ah. Temperatures come through the kernel's `k10temp`, not through registers of this kind.

/// Definition of the performance state 0, whose frequency is the base.
pub(super) const PSTATE_DEF_0: u32 = 0xc001_0064;

/// The frequency at which `MPERF` counts, of [`PSTATE_DEF_0`]: 25 MHz x b7:0 / (b13:8 / 8) of the families 17h and 19h,
/// 5 MHz x b11:0 of 1Ah; `None` of other families, and of a state that is not enabled (b63).
pub(super) fn base_hz(family: u32, definition: u64) -> Option<f64> {
    if definition >> 63 == 0 {
        return None;
    }
    let [low, high, ..] = definition.to_le_bytes();
    let hz = match family {
        0x17 | 0x19 => {
            let divisor = f64::from(high & 0x3f);
            25e6 * f64::from(low) / (divisor / 8.0)
        }
        0x1a => 5e6 * f64::from(u16::from_le_bytes([low, high & 0xf])),
        _ => return None,
    };
    (hz.is_finite() && hz > 0.0).then_some(hz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_frequency_depends_on_the_family() {
        const ENABLED: u64 = 1 << 63;
        assert_eq!(base_hz(0x17, ENABLED | 0x0a_78), Some(2.4e9));
        assert_eq!(base_hz(0x19, ENABLED | 0x08_a8), Some(4.2e9));
        assert_eq!(base_hz(0x1a, ENABLED | 0x03_5c), Some(4.3e9));
        assert_eq!(base_hz(0x19, 0x08_a8), None, "not enabled");
        assert_eq!(base_hz(0x19, ENABLED | 0xa8), None, "no divisor");
        assert_eq!(base_hz(0x10, ENABLED | 0x08_a8), None);
    }
}
