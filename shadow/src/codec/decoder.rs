//! Frames to blocks.

use super::{CodecError, ENTROPY, MASK_VARINT_LZ4, Shape, entropy, masked};
use crate::{Block, Catalogue, Frame};

/// Decodes the frames of one epoch.
#[derive(Debug)]
pub struct Decoder {
    entropy: entropy::Reader,
    masked: masked::Reader,
}

impl Decoder {
    /// A decoder of the frames of the epoch that `catalogue` was born with.
    pub fn new(catalogue: &Catalogue) -> Self {
        Self {
            entropy: entropy::Reader::new(catalogue),
            masked: masked::Reader::new(catalogue),
        }
    }

    /// Replaces `block` by the samples of `frame`.
    ///
    /// What frames that may be named as references need is kept, of a few of them. Never allocates more than
    /// some 30 bytes for each reading that the frame declares, whatever it is fed. After an error `block` holds
    /// nothing of use.
    ///
    /// # Errors
    /// [`CodecError::Reference`] when another frame must be read first; else [`CodecError`] when the codec is not
    /// known, the frame too large, or the body not one that an [`Encoder`](super::Encoder) of the same catalogue
    /// wrote.
    pub fn read(&mut self, frame: &Frame, block: &mut Block) -> Result<(), CodecError> {
        let shape = Shape {
            samples: frame.samples,
            start_ms: frame.start_ms,
        };
        match frame.codec {
            ENTROPY => self.entropy.read(frame, block),
            MASK_VARINT_LZ4 => self.masked.read(shape, &frame.body, block),
            codec => Err(CodecError::UnknownCodec(codec)),
        }
    }
}
