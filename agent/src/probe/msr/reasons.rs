//! Why a processor runs slower than it could. Pure.

use shadow::Severity;

/// A set of reasons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reasons(u16);

/// Names by bit, and how bad they are.
const NAMES: [(Reasons, &str, Severity); 7] = [
    (Reasons::CRITICAL_HEAT, "critical heat", Severity::Critical),
    (Reasons::HEAT, "heat", Severity::Warning),
    (Reasons::PROCHOT, "PROCHOT", Severity::Warning),
    (
        Reasons::REGULATOR_HEAT,
        "heat of the voltage regulator",
        Severity::Warning,
    ),
    (Reasons::POWER, "power limit", Severity::Info),
    (Reasons::CURRENT, "current limit", Severity::Info),
    (Reasons::CROSS_DOMAIN, "limit of another domain", Severity::Info),
];

impl Reasons {
    pub(super) const NONE: Self = Self(0);
    pub(super) const HEAT: Self = Self(1);
    pub(super) const PROCHOT: Self = Self(1 << 1);
    pub(super) const CRITICAL_HEAT: Self = Self(1 << 2);
    pub(super) const POWER: Self = Self(1 << 3);
    pub(super) const CURRENT: Self = Self(1 << 4);
    pub(super) const CROSS_DOMAIN: Self = Self(1 << 5);
    pub(super) const REGULATOR_HEAT: Self = Self(1 << 6);

    /// The reasons whose bits, counted from `shift` on, are set in `register`.
    pub(super) fn decode(register: u64, shift: u32, bits: &[(u32, Self)]) -> Self {
        let is_set = |bit: u32| register >> (bit + shift) & 1 != 0;
        let set = bits.iter().filter(|(bit, _)| is_set(*bit)).map(|(_, reason)| *reason);
        set.fold(Self::NONE, Self::and)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// For people.
    pub(super) fn names(self) -> Vec<&'static str> {
        self.parts().map(|(name, _)| name).collect()
    }

    /// How bad the worst of them is.
    pub(super) fn severity(self) -> Severity {
        self.parts()
            .map(|(_, severity)| severity)
            .max()
            .unwrap_or(Severity::Info)
    }

    fn parts(self) -> impl Iterator<Item = (&'static str, Severity)> {
        let has = move |reason: Self| self.0 & reason.0 != 0;
        let parts = NAMES.into_iter().filter(move |(reason, ..)| has(*reason));
        parts.map(|(_, name, severity)| (name, severity))
    }
}
