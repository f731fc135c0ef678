//! Why a BMC gives no answer, or none that can be used.

use std::time::Duration;

use shadow::SourceState;
use thiserror::Error;

/// Completion code: the sensor, record or data that was asked for is not there (IPMI 2.0, table 5-2).
pub const NOT_PRESENT: u8 = 0xcb;
/// Completion code: a reservation was cancelled by a change of the repository.
pub const RESERVATION_CANCELLED: u8 = 0xc5;
/// Completion code: the BMC cannot return so many bytes at once.
pub const TOO_MANY_BYTES: u8 = 0xca;
/// Completion code: the request's length is wrong; some BMCs say so of reads that are too long.
pub const WRONG_LENGTH: u8 = 0xc7;
/// Completion code: the length of a field is past its limit, said by some BMCs of reads that are too long.
pub const FIELD_TOO_LONG: u8 = 0xc8;

/// What went wrong between the agent and a BMC.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BmcError {
    /// The session, or the device file, cannot be opened.
    #[error("cannot be opened: {what}")]
    Open {
        /// Why, in words.
        what: String,
        /// What that says about the source.
        state: SourceState,
    },
    /// No reply within its deadline.
    #[error("no reply within {0:?}")]
    Silent(Duration),
    /// The reply of another command: something came late or twice.
    #[error("the reply of another command came")]
    Shifted,
    /// What came is no reply.
    #[error("reply cannot be read: {0}")]
    Garbled(String),
    /// The BMC refuses the command.
    #[error("refused with completion code {0:#04x}{meaning}", meaning = meaning(*.0))]
    Refused(u8),
    /// The reply is shorter than the specification says, or holds values that it does not know.
    #[error("reply is not as specified: {0}")]
    Malformed(&'static str),
    /// Nobody is left who would want its readings.
    #[error("is no longer watched")]
    Stopped,
}

impl BmcError {
    /// Whether the session cannot be trusted any more: a reply may still be on its way, and would be taken for
    /// the answer to the next command.
    pub fn wants_new_session(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Malformed(_))
    }

    /// Whether a reply was lost on its way, in a session that began well.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Silent(_) | Self::Shifted | Self::Garbled(_))
    }

    /// Whether the same question may be answered a little later: the BMC is busy, starts, or somebody else made it
    /// cancel a reservation.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Refused(0xc0 | 0xc3 | RESERVATION_CANCELLED | 0xce..=0xd2))
    }

    /// What it says about the source.
    pub fn state(&self) -> SourceState {
        match self {
            Self::Open { state, .. } => *state,
            // D4h: the user's privilege does not reach.
            Self::Refused(0xd4) => SourceState::NoPermission,
            _ => SourceState::Failed,
        }
    }
}

/// What a completion code means (IPMI 2.0, table 5-2), with `: ` in front; empty where it depends on the command.
fn meaning(code: u8) -> &'static str {
    match code {
        0xc0 => ": node is busy",
        0xc1 => ": command is not known",
        0xc2 => ": command is not known at this unit",
        0xc3 => ": timeout in the BMC",
        RESERVATION_CANCELLED => ": reservation is cancelled",
        WRONG_LENGTH => ": wrong length of the request",
        0xc9 => ": parameter is out of range",
        TOO_MANY_BYTES => ": cannot return so many bytes",
        NOT_PRESENT => ": not present",
        0xcc => ": invalid field in the request",
        0xcd => ": illegal for this sensor or record",
        0xce..=0xd2 => ": cannot answer now",
        0xd4 => ": the user's privilege does not reach",
        0xd5 => ": not in this state",
        _ => "",
    }
}
