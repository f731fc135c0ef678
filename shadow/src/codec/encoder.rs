//! Blocks to frames.

use std::fmt;

use super::{CodecError, ENTROPY, MASK_VARINT_LZ4, entropy, masked};
use crate::{Block, Catalogue, Frame};

/// Encodes the blocks of one epoch, in the order of their sequences.
pub struct Encoder {
    writer: Writer,
}

enum Writer {
    Entropy(Box<entropy::Writer>),
    Masked(Box<masked::Writer>),
}

impl Encoder {
    /// An encoder of quick frames that are read with `catalogue`: of [`ENTROPY`], what is written and read in the least time.
    ///
    /// Its first frame is read by itself and so is at least each 60th. The others are read against one before them.
    pub fn new(catalogue: &Catalogue) -> Self {
        Self {
            writer: Writer::Entropy(Box::new(entropy::Writer::new(catalogue, true))),
        }
    }

    /// An encoder of dense frames: a fifth shorter than quick ones, for twice the time to write and to read.
    pub fn dense(catalogue: &Catalogue) -> Self {
        Self {
            writer: Writer::Entropy(Box::new(entropy::Writer::new(catalogue, false))),
        }
    }

    /// An encoder for processors with little to spare: [`MASK_VARINT_LZ4`]. Each frame is read by itself.
    pub fn lz4(catalogue: &Catalogue) -> Self {
        Self {
            writer: Writer::Masked(Box::new(masked::Writer::new(catalogue))),
        }
    }

    /// Lets the next frame be read by itself.
    pub fn restart(&mut self) {
        if let Writer::Entropy(writer) = &mut self.writer {
            writer.restart();
        }
    }

    /// The frame `sequence` of `epoch` that holds `block`. Sequences rise, with gaps or without.
    ///
    /// Readings come back within their metric's bound, times, gaps and missing readings exactly, as do, in codec 2,
    /// the extremes that metrics ask for.
    ///
    /// # Errors
    /// [`CodecError`] when the block is empty or too large for a frame, was not made for this catalogue, or
    /// its times do not rise. Then no frame with this sequence is to be sent.
    pub fn frame(&mut self, epoch: u64, sequence: u64, block: &Block) -> Result<Frame, CodecError> {
        let mut body = Vec::new();
        let (codec, reference) = match &mut self.writer {
            Writer::Entropy(writer) => (ENTROPY, writer.write((epoch, sequence), block, &mut body)?),
            Writer::Masked(writer) => {
                writer.write(block, &mut body)?;
                (MASK_VARINT_LZ4, 0)
            }
        };
        Ok(Frame {
            epoch,
            sequence,
            start_ms: block.times_ms.first().copied().unwrap_or_default(),
            samples: u32::try_from(block.len()).unwrap_or(u32::MAX),
            codec,
            reference,
            body: body.into(),
        })
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}
