//! Blocks to bodies.

use super::{
    super::{CodecError, MAX_READINGS, check_block, check_length, quantize::Quantizer},
    bits::{BitWriter, NibbleWriter, put_varint},
    column::{Cell, Cursor},
    even_time,
    pack::Packer,
};
use crate::{Block, Catalogue, Reading, UnixMs};

/// Writes the bodies of one catalogue, and keeps its memory from one to the next.
pub(crate) struct Writer {
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

impl Writer {
    /// A writer of the bodies that are read with `catalogue`.
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
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

    /// Replaces `body` by the encoded `block`. Readings come back within their
    /// metric's bound, times and missing readings exactly.
    ///
    /// # Errors
    /// [`CodecError`] when the block is empty or too large for a frame, was not made for this catalogue, or
    /// its times do not rise.
    pub(crate) fn write(&mut self, block: &Block, body: &mut Vec<u8>) -> Result<(), CodecError> {
        let span_ms = check_block(block, self.quantizers.len(), MAX_READINGS)?;
        self.parts.clear();
        self.parts.write_times(&block.times_ms, span_ms);
        for (quantizer, column) in self.quantizers.iter().zip(&block.columns) {
            self.parts.write_readings(quantizer, column);
        }
        self.plain.clear();
        put_varint(&mut self.plain, span_ms);
        self.parts.finish(&mut self.plain);
        self.packer.pack(&self.plain, body);
        check_length(body)
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
