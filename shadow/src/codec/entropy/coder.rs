//! Residuals and other numbers as symbols and bits. What writer and reader both do, they do through [`Coder`].

use super::{
    super::{CodecError, quantize::MAX_LEVEL},
    ABSENT, Cell, FAILED, INVALID, RAW, STALE,
    activity::{QUIET_CONTEXTS, step},
    clock::GAP_CLASSES,
    is_level,
    memory::{Column, LEVEL_CONTEXTS, level_context, wanted},
    priors::{Entries, Level, Priors, SYMBOLS},
    tans::{Entry, Sink, Source},
};

/// Levels begin at context 0; then whether a column does as expected in the whole frame.
pub(super) const QUIET: usize = LEVEL_CONTEXTS;
/// A cell behind a missing one.
pub(super) const MISSING: usize = QUIET + QUIET_CONTEXTS;
/// The time that rates are taken over.
pub(super) const GAP: usize = MISSING + 1;
/// How far a time is from where the gap puts it, and from where the row before puts it.
pub(super) const TIME: usize = GAP + GAP_CLASSES;
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

/// In which context a number is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// Which.
    pub(super) number: usize,
    /// How many of its low bits are told raw.
    pub(super) shift: u32,
}

/// How a number becomes a symbol and bits.
#[derive(Debug, Clone, Copy)]
struct Manner {
    table: u16,
    /// How many of its low bits are told raw.
    shift: u32,
    /// Whether it is told with the other sign.
    mirrored: bool,
}

/// Writes, or reads. Whoever writes gets back what it has put in; what a reader puts in is not looked at.
pub(super) trait Coder {
    /// A symbol.
    fn symbol(&mut self, context: usize, symbol: u8) -> Result<u8, CodecError>;

    /// Bits, at most 64, that all are as likely.
    fn bits(&mut self, count: u32, bits: u64) -> Result<u64, CodecError>;

    /// Bits behind all symbols.
    fn tail(&mut self, count: u32, bits: u64) -> Result<u64, CodecError>;

    /// A number, or a cell that is no level.
    fn residual(&mut self, context: Context, residual: Cell) -> Result<Cell, CodecError>;

    /// A small number in a context of its own.
    fn number(&mut self, context: usize, number: i64) -> Result<i64, CodecError> {
        let context = Context {
            number: context,
            shift: 0,
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
    /// A level of `column` by its difference to what is `expected`, or a cell that is no level; the column goes on by it.
    #[inline]
    pub(super) fn level(&mut self, column: &mut Column, expected: i64, residual: Cell) {
        let wanted = wanted(expected);
        let Level { table, shift } = self.priors.level(column.state, wanted);
        let manner = Manner {
            table,
            shift: shift.into(),
            mirrored: column.mirrors(expected),
        };
        let symbol = self.tell(manner, residual);
        if let Some(tally) = &mut self.tally {
            tally.push((level_context(column.state, wanted), symbol));
        }
        if symbol == ESCAPE {
            self.escape(residual);
            if !is_level(residual) {
                return;
            }
            column.state = step(column.state, residual.unsigned_abs());
        } else {
            column.state = self.priors.machine.next(column.state, symbol);
        }
        column.negative = residual < 0;
    }

    /// The symbol of a number, and the bits behind it. What is behind an escape is left to [`Self::escape`].
    #[inline]
    fn tell(&mut self, manner: Manner, residual: Cell) -> u8 {
        let Manner { table, shift, mirrored } = manner;
        let half = 1 << shift >> 1;
        let scaled = residual.wrapping_add(half) >> shift;
        let magnitude = scaled.unsigned_abs();
        if magnitude < LARGE {
            let (class, width) = class(magnitude);
            let symbol = match class {
                0 => 0,
                _ => 2 * class - u8::from((scaled > 0) != mirrored),
            };
            let code = self.priors.code(table, symbol);
            if code.frequency > 0 {
                let low = residual
                    .wrapping_add(half)
                    .wrapping_sub(scaled << shift)
                    .cast_unsigned();
                let open = magnitude & ((1 << width) - 1);
                self.sink.symbol(table, code, (width + shift, low << width | open));
                return symbol;
            }
        }
        self.sink.symbol(table, self.priors.code(table, ESCAPE), (0, 0));
        ESCAPE
    }

    #[cold]
    fn escape(&mut self, residual: Cell) {
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
        let table = self.priors.context(context);
        self.sink.symbol(table, self.priors.code(table, symbol), (0, 0));
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

    fn residual(&mut self, context: Context, residual: Cell) -> Result<Cell, CodecError> {
        let manner = Manner {
            table: self.priors.context(context.number),
            shift: context.shift,
            mirrored: false,
        };
        let symbol = self.tell(manner, residual);
        if let Some(tally) = &mut self.tally {
            tally.push((context.number, symbol));
        }
        if symbol == ESCAPE {
            self.escape(residual);
        }
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
const LEAST: [(u8, u8); SYMBOLS] = least();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it is worked out when this is compiled"
)]
const fn least() -> [(u8, u8); SYMBOLS] {
    let mut all = [(0, 0); SYMBOLS];
    let mut symbol = 0;
    while symbol < SYMBOLS - 1 {
        let class = symbol as u8 / 2 + symbol as u8 % 2;
        all[symbol] = match class {
            0..4 => (class, 0),
            _ => ((class & 1 | 2) << (class / 2 - 1), class / 2 - 1),
        };
        symbol += 1;
    }
    all
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "the number of symbols is a power of two")]
fn least_of(symbol: u8) -> (u64, u32) {
    let (least, width) = LEAST[usize::from(symbol) % SYMBOLS];
    (least.into(), width.into())
}

/// A magnitude in the middle of those that each symbol stands for.
pub(super) fn magnitudes() -> [u64; SYMBOLS] {
    LEAST.map(|(least, width)| u64::from(least) + (1 << width >> 1))
}

/// Reads. It is small, so that what reads a row keeps a copy of it in registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) priors: &'a Priors,
    pub(super) entries: &'a Entries,
    pub(super) source: Source<'a>,
}

impl Reading<'_> {
    /// A symbol that is told in `context`.
    #[inline]
    pub(super) fn next(&mut self, context: usize) -> u8 {
        let table = self.priors.context(context);
        let entry = self.entries.entry(table, self.source.state());
        self.source.advance(entry, 0);
        entry.symbol
    }

    /// A level of `column` that is expected to be `expected`, or a cell that is no level, or [`INVALID`].
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "where rows are read it has to work on registers")]
    pub(super) fn level(&mut self, column: &mut Column, expected: i64) -> Cell {
        let Level { table, shift } = self.priors.level(column.state, wanted(expected));
        let entry = self.entries.entry(table, self.source.state());
        if entry.symbol == ESCAPE {
            let (rest, cell) = self.escaped_level(column, expected, table);
            *self = rest;
            return cell;
        }
        let residual = self.told(entry, shift.into(), column.mirrors(expected));
        column.state = self.priors.machine.next(column.state, entry.symbol);
        column.negative = residual < 0;
        expected + residual
    }

    /// The number that the symbol of `entry` and the bits behind it stand for.
    #[inline]
    fn told(&mut self, entry: Entry, shift: u32, mirrored: bool) -> i64 {
        let (least, width) = least_of(entry.symbol);
        let bits = self.source.advance(entry, width + shift);
        let open = bits & ((1 << width) - 1);
        let magnitude = (least + open).cast_signed();
        let negative = -i64::from((entry.symbol & 1 == 0) != mirrored);
        let scaled = (magnitude ^ negative) - negative;
        let half = 1 << shift >> 1;
        (scaled << shift) + (bits >> width).cast_signed() - half
    }

    /// By value: a reference would keep what it points to out of registers.
    #[cold]
    #[inline(never)]
    fn escaped_level(self, column: &mut Column, expected: i64, table: u16) -> (Self, Cell) {
        let (rest, residual) = self.escaped(table);
        if !is_level(residual) {
            return (rest, residual);
        }
        column.state = step(column.state, residual.unsigned_abs());
        column.negative = residual < 0;
        let level = expected + residual;
        let known = level.unsigned_abs() <= MAX_LEVEL.unsigned_abs();
        (rest, if known { level } else { INVALID })
    }

    /// Behind an escape in `table`.
    #[cold]
    fn escaped(mut self, table: u16) -> (Self, Cell) {
        let entry = self.entries.entry(table, self.source.state());
        self.source.advance(entry, 0);
        let kind = self.next(ESCAPED);
        let Some(steps) = kind.checked_sub(NUMBER) else {
            return (self, ABSENT + Cell::from(kind));
        };
        let width = u32::from(steps) * WIDTH_STEP;
        if width > u64::BITS {
            return (self, INVALID);
        }
        let folded = self.source.bits(width);
        let number = (folded >> 1).cast_signed() ^ -((folded & 1).cast_signed());
        // Two levels are not further apart.
        let near = number.unsigned_abs() <= 2 * MAX_LEVEL.unsigned_abs();
        (self, if near { number } else { INVALID })
    }
}

impl Coder for Reading<'_> {
    fn symbol(&mut self, context: usize, _: u8) -> Result<u8, CodecError> {
        Ok(self.next(context))
    }

    fn bits(&mut self, count: u32, _: u64) -> Result<u64, CodecError> {
        Ok(self.source.bits(count))
    }

    fn tail(&mut self, count: u32, _: u64) -> Result<u64, CodecError> {
        Ok(self.source.tail(count))
    }

    fn residual(&mut self, context: Context, _: Cell) -> Result<Cell, CodecError> {
        let manner = Manner {
            table: self.priors.context(context.number),
            shift: context.shift,
            mirrored: false,
        };
        let entry = self.entries.entry(manner.table, self.source.state());
        if entry.symbol != ESCAPE {
            return Ok(self.told(entry, manner.shift, manner.mirrored));
        }
        let (rest, cell) = self.escaped(manner.table);
        *self = rest;
        match cell {
            INVALID => Err(CodecError::Invalid("number")),
            cell => Ok(cell),
        }
    }
}
