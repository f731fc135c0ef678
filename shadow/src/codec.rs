//! How a [`Block`] becomes the body of a [`Frame`], and back. `docs/wire-format.md` tells it to the byte.
//!
//! Codec 1 puts each value on a level of its metric ([`Bound`](crate::Bound)), tells the difference to the
//! row before only where there is one, and packs the whole with lz4. A body is read with nothing but the
//! catalogue of its epoch, so any frame may be lost, late or doubled.
//!
//! | file | step |
//! |---|---|
//! | `codec/quantize.rs` | values to levels, never off by more than the bound |
//! | `codec/column.rs` | a column of levels, missing readings and raw values to marks and tokens |
//! | `codec/bits.rs` | marks, varints and nibbles to bytes |
//! | `codec/pack.rs` | lz4, sizes checked before anything is allocated |

mod bits;
mod column;
mod decoder;
mod encoder;
mod pack;
mod quantize;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use thiserror::Error;

pub use decoder::Decoder;
pub use encoder::Encoder;

use crate::{Block, Catalogue, Frame, UnixMs, frame::MAX_SAMPLES, wire::MAX_FRAME_BYTES};

/// Codec 1: quantised, differences, changed-mask, varints, lz4.
pub const MASK_VARINT_LZ4: u32 = 1;

/// Codec 2: quantised, predicted, entropy-coded; read by itself or against a frame before it.
pub const ENTROPY: u32 = 2;

/// The most readings (samples x metrics) in a frame: 32 MiB when decoded.
///
/// It holds a frame of a few bytes to what a reader can afford: 400 samples of the largest catalogue, and
/// [`MAX_SAMPLES`] of a thousand metrics.
pub const MAX_READINGS: usize = 1 << 22;

/// The longest body: what fits into the longest frame beside its other fields.
pub const MAX_BODY_BYTES: usize = MAX_FRAME_BYTES - 64;

/// The longest time between the first and the last sample, in milliseconds: 34 years.
const MAX_SPAN_MS: u64 = 1 << 40;

/// Why a frame's body cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodecError {
    /// A newer writer, or a broken frame.
    #[error("codec {0} is not known to this version")]
    UnknownCodec(u32),
    /// The frame is read against one that this reader has not read yet, or no longer keeps.
    #[error("frame {sequence}, which this one is read against, has not been read")]
    Reference {
        /// Sequence of the frame that must be read first.
        sequence: u64,
    },
    /// A frame has at least one sample.
    #[error("{0} samples; a frame holds 1 to {MAX_SAMPLES}")]
    Samples(usize),
    /// Too much for one frame.
    #[error("{samples} samples of {metrics} metrics are more than {MAX_READINGS} readings; cut the frame earlier")]
    Readings {
        /// How many samples.
        samples: usize,
        /// How many metrics.
        metrics: usize,
    },
    /// The block was not made for this catalogue.
    #[error("the block has {found} columns, the catalogue {expected} metrics")]
    Columns {
        /// Columns of the block.
        found: usize,
        /// Metrics of the catalogue.
        expected: usize,
    },
    /// A column is not as long as the block has times.
    #[error("column {column} has {found} readings for {expected} samples")]
    ColumnLength {
        /// Which column.
        column: usize,
        /// Its length.
        found: usize,
        /// How many times the block has.
        expected: usize,
    },
    /// Times do not rise, or span more than 34 years.
    #[error("the time of sample {row} does not follow the one before")]
    Times {
        /// The first sample that is wrong.
        row: usize,
    },
    /// The block does not compress into one message.
    #[error("a body of {0} bytes; a frame holds at most {MAX_BODY_BYTES}; cut it earlier")]
    BodyTooLong(usize),
    /// The body ends early.
    #[error("the body ends within its {0}")]
    Truncated(&'static str),
    /// The body goes on after its end.
    #[error("{0} bytes after the body's end")]
    TrailingBytes(usize),
    /// A bit or byte that this codec version never writes.
    #[error("the body has an invalid {0}")]
    Invalid(&'static str),
    /// A level that the metric does not have.
    #[error("column {column} has a level that its metric does not have; the catalogue may be another's")]
    Value {
        /// Which column.
        column: usize,
    },
    /// Not an lz4 block of the size that it claims.
    #[error("the body claims {claimed} bytes behind {packed} bytes of lz4, and does not hold them")]
    Lz4 {
        /// The size it claims.
        claimed: u64,
        /// The size it has.
        packed: usize,
    },
}

/// Encodes `block` with [`MASK_VARINT_LZ4`]. Whoever encodes many blocks keeps an [`Encoder`].
///
/// # Errors
/// See [`Encoder::encode`].
pub fn encode(catalogue: &Catalogue, block: &Block) -> Result<Vec<u8>, CodecError> {
    let mut body = Vec::new();
    Encoder::new(catalogue).encode(block, &mut body)?;
    Ok(body)
}

/// Decodes the `samples` samples of a body, the first of which was taken at `start_ms`. Whoever decodes many
/// bodies of one epoch keeps a [`Decoder`].
///
/// # Errors
/// See [`Decoder::decode`].
pub fn decode(
    catalogue: &Catalogue,
    codec: u32,
    samples: u32,
    start_ms: UnixMs,
    body: &[u8],
) -> Result<Block, CodecError> {
    let mut block = Block::default();
    let shape = Shape {
        codec,
        samples,
        start_ms,
    };
    Decoder::new(catalogue).decode(shape, body, &mut block)?;
    Ok(block)
}

/// What a reader must know of a body beside the catalogue; [`Frame`] carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Which codec wrote the body.
    pub codec: u32,
    /// How many samples it holds.
    pub samples: u32,
    /// When the first was taken.
    pub start_ms: UnixMs,
}

impl Frame {
    /// What a reader must know of the body beside the catalogue.
    pub const fn shape(&self) -> Shape {
        Shape {
            codec: self.codec,
            samples: self.samples,
            start_ms: self.start_ms,
        }
    }

    /// The samples, given the catalogue of the frame's epoch.
    ///
    /// # Errors
    /// See [`Decoder::decode`].
    pub fn decode(&self, catalogue: &Catalogue) -> Result<Block, CodecError> {
        decode(catalogue, self.codec, self.samples, self.start_ms, &self.body)
    }
}

/// Checks the dimensions of a frame before anything is allocated for it.
fn check_size(samples: usize, metrics: usize) -> Result<(), CodecError> {
    if samples == 0 || samples > MAX_SAMPLES {
        return Err(CodecError::Samples(samples));
    }
    if samples.saturating_mul(metrics) > MAX_READINGS {
        return Err(CodecError::Readings { samples, metrics });
    }
    Ok(())
}

/// The time of sample `row` if all `samples` were evenly spaced, in milliseconds after the first.
///
/// `span_ms` is at most [`MAX_SPAN_MS`] and `row` less than [`MAX_SAMPLES`]: 52 bits, no overflow.
fn even_time(row: usize, samples: usize, span_ms: u64) -> i64 {
    let gaps = samples.saturating_sub(1).max(1) as u64;
    (row as u64 * span_ms / gaps) as i64
}
