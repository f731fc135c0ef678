//! How a [`Block`] becomes the body of a [`Frame`], and back. `docs/wire-format.md` tells it to the byte.
//!
//! Codec 2 ([`ENTROPY`]) puts each value on a level of its metric ([`Bound`](crate::Bound)), predicts it, and tells
//! what is left: quick frames in as many bits as the largest of some ten takes, dense ones in as many as it is unlikely. A body is read
//! by itself or against the frame that it names. Codec 1 ([`MASK_VARINT_LZ4`]) is longer and without a memory, each frame by itself.
//!
//! | file | what it holds |
//! |---|---|
//! | `codec/encoder.rs`, `codec/decoder.rs` | frames of either codec |
//! | `codec/quantize.rs` | values to levels, never off by more than the bound |
//! | `codec/entropy.rs` | codec 2 |
//! | `codec/masked.rs` | codec 1 |

mod decoder;
mod encoder;
mod entropy;
mod masked;
mod quantize;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use thiserror::Error;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use entropy::Tally;

use crate::{Block, Catalogue, Frame, Reading, UnixMs, frame::MAX_SAMPLES, wire::MAX_FRAME_BYTES};

/// Codec 1: quantised, differences, changed-mask, varints, lz4.
pub const MASK_VARINT_LZ4: u32 = 1;

/// Codec 2: quantised, predicted, in plain bits or entropy-coded; read by itself or against a frame before it.
pub const ENTROPY: u32 = 2;

/// The most readings (samples x metrics) in a frame: 32 MiB when decoded.
///
/// It holds a frame of a few bytes to what a reader can afford: 400 samples of the largest catalogue, and
/// [`MAX_SAMPLES`] of a thousand metrics.
pub const MAX_READINGS: usize = 1 << 22;

/// The most readings in a frame of codec 2, which costs a reader more: some 6 MB and 5 ms.
pub const MAX_CODED_READINGS: usize = 1 << 18;

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
    #[error("{samples} samples of {metrics} metrics are more than {most} readings; cut the frame earlier")]
    Readings {
        /// How many samples.
        samples: usize,
        /// How many metrics.
        metrics: usize,
        /// How many readings the codec takes: [`MAX_READINGS`] or [`MAX_CODED_READINGS`].
        most: usize,
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
/// See [`Encoder::frame`].
pub fn encode(catalogue: &Catalogue, block: &Block) -> Result<Vec<u8>, CodecError> {
    let mut body = Vec::new();
    masked::Writer::new(catalogue).write(block, &mut body)?;
    Ok(body)
}

/// Decodes the `samples` samples of a body that is read by itself, the first of which was taken at `start_ms`.
/// Whoever decodes many bodies of one epoch keeps a [`Decoder`].
///
/// # Errors
/// See [`Decoder::read`].
pub fn decode(
    catalogue: &Catalogue,
    codec: u32,
    samples: u32,
    start_ms: UnixMs,
    body: &[u8],
) -> Result<Block, CodecError> {
    let frame = Frame {
        epoch: 0,
        sequence: 0,
        start_ms,
        samples,
        codec,
        reference: 0,
        body: body.to_vec().into(),
    };
    frame.decode(catalogue)
}

/// What a reader must know of a body beside the catalogue; [`Frame`] carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// How many samples it holds.
    pub(crate) samples: u32,
    /// When the first was taken.
    pub(crate) start_ms: UnixMs,
}

impl Frame {
    /// The samples of a frame that is read by itself, given the catalogue of its epoch.
    ///
    /// # Errors
    /// See [`Decoder::read`].
    pub fn decode(&self, catalogue: &Catalogue) -> Result<Block, CodecError> {
        let mut block = Block::default();
        Decoder::new(catalogue).read(self, &mut block)?;
        Ok(block)
    }
}

/// Checks the dimensions of a frame of a codec that takes `most` readings, before anything is allocated for it.
fn check_size(samples: usize, metrics: usize, most: usize) -> Result<(), CodecError> {
    if samples == 0 || samples > MAX_SAMPLES {
        return Err(CodecError::Samples(samples));
    }
    if samples.saturating_mul(metrics) > most {
        return Err(CodecError::Readings { samples, metrics, most });
    }
    Ok(())
}

/// Checks that `block` fits into a frame of a catalogue of `metrics` and `most` readings; returns the time from the first to the last
/// sample.
fn check_block(block: &Block, metrics: usize, most: usize) -> Result<u64, CodecError> {
    let expected = block.len();
    check_size(expected, metrics, most)?;
    if block.columns.len() != metrics || block.gaps_us.len() != expected {
        return Err(CodecError::Columns {
            found: block.columns.len(),
            expected: metrics,
        });
    }
    // All of them without a condition; mostly they are sound.
    let odd = |odd, readings: &Vec<Reading>| odd | (readings.len() ^ expected);
    if block.columns.iter().fold(0, odd) != 0 {
        let lengths = block.columns.iter().map(Vec::len).enumerate();
        let mut odd = lengths.filter(|(_, found)| *found != expected);
        let (column, found) = odd.next().unwrap_or_default();
        return Err(CodecError::ColumnLength {
            column,
            found,
            expected,
        });
    }
    check_times(&block.times_ms)
}

fn check_times(times_ms: &[UnixMs]) -> Result<u64, CodecError> {
    for (row, pair) in times_ms.windows(2).enumerate() {
        if let [before, after] = pair
            && after <= before
        {
            return Err(CodecError::Times { row: row + 1 });
        }
    }
    let [first, .., last] = times_ms else { return Ok(0) };
    match last.abs_diff(*first) {
        span_ms if span_ms <= MAX_SPAN_MS => Ok(span_ms),
        _ => Err(CodecError::Times {
            row: times_ms.len() - 1,
        }),
    }
}

fn check_length(body: &[u8]) -> Result<(), CodecError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(CodecError::BodyTooLong(body.len()));
    }
    Ok(())
}
