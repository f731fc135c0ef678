//! Why something from the bus is not taken in.

use shadow::{WireError, codec::CodecError};
use thiserror::Error;
use trust::SealError;

/// Why a birth or a frame is refused. Each costs its host alone.
#[derive(Debug, Clone, PartialEq, Error)]
pub(crate) enum Refusal {
    /// Not the message that the topic promises.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// No agent of this host vouches for it.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The body of a frame does not fit its birth.
    #[error("frame {sequence} of epoch {epoch}: {source}")]
    Body {
        /// Of the frame.
        epoch: u64,
        /// Of the frame.
        sequence: u64,
        /// What is wrong.
        source: CodecError,
    },
    /// From the future.
    #[error("{ahead_ms} ms ahead of the brain's clock, {most_ms} ms are allowed; is the host's clock right?")]
    Ahead {
        /// By how much.
        ahead_ms: i64,
        /// How much is allowed.
        most_ms: i64,
    },
    /// A sequence that no agent reaches.
    #[error("sequence {0} is not believed")]
    Sequence(u64),
    /// A second birth of one epoch with other metrics.
    #[error("epoch {0} was told before with other metrics; an agent whose catalogue changes begins a new epoch")]
    OtherCatalogue(u64),
    /// So much is missing that more gaps cannot be told apart.
    #[error("epoch {0} has too many gaps; what opens another is taken once some are filled")]
    Gaps(u64),
    /// Too many frames wait for a birth.
    #[error("too many frames wait for a birth")]
    HoldingFull,
    /// Too many hosts.
    #[error("{0} hosts are known already; raise ingest.max_hosts")]
    TooManyHosts(usize),
}

impl Refusal {
    /// The label in metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Wire(_) => "message",
            Self::Seal(_) => "seal",
            Self::Body { .. } => "body",
            Self::Ahead { .. } => "ahead",
            Self::Sequence(_) => "sequence",
            Self::OtherCatalogue(_) => "catalogue",
            Self::Gaps(_) => "gaps",
            Self::HoldingFull => "holding",
            Self::TooManyHosts(_) => "hosts",
        }
    }
}
