//! The one place where domain types become protobuf bytes and back.
//!
//! What comes from the network is not believed: sizes and counts are checked before anything is
//! allocated, then every number, name and enum value. A message that decodes here can be used without
//! further questions; one that does not is refused whole, with a [`WireError`] that names message, field
//! and fault. Encoding does not fail and does not check: who writes more than a reader takes is refused there.
//!
//! | message | written by | at most | file |
//! |---|---|---|---|
//! | birth | agent | [`MAX_BIRTH_BYTES`] | `wire/birth.rs` |
//! | frame | agent | [`MAX_FRAME_BYTES`] | `wire/frame.rs` |
//! | event | agent | [`MAX_EVENT_BYTES`] | `wire/event.rs` |
//! | hole | agent | [`MAX_HOLE_BYTES`] | `wire/hole.rs` |
//! | watermark | brain | [`MAX_WATERMARK_BYTES`] | `wire/watermark.rs` |
//! | command | brain | [`MAX_COMMAND_BYTES`] | `wire/command.rs` |
//! | outcome | agent | [`MAX_OUTCOME_BYTES`] | `wire/command.rs` |
//!
//! Behind each a seal or a signature may stand (`wire/seal.rs`): the length above is with it.

mod action;
mod birth;
mod check;
mod command;
mod event;
mod frame;
mod hole;
mod scan;
mod seal;
#[cfg(test)]
mod tests;
mod watermark;

use thiserror::Error;

pub use birth::{MAX_BIRTH_BYTES, decode_birth, encode_birth};
pub use check::{MAX_NAME_BYTES, MAX_TEXT_BYTES, MAX_TIME_MS};
pub use command::{
    MAX_ACTIONS, MAX_CHANGES, MAX_COMMAND_BYTES, MAX_OUTCOME_BYTES, MAX_TTL_MS, command_id, decode_command,
    decode_outcome, encode_command, encode_outcome,
};
pub use event::{MAX_EVENT_BYTES, decode_event, encode_event};
pub use frame::{MAX_FRAME_BYTES, decode_frame, encode_frame};
pub use hole::{MAX_HOLE_BYTES, decode_hole, encode_hole};
pub use seal::{
    MAX_CERTIFICATE_BYTES, SIGNATURE_BYTES, Seal, Signed, push_certificate, push_signature, split_seal, split_signature,
};
pub use watermark::{MAX_EPOCHS, MAX_RANGES, MAX_WATERMARK_BYTES, decode_watermark, encode_watermark};

/// Why bytes from the network are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// More bytes than such a message may have.
    #[error("{message} of {bytes} bytes is too long; at most {most} are read")]
    TooLong {
        /// `birth`, `frame`, ...
        message: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// More entries in a list than such a message may have.
    #[error("{message} has more than {most} {field}")]
    TooMany {
        /// `birth`, `frame`, ...
        message: &'static str,
        /// The list: `metrics`, `inventory.pci`, ...
        field: &'static str,
        /// How many entries it may have.
        most: usize,
    },
    /// Not the protobuf message that it should be.
    #[error("not a {message}: {reason}")]
    Malformed {
        /// `birth`, `frame`, ...
        message: &'static str,
        /// What the protobuf reader stumbled over.
        reason: String,
    },
    /// A field whose value cannot be believed.
    #[error("{message} with bad {field}: {fault}")]
    Field {
        /// `birth`, `frame`, ...
        message: &'static str,
        /// Its path: `metrics[3].relative.ratio`.
        field: String,
        /// What is wrong with it.
        fault: String,
    },
}
