//! Blocks to bodies.

use std::fmt;

use super::{
    CodecError, MASK_VARINT_LZ4, MAX_BODY_BYTES, MAX_SPAN_MS,
    bits::{BitWriter, NibbleWriter, put_varint},
    check_size,
    column::{Cell, Cursor},
    even_time,
    pack::Packer,
    quantize::Quantizer,
};
use crate::{Block, Catalogue, Frame, Reading, UnixMs};

/// Encodes the blocks of one catalogue, and keeps its memory from one to the next.
pub struct Encoder {
    quantizers: Vec<Quantizer>,
    parts: Parts,
    plain: Vec<u8>,
    packer: Packer,
}

/// The parts of a body, in their order.
#[derive(Default)]
struct Parts {
    /// A bit a column: its first row is not level 0.
    first: BitWriter,
    /// A bit a column: some row differs from the one before.
    varying: BitWriter,
    /// A bit for each further row of each column that varies: it differs from the one before.
    changed: BitWriter,
    /// The token of each row that is marked, column by column.
    tokens: NibbleWriter,
    /// The changed-bits of the column at hand, 64 rows each.
    rows: Vec<u64>,
}

impl Encoder {
    /// An encoder of the frames that are read with `catalogue`, in the smallest codec: [`super::ENTROPY`].
    pub fn new(catalogue: &Catalogue) -> Self {
        Self::lz4(catalogue)
    }

    /// An encoder for processors with little to spare: [`MASK_VARINT_LZ4`].
    pub fn lz4(catalogue: &Catalogue) -> Self {
        Self {
            quantizers: catalogue
                .metrics()
                .iter()
                .map(|metric| Quantizer::new(metric.bound))
                .collect(),
            parts: Parts::default(),
            plain: Vec::new(),
            packer: Packer::default(),
        }
    }

    /// Replaces `body` by the encoded `block`, for [`MASK_VARINT_LZ4`]. Readings come back within their
    /// metric's bound, times and missing readings exactly.
    ///
    /// # Errors
    /// [`CodecError`] when the block is empty or too large for a frame, was not made for this catalogue, or
    /// its times do not rise.
    pub fn encode(&mut self, block: &Block, body: &mut Vec<u8>) -> Result<(), CodecError> {
        let samples = block.len();
        check_size(samples, self.quantizers.len())?;
        self.check_columns(block)?;
        let span_ms = check_times(&block.times_ms)?;
        self.parts.clear();
        self.parts.write_times(&block.times_ms, span_ms);
        for (quantizer, column) in self.quantizers.iter().zip(&block.columns) {
            self.parts.write_readings(quantizer, column);
        }
        self.plain.clear();
        put_varint(&mut self.plain, span_ms);
        self.parts.finish(&mut self.plain);
        self.packer.pack(&self.plain, body);
        if body.len() > MAX_BODY_BYTES {
            return Err(CodecError::BodyTooLong(body.len()));
        }
        Ok(())
    }

    /// Lets the next frame be read by itself.
    pub fn restart(&mut self) {}

    /// The frame `sequence` of `epoch` that holds `block`.
    ///
    /// # Errors
    /// See [`Encoder::encode`].
    pub fn frame(&mut self, epoch: u64, sequence: u64, block: &Block) -> Result<Frame, CodecError> {
        let mut body = Vec::new();
        self.encode(block, &mut body)?;
        Ok(Frame {
            epoch,
            sequence,
            start_ms: block.times_ms.first().copied().unwrap_or_default(),
            samples: u32::try_from(block.len()).unwrap_or(u32::MAX),
            codec: MASK_VARINT_LZ4,
            reference: 0,
            body: body.into(),
        })
    }

    fn check_columns(&self, block: &Block) -> Result<(), CodecError> {
        if block.columns.len() != self.quantizers.len() {
            return Err(CodecError::Columns {
                found: block.columns.len(),
                expected: self.quantizers.len(),
            });
        }
        let expected = block.len();
        let odd = block.columns.iter().position(|column| column.len() != expected);
        odd.map_or(Ok(()), |column| {
            Err(CodecError::ColumnLength {
                column,
                found: block.columns.get(column).map_or(0, Vec::len),
                expected,
            })
        })
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("metrics", &self.quantizers.len())
            .finish_non_exhaustive()
    }
}

/// The time from the first to the last sample.
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

impl Parts {
    fn clear(&mut self) {
        self.first.clear();
        self.varying.clear();
        self.changed.clear();
        self.tokens.clear();
    }

    fn finish(&self, out: &mut Vec<u8>) {
        self.first.finish(out);
        self.varying.finish(out);
        self.changed.finish(out);
        self.tokens.finish(out);
    }

    /// How far each time is from where it would be if all were evenly spaced.
    fn write_times(&mut self, times_ms: &[UnixMs], span_ms: u64) {
        let start_ms = times_ms.first().copied().unwrap_or_default();
        let samples = times_ms.len();
        let cells = times_ms.iter().enumerate();
        self.write(cells.map(|(row, time_ms)| Cell::Level(time_ms - start_ms - even_time(row, samples, span_ms))));
    }

    fn write_readings(&mut self, quantizer: &Quantizer, column: &[Reading]) {
        let mut last_bits = None;
        let mut cell = Cell::Level(0);
        self.write(column.iter().map(|reading| {
            let bits = reading.or_nan().to_bits();
            // Most readings repeat the one before to the last bit.
            if last_bits != Some(bits) {
                last_bits = Some(bits);
                cell = cell_of(quantizer, *reading);
            }
            cell
        }));
    }

    fn write(&mut self, mut cells: impl Iterator<Item = Cell>) {
        let mut cursor = Cursor::default();
        let first = cells.next().is_some_and(|cell| cursor.write(cell, &mut self.tokens));
        self.first.push(first.into(), 1);
        self.rows.clear();
        let (mut marks, mut count) = (0, 0);
        for cell in cells {
            marks |= u64::from(cursor.write(cell, &mut self.tokens)) << count;
            count += 1;
            if count == u64::BITS {
                self.rows.push(marks);
                (marks, count) = (0, 0);
            }
        }
        let varying = marks != 0 || self.rows.iter().any(|&marks| marks != 0);
        self.varying.push(varying.into(), 1);
        if varying {
            self.rows.iter().for_each(|&marks| self.changed.push(marks, u64::BITS));
            if count > 0 {
                self.changed.push(marks, count);
            }
        }
    }
}

fn cell_of(quantizer: &Quantizer, reading: Reading) -> Cell {
    if let Some(why) = reading.missing() {
        return Cell::Missing(why);
    }
    let value = reading.or_nan();
    quantizer.level(value).map_or(Cell::Raw(value), Cell::Level)
}
