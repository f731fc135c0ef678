//! The one place where domain types become protobuf bytes and back.

use thiserror::Error;

/// Why bytes from the network are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// Not the protobuf message that it should be.
    #[error("not a {0}")]
    Malformed(&'static str),
}
