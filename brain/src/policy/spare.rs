//! Spare hosts: off until the cell needs them, and woken early enough.

use super::section::{Faults, Range, Section};

/// A host that is off and can be woken by its BMC.
#[derive(Debug, Clone, PartialEq)]
pub struct Spare {
    /// Its name, as its agent will tell it.
    pub host: String,
    /// How long it takes from power on to its first sample, in milliseconds.
    pub boot_ms: u64,
    /// Watts that it may draw once it is awake; 0 where the cell has no limit of power.
    pub power_w: f64,
}

/// When spare hosts are woken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wake {
    /// When more than this share of what the awake hosts have will be needed, 0.1 to 1.
    pub above: f64,
    /// The quantile of the need: one of [`shadow::QUANTILES`].
    pub quantile: f64,
}

impl Default for Wake {
    fn default() -> Self {
        Self {
            above: 0.85,
            quantile: 0.95,
        }
    }
}

/// One `[[spare]]`.
pub(super) fn read(mut section: Section, faults: &mut Faults) -> Spare {
    let watts = Range { low: 0.0, high: 1e9 };
    let spare = Spare {
        host: section.text("host", "", faults),
        boot_ms: section.duration("boot", 300_000, faults),
        power_w: section.number("power_w", 0.0, watts, faults),
    };
    if shadow::check_name(&spare.host).is_err() {
        faults.add(section.at("host"), "is missing or is no name of a host");
    }
    section.end(faults);
    spare
}

/// `[wake]`.
pub(super) fn wake(mut section: Section, faults: &mut Faults) -> Wake {
    let base = Wake::default();
    let share = Range { low: 0.1, high: 1.0 };
    let wake = Wake {
        above: section.number("above", base.above, share, faults),
        quantile: section.quantile("quantile", base.quantile, faults),
    };
    section.end(faults);
    wake
}
