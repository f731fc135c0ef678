//! Whose word changes wait for: nobody's, or a person's.

use toml::Value;

use super::section::{Faults, Section};

/// What becomes of a class's changes where the policy acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// They are commanded.
    #[default]
    Act,
    /// They are proposed, and commanded when somebody approves them.
    Recommend,
}

impl Mode {
    /// The name in policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Recommend => "recommend",
        }
    }
}

/// How long proposals stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProposalRules {
    /// How long one may be approved, in milliseconds: what it rests on is a forecast.
    pub open_for_ms: u64,
    /// How long what was declined is not proposed again, in milliseconds.
    pub declined_for_ms: u64,
}

impl Default for ProposalRules {
    fn default() -> Self {
        Self {
            open_for_ms: 900_000,
            declined_for_ms: 3_600_000,
        }
    }
}

pub(super) fn mode(value: &Value) -> Result<Mode, String> {
    let known = [Mode::Act, Mode::Recommend];
    let found = known.into_iter().find(|mode| value.as_str() == Some(mode.as_str()));
    found.ok_or_else(|| format!("is {value}; \"act\" or \"recommend\" is expected"))
}

/// `[proposals]`.
pub(super) fn rules(mut section: Section, base: ProposalRules, faults: &mut Faults) -> ProposalRules {
    let read = ProposalRules {
        open_for_ms: section.duration("open_for", base.open_for_ms, faults),
        declined_for_ms: section.duration("declined_for", base.declined_for_ms, faults),
    };
    if read.open_for_ms == 0 {
        faults.add(section.at("open_for"), "is nothing: nobody could approve in time");
    }
    section.end(faults);
    read
}
