//! [`Hole`]s on the wire.

use prost::Message;
use schemas::v1;

use super::{WireError, check::Check};
use crate::Hole;

/// The longest hole: three numbers, and room for fields to come.
pub const MAX_HOLE_BYTES: usize = 256;

const CHECK: Check = Check {
    message: "hole",
    max_bytes: MAX_HOLE_BYTES,
    lists: &[],
};

/// The bytes of `hole`.
pub fn encode_hole(hole: &Hole) -> Vec<u8> {
    let Hole { epoch, first, end } = *hole;
    v1::Hole { epoch, first, end }.encode_to_vec()
}

/// Reads a hole.
///
/// # Errors
/// [`WireError`] when it is too long, not protobuf, empty, or its numbers are 2^63 or more.
pub fn decode_hole(bytes: &[u8]) -> Result<Hole, WireError> {
    let v1::Hole { epoch, first, end } = CHECK.decode(bytes)?;
    if first >= end {
        return Err(CHECK.bad(format_args!("end"), format!("{first}..{end} is empty")));
    }
    Ok(Hole {
        epoch: CHECK.number(format_args!("epoch"), epoch)?,
        first,
        end: CHECK.number(format_args!("end"), end)?,
    })
}
