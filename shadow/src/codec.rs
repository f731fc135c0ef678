//! How a [`Block`] becomes the body of a frame, and back.

use thiserror::Error;

use crate::{Block, Catalogue, UnixMs};

/// Codec 1: quantised, differences, changed-mask, varints, lz4.
pub const MASK_VARINT_LZ4: u32 = 1;

/// Why a frame's body cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The codec is not known to this version.
    #[error("codec {0} is not known to this version")]
    UnknownCodec(u32),
}

/// Encodes `block`.
pub fn encode(_catalogue: &Catalogue, _block: &Block) -> Result<Vec<u8>, CodecError> {
    Err(CodecError::UnknownCodec(0))
}

/// Decodes `samples` samples.
pub fn decode(
    _catalogue: &Catalogue,
    codec: u32,
    _samples: u32,
    _start_ms: UnixMs,
    _body: &[u8],
) -> Result<Block, CodecError> {
    Err(CodecError::UnknownCodec(codec))
}
