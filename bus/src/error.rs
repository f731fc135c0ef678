//! What can go wrong on the bus.

use std::time::Duration;

use shadow::NameError;
use thiserror::Error;

/// Why a topic or a part of one is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopicError {
    /// A level that must be a name is none.
    #[error("topic level: {0}")]
    Name(#[from] NameError),
    /// The topic does not begin with the prefix and cell.
    #[error("topic {0:?} lies outside the cell")]
    Foreign(String),
    /// The topic belongs to the brain, not to a host.
    #[error("topic {0:?} is the brain's own")]
    Brain(String),
    /// The levels after the host are not known to this version.
    #[error("topic {0:?} has an unknown kind")]
    Kind(String),
    /// Not a topic that can be published to: empty, with a wildcard or NUL, or longer than 65,535 bytes.
    #[error("{0:?} cannot be published to")]
    Unpublishable(String),
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BusError {
    /// The topic is refused.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The message is larger than a packet may be.
    #[error("message of {size} bytes for {topic} is larger than {limit}, the limit of a packet")]
    TooLarge {
        /// Where it was to go.
        topic: String,
        /// Bytes of the payload.
        size: usize,
        /// `max_packet` of the configuration.
        limit: usize,
    },
    /// The queue is full.
    #[error("queue to the broker is full: {topic} was not taken")]
    Full {
        /// Where it was to go.
        topic: String,
    },
    /// The queue stayed full.
    #[error("queue to the broker was full for {}: {topic} was not taken", seconds(*.waited))]
    Timeout {
        /// Where it was to go.
        topic: String,
        /// How long it stayed full.
        waited: Duration,
    },
    /// The client was disconnected by its owner.
    #[error("client is closed")]
    Closed,
}

impl BusError {
    /// Whether the same message may be taken later.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Timeout { .. })
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
