//! Residuals and other numbers as symbols and bits. What writer and reader both do, they do through [`Coder`].

use super::{
    super::{CodecError, quantize::MAX_LEVEL},
    ABSENT, Cell, FAILED, RAW, STALE, is_level,
    memory::{ACTIVITIES, Context, LEVEL_CONTEXTS, QUIET_CONTEXTS},
    priors::{Priors, SYMBOLS},
    rans::{Sink, Source},
};

/// Levels begin at context 0; then whether a column does as expected in the whole frame.
pub(super) const QUIET: usize = LEVEL_CONTEXTS;
/// A cell behind a missing one.
pub(super) const MISSING: usize = QUIET + QUIET_CONTEXTS;
/// The time that rates are taken over.
pub(super) const GAP: usize = MISSING + 1;
/// How far a time is from where the gap puts it, and from where the row before puts it.
pub(super) const TIME: usize = GAP + ACTIVITIES;
/// What a frame has.
pub(super) const HEADER: usize = TIME + 2;
/// What a column follows.
pub(super) const LINK: usize = HEADER + 1;
/// Which row holds the extreme, and how its value is told.
pub(super) const PICK: usize = LINK + 1;
/// What follows an escape.
pub(super) const ESCAPED: usize = PICK + 2;
/// How many contexts there are.
pub(super) const CONTEXTS: usize = ESCAPED + 1;

/// The symbol of everything that has no symbol of its own; another tells what follows.
const ESCAPE: u8 = 31;
/// Behind an escape: 0 to 3 are the cells that are no level, from this on numbers by their width.
const NUMBER: u8 = 4;
/// Widths of these numbers are multiples of so many bits.
const WIDTH_STEP: u32 = 3;
/// Magnitudes from this on have no symbol.
const LARGE: u64 = 256;

/// Writes, or reads. Whoever writes gets back what it has put in; what a reader puts in is not looked at.
pub(super) trait Coder {
    /// A symbol.
    fn symbol(&mut self, context: usize, symbol: u8) -> Result<u8, CodecError>;

    /// Bits, at most 64, that all are as likely.
    fn bits(&mut self, count: u32, bits: u64) -> Result<u64, CodecError>;

    /// Bits behind all symbols.
    fn tail(&mut self, count: u32, bits: u64) -> Result<u64, CodecError>;

    /// A residual, or a cell that is no level.
    fn residual(&mut self, context: Context, residual: Cell) -> Result<Cell, CodecError>;

    /// A small number in a context of its own.
    fn number(&mut self, context: usize, number: i64) -> Result<i64, CodecError> {
        let context = Context {
            number: context,
            shift: 0,
            mirrored: false,
        };
        let number = self.residual(context, number)?;
        if is_level(number) {
            Ok(number)
        } else {
            Err(CodecError::Invalid("number"))
        }
    }
}

/// Writes.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub(super) priors: &'a Priors,
    pub(super) sink: &'a mut Sink,
    /// Context and symbol of all that was written, where tables are to be counted.
    pub(super) tally: Option<&'a mut Vec<(usize, u8)>>,
}

impl Writing<'_> {
    fn escape(&mut self, context: usize, residual: Cell) {
        self.put(context, ESCAPE);
        match residual {
            ABSENT => self.put(ESCAPED, 0),
            FAILED => self.put(ESCAPED, 1),
            STALE => self.put(ESCAPED, 2),
            RAW => self.put(ESCAPED, 3),
            _ => {
                let folded = (residual << 1 ^ residual >> 63) as u64;
                // The step's number first, for it is a symbol.
                let (mut steps, mut width) = (0, 0);
                while folded.checked_shr(width).unwrap_or(0) > 0 {
                    steps += 1;
                    width += WIDTH_STEP;
                }
                self.put(ESCAPED, NUMBER + steps);
                self.sink.bits(width, folded);
            }
        }
    }

    fn put(&mut self, context: usize, symbol: u8) {
        if let Some(tally) = &mut self.tally {
            tally.push((context, symbol));
        }
        self.sink.symbol(self.priors.slice(context, symbol));
    }
}

impl Coder for Writing<'_> {
    fn symbol(&mut self, context: usize, symbol: u8) -> Result<u8, CodecError> {
        self.put(context, symbol);
        Ok(symbol)
    }

    fn bits(&mut self, count: u32, bits: u64) -> Result<u64, CodecError> {
        self.sink.bits(count, bits);
        Ok(bits)
    }

    fn tail(&mut self, count: u32, bits: u64) -> Result<u64, CodecError> {
        self.sink.tail(count, bits);
        Ok(bits)
    }

    #[inline]
    fn residual(&mut self, context: Context, residual: Cell) -> Result<Cell, CodecError> {
        if !is_level(residual) {
            self.escape(context.number, residual);
            return Ok(residual);
        }
        let half = 1 << context.shift >> 1;
        let scaled = (residual + half) >> context.shift;
        let low = (residual + half - (scaled << context.shift)) as u64;
        let magnitude = scaled.unsigned_abs();
        if magnitude >= LARGE {
            self.escape(context.number, residual);
            return Ok(residual);
        }
        let (class, width) = class(magnitude);
        let symbol = match class {
            0 => 0,
            _ => 2 * class - u8::from((scaled > 0) != context.mirrored),
        };
        let slice = self.priors.slice(context.number, symbol);
        if slice.frequency == 0 {
            self.escape(context.number, residual);
            return Ok(residual);
        }
        if let Some(tally) = &mut self.tally {
            tally.push((context.number, symbol));
        }
        self.sink.symbol(slice);
        self.sink.bits(width, magnitude & ((1 << width) - 1));
        self.sink.bits(context.shift, low);
        Ok(residual)
    }
}

/// The class of a magnitude below [`LARGE`], 0 to 15, and how many of its low bits the class leaves open.
#[expect(clippy::cast_possible_truncation, reason = "magnitudes and octaves are small")]
const fn class(magnitude: u64) -> (u8, u32) {
    if magnitude < 4 {
        return (magnitude as u8, 0);
    }
    let octave = magnitude.ilog2();
    let half = (magnitude >> (octave - 1) & 1) as u8;
    (octave as u8 * 2 + half, octave - 1)
}

/// The least magnitude of each symbol, and how many low bits it leaves open.
const LEAST: [(u64, u32); SYMBOLS] = least();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it is worked out when this is compiled"
)]
const fn least() -> [(u64, u32); SYMBOLS] {
    let mut all = [(0, 0); SYMBOLS];
    let mut symbol = 0;
    while symbol < SYMBOLS {
        let class = symbol as u64 / 2 + symbol as u64 % 2;
        let octave = symbol as u32 / 4 + (symbol as u32 % 4) / 3;
        all[symbol] = match class {
            0..4 => (class, 0),
            _ => ((class & 1 | 2) << (octave - 1), octave - 1),
        };
        symbol += 1;
    }
    all
}

/// Reads.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) priors: &'a Priors,
    pub(super) source: Source<'a>,
}

impl Reading<'_> {
    #[cold]
    fn escaped(&mut self) -> Result<Cell, CodecError> {
        match self.symbol(ESCAPED, 0)? {
            kind @ 0..NUMBER => Ok(ABSENT + Cell::from(kind)),
            steps => {
                let width = u32::from(steps - NUMBER) * WIDTH_STEP;
                if width > u64::BITS {
                    return Err(CodecError::Invalid("escape"));
                }
                let folded = self.source.bits(width);
                let number = (folded >> 1) as i64 ^ -((folded & 1) as i64);
                // Two levels are not further apart.
                let near = number.unsigned_abs() <= 2 * MAX_LEVEL as u64;
                near.then_some(number).ok_or(CodecError::Invalid("number"))
            }
        }
    }
}

impl Coder for Reading<'_> {
    #[inline]
    fn symbol(&mut self, context: usize, _: u8) -> Result<u8, CodecError> {
        let (symbol, slice) = self.priors.find(context, self.source.place());
        self.source.advance(slice);
        Ok(symbol)
    }

    fn bits(&mut self, count: u32, _: u64) -> Result<u64, CodecError> {
        Ok(self.source.bits(count))
    }

    fn tail(&mut self, count: u32, _: u64) -> Result<u64, CodecError> {
        Ok(self.source.tail(count))
    }

    #[inline]
    fn residual(&mut self, context: Context, _: Cell) -> Result<Cell, CodecError> {
        let symbol = self.symbol(context.number, 0)?;
        if symbol == ESCAPE {
            return self.escaped();
        }
        let (least, width) = LEAST.get(usize::from(symbol)).copied().unwrap_or_default();
        let magnitude = (least | self.source.bits(width)) as i64;
        let positive = (symbol & 1 == 1) != context.mirrored;
        let scaled = if positive { magnitude } else { -magnitude };
        if context.shift == 0 {
            return Ok(scaled);
        }
        let low = self.source.bits(context.shift) as i64;
        Ok((scaled << context.shift) + low - (1 << context.shift >> 1))
    }
}
