//! Bodies to blocks.

use super::{
    super::{CodecError, MAX_READINGS, MAX_SPAN_MS, Shape, check_size, quantize::Quantizer},
    bits::{BitReader, ByteReader, NibbleReader},
    column::{Cell, Cursor},
    even_time, pack,
};
use crate::{Block, Catalogue, Reading, UnixMs};

/// The longest token: 22 nibbles of a varint; a marker and a raw value have fewer.
const MAX_TOKEN_BYTES: u64 = 11;

/// Reads the bodies of one catalogue, and keeps its memory from one to the next.
#[derive(Debug)]
pub(crate) struct Reader {
    quantizers: Vec<Quantizer>,
    plain: Vec<u8>,
}

impl Reader {
    /// A reader of the bodies of the epoch that `catalogue` was born with.
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        Self {
            quantizers: catalogue
                .metrics()
                .iter()
                .map(|metric| Quantizer::new(metric.bound))
                .collect(),
            plain: Vec::new(),
        }
    }

    /// Replaces `block` by the samples of `body`.
    ///
    /// Never allocates more than 12 bytes for a reading and 8 more in `block`, whatever it is fed. After an
    /// error `block` holds nothing of use.
    ///
    /// # Errors
    /// [`CodecError`] when the frame is too large or the body is not one that an
    /// [`Writer`](super::Writer) of the same catalogue wrote.
    pub(crate) fn read(&mut self, shape: Shape, body: &[u8], block: &mut Block) -> Result<(), CodecError> {
        let samples = shape.samples as usize;
        check_size(samples, self.quantizers.len(), MAX_READINGS)?;
        let mut reader = ByteReader::new(pack::unpack(
            body,
            max_plain_bytes(samples, self.quantizers.len()),
            &mut self.plain,
        )?);
        let span_ms = reader.varint("span")?;
        if span_ms > MAX_SPAN_MS || (samples == 1 && span_ms > 0) {
            return Err(CodecError::Invalid("span"));
        }
        let mut columns = Columns::read(&mut reader, samples, self.quantizers.len() + 1)?;
        block.gaps_us.clear();
        block.gaps_us.resize(samples, 0);
        columns.read_times(shape.start_ms, span_ms, &mut block.times_ms)?;
        block.columns.resize_with(self.quantizers.len(), Vec::new);
        for (i, (quantizer, column)) in self.quantizers.iter().zip(&mut block.columns).enumerate() {
            columns.read_readings(quantizer, i, column)?;
        }
        columns.tokens.finish()
    }
}

/// The most bytes that a body has before it is packed.
fn max_plain_bytes(samples: usize, metrics: usize) -> u64 {
    let columns = metrics as u64 + 1;
    // The span, two bits a column, a bit and a token a cell.
    MAX_TOKEN_BYTES + 2 * (columns / 8 + 1) + columns * samples as u64 * (MAX_TOKEN_BYTES + 1)
}

/// The columns that are still to be read.
struct Columns<'a> {
    samples: usize,
    first: BitReader<'a>,
    varying: BitReader<'a>,
    changed: BitReader<'a>,
    tokens: NibbleReader<'a>,
}

impl<'a> Columns<'a> {
    fn read(reader: &mut ByteReader<'a>, samples: usize, count: usize) -> Result<Self, CodecError> {
        let first = BitReader::take(reader, count, "first-row marks")?;
        let varying = BitReader::take(reader, count, "column marks")?;
        let rows = varying.count_ones() * (samples - 1);
        Ok(Self {
            samples,
            first,
            varying,
            changed: BitReader::take(reader, rows, "row marks")?,
            tokens: NibbleReader::new(reader.rest()),
        })
    }

    fn read_times(&mut self, start_ms: UnixMs, span_ms: u64, times_ms: &mut Vec<UnixMs>) -> Result<(), CodecError> {
        times_ms.clear();
        self.read_column(times_ms, |cell| match cell {
            Cell::Level(off_ms) => Ok(off_ms),
            Cell::Raw(_) | Cell::Missing(_) => Err(CodecError::Invalid("time")),
        })?;
        let samples = self.samples;
        let mut last_ms = None;
        for (row, time_ms) in times_ms.iter_mut().enumerate() {
            // Each summand has at most 53 bits.
            let told_ms = start_ms.checked_add(even_time(row, samples, span_ms) + *time_ms);
            let follows = |told_ms: &UnixMs| last_ms.map_or(*told_ms == start_ms, |last_ms| *told_ms > last_ms);
            *time_ms = told_ms.filter(follows).ok_or(CodecError::Times { row })?;
            last_ms = Some(*time_ms);
        }
        // The span tells where the last one is: else its own place could be past any bound.
        if last_ms != start_ms.checked_add_unsigned(span_ms) {
            return Err(CodecError::Times { row: samples - 1 });
        }
        Ok(())
    }

    fn read_readings(
        &mut self,
        quantizer: &Quantizer,
        column: usize,
        out: &mut Vec<Reading>,
    ) -> Result<(), CodecError> {
        out.clear();
        self.read_column(out, |cell| match cell {
            Cell::Level(level) => {
                let value = quantizer.value(level);
                let finite = value.is_finite().then(|| Reading::new(value));
                finite.ok_or(CodecError::Value { column })
            }
            Cell::Raw(value) => Ok(Reading::new(value)),
            Cell::Missing(why) => Ok(why.into()),
        })
    }

    /// Appends the next column's rows, each distinct cell read through `value`.
    fn read_column<T: Copy>(
        &mut self,
        out: &mut Vec<T>,
        value: impl Fn(Cell) -> Result<T, CodecError>,
    ) -> Result<(), CodecError> {
        let mut cursor = Cursor::default();
        if self.first.next(1) == 1 {
            cursor.read(&mut self.tokens)?;
        }
        let mut current = value(cursor.cell())?;
        out.reserve(self.samples);
        out.push(current);
        let mut left = self.samples - 1;
        if self.varying.next(1) == 0 {
            out.resize(self.samples, current);
            return Ok(());
        }
        while left > 0 {
            let rows = left.min(64);
            let mut marks = self.changed.next(rows);
            let end = out.len() + rows;
            while marks != 0 {
                let unchanged = marks.trailing_zeros();
                out.resize(out.len() + unchanged as usize, current);
                current = value(cursor.read(&mut self.tokens)?)?;
                out.push(current);
                marks = marks.checked_shr(unchanged + 1).unwrap_or(0);
            }
            out.resize(end, current);
            left -= rows;
        }
        Ok(())
    }
}
