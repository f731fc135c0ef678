//! Codec 1: marks where a column changes, a token for each change, lz4 around the whole.
//!
//! A body is read with nothing but the catalogue of its epoch. It takes little time and memory, and twice the bytes
//! of [`entropy`](super::entropy).
//!
//! | file | step |
//! |---|---|
//! | `masked/column.rs` | a column of levels, missing readings and raw values to marks and tokens |
//! | `masked/bits.rs` | marks, varints and nibbles to bytes |
//! | `masked/pack.rs` | lz4, sizes checked before anything is allocated |

mod bits;
mod column;
mod pack;
mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::Writer;

/// The time of sample `row` if all `samples` were evenly spaced, in milliseconds after the first.
///
/// `span_ms` is at most [`MAX_SPAN_MS`](super::MAX_SPAN_MS) and `row` less than
/// [`MAX_SAMPLES`](crate::frame::MAX_SAMPLES): 52 bits, no overflow.
fn even_time(row: usize, samples: usize, span_ms: u64) -> i64 {
    let gaps = samples.saturating_sub(1).max(1) as u64;
    (row as u64 * span_ms / gaps) as i64
}
