//! Residuals and other numbers as symbols and bits. What writer and reader both do, they do through [`Coder`].

use super::{
    super::{CodecError, quantize::MAX_LEVEL},
    ABSENT, BACK, Cell, FAILED, RAW, STALE,
    class::{self, CLASSES, NONE, QUIET, SHIFTS},
    front::{Front, FrontBits},
    priors::{Entries, Priors, SYMBOLS},
    quick::{self, ASIDE},
    tans::{Meaning, Sink, Source},
};

/// Residuals of each class begin at context 0; then the class of a run, by the class of the one before.
pub(super) const CLASS: usize = CLASSES;
/// What a frame has.
pub(super) const HEADER: usize = CLASS + CLASSES + 1;
/// What a column follows.
pub(super) const LINK: usize = HEADER + 1;
/// Which row holds the extreme, if it is to be told, of a column that moves and of one that does not.
pub(super) const EXTREME: usize = LINK + 1;
/// What follows an escape.
pub(super) const ESCAPED: usize = EXTREME + 2;
/// How many contexts there are.
pub(super) const CONTEXTS: usize = ESCAPED + 1;

/// The symbol of every residual that has no symbol of its own; another tells what follows.
pub(super) const ESCAPE: u8 = 31;
/// Behind an escape: 0 to 3 are the cells that are no level, from this on numbers by their width.
const NUMBER: u8 = 4;
/// Widths of these numbers are multiples of so many bits.
const WIDTH_STEP: u32 = 3;
/// Magnitudes from this on have no symbol.
const LARGE: i64 = 256;
const NEAR_NUMBERS: usize = 512;

/// Writes, or reads. Whoever writes gets back what it has put in; what a reader puts in is not looked at.
pub(super) trait Coder {
    /// A symbol.
    fn symbol(&mut self, context: usize, symbol: u8) -> u8;

    /// Bits, at most 64, that all are as likely.
    fn bits(&mut self, count: u32, bits: u64) -> u64;

    /// The same, in front.
    fn front(&mut self, count: u32, bits: u64) -> u64;
}

/// How a run is told: from this on by symbols, in the class that is so much less; below it in a quick class.
const BY_SYMBOLS: u8 = ASIDE + 1;

/// How a run of a class of its own is told.
const fn way_of(class: u8) -> u8 {
    class + BY_SYMBOLS * (class != QUIET) as u8
}

/// Writes.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub(super) priors: &'a Priors,
    pub(super) sink: &'a mut Sink,
    pub(super) front: &'a mut Front,
    /// Context and symbol of all that was written, where tables are to be counted.
    pub(super) tally: Option<&'a mut Vec<(usize, u8)>>,
}

impl Writing<'_> {
    /// Chooses and tells the class of each run of a series of `residuals` that had the class `before`; returns the last class.
    pub(super) fn classes(&mut self, before: u8, residuals: &[Cell], ways: &mut Vec<u8>) -> u8 {
        let mut last = before;
        for at in 0..class::runs(residuals.len()) {
            let run = class::run(residuals.len(), at);
            last = self.class(last, residuals.get(run).unwrap_or_default());
            ways.push(way_of(last));
        }
        last
    }

    fn class(&mut self, before: u8, residuals: &[Cell]) -> u8 {
        let quiet = residuals.iter().all(|&residual| residual == 0);
        let class = if quiet {
            QUIET
        } else {
            self.priors.costs.choose(before, residuals)
        };
        self.put(CLASS + usize::from(before), class);
        class
    }

    /// Those residuals of a series, whose runs are told in these `ways`, that are told by symbols; `raw` are the values of those that
    /// are raw.
    pub(super) fn series(&mut self, ways: &[u8], residuals: &[Cell], raw: &mut impl Iterator<Item = f64>) {
        for (at, &way) in ways.iter().enumerate().filter(|&(_, &way)| way >= ASIDE) {
            let run = residuals.get(class::run(residuals.len(), at)).unwrap_or_default();
            let class = if way == ASIDE {
                self.class(NONE, run)
            } else {
                way - BY_SYMBOLS
            };
            self.symbols(class, run, raw);
        }
    }

    fn symbols(&mut self, class: u8, run: &[Cell], raw: &mut impl Iterator<Item = f64>) {
        let number = self.priors.context(class.into());
        let Some(table) = self.priors.tables().get(usize::from(number)) else {
            return;
        };
        let shift = SHIFTS.get(usize::from(class)).copied().unwrap_or(0).into();
        for &residual in run {
            let told = symbol_of(residual, shift);
            if let Some(tally) = &mut self.tally {
                tally.push((class.into(), told.map_or(ESCAPE, |(symbol, _)| symbol)));
            }
            match told {
                Some((symbol, behind)) if table.has(symbol) => self.sink.symbol(number, symbol, behind),
                _ => self.escape(number, residual, raw),
            }
        }
    }

    #[cold]
    fn escape(&mut self, table: u8, residual: Cell, raw: &mut impl Iterator<Item = f64>) {
        self.sink.symbol(table, ESCAPE, (0, 0));
        match residual {
            ABSENT => self.put(ESCAPED, 0),
            FAILED => self.put(ESCAPED, 1),
            STALE => self.put(ESCAPED, 2),
            RAW => {
                self.put(ESCAPED, 3);
                let value = raw.next().unwrap_or_default();
                self.sink.bits(u64::BITS, value.to_bits());
            }
            BACK => self.put(ESCAPED, NUMBER),
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
        self.sink.symbol(self.priors.context(context), symbol, (0, 0));
    }
}

impl Coder for Writing<'_> {
    fn symbol(&mut self, context: usize, symbol: u8) -> u8 {
        self.put(context, symbol);
        symbol
    }

    fn bits(&mut self, count: u32, bits: u64) -> u64 {
        self.sink.bits(count, bits);
        bits
    }

    fn front(&mut self, count: u32, bits: u64) -> u64 {
        self.front.push_wide(count, bits);
        bits
    }
}

/// The symbol of a residual whose lowest `shift` bits are raw, how many raw bits are behind it, and these.
#[inline]
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "the number of near numbers is a power of two"
)]
pub(super) fn symbol_of(residual: Cell, shift: u32) -> Option<(u8, (u32, u64))> {
    let raised = residual.wrapping_add(1 << shift >> 1);
    let place = (raised >> shift).wrapping_add(LARGE).cast_unsigned();
    if place == 0 || place >= NEAR_NUMBERS as u64 {
        return None;
    }
    let (symbol, open, least) = NEAR[place as usize % NEAR_NUMBERS];
    let bits = raised.wrapping_sub(i64::from(least) << shift);
    Some((symbol, (u32::from(open) + shift, bits.cast_unsigned())))
}

/// Of each number from `-LARGE` on: its symbol, how many raw bits tell which of the symbol's numbers it is, and the least of
/// these.
static NEAR: [(u8, u8, i16); NEAR_NUMBERS] = near();

#[expect(clippy::indexing_slicing, reason = "it is worked out when this is compiled")]
const fn near() -> [(u8, u8, i16); NEAR_NUMBERS] {
    let mut all = [(0, 0, 0); NEAR_NUMBERS];
    let (mut at, mut number) = (1, 1 - LARGE);
    while number < LARGE {
        let symbol = 2 * size(number.unsigned_abs()) - (number > 0) as u8;
        let (least, open) = least(symbol);
        all[at] = (symbol, open, least);
        number += 1;
        at += 1;
    }
    all
}

/// The size of a magnitude below [`LARGE`]: 0 to 3 as they are, and two an octave.
#[expect(clippy::cast_possible_truncation, reason = "magnitudes and octaves are small")]
const fn size(magnitude: u64) -> u8 {
    if magnitude < 4 {
        return magnitude as u8;
    }
    let octave = magnitude.ilog2();
    octave as u8 * 2 + (magnitude >> (octave - 1) & 1) as u8
}

/// The least number of a symbol, and how many raw bits tell which it is.
const fn least(symbol: u8) -> (i16, u8) {
    let size = symbol / 2 + symbol % 2;
    let (magnitude, open) = match size {
        0..4 => (size as i16, 0),
        _ => (((size & 1 | 2) as i16) << (size / 2 - 1), size / 2 - 1),
    };
    if symbol % 2 == 1 {
        return (magnitude, open);
    }
    // Of negative ones the least has the largest magnitude.
    (if size == 0 { 0 } else { 1 - magnitude - (1 << open) }, open)
}

/// The magnitude in the middle of a symbol, and how many numbers the symbol stands for.
pub(super) fn spread(symbol: u8) -> (f64, f64) {
    let (least, open) = least(symbol);
    let width = f64::from(1_u32 << open);
    ((f64::from(least) + (width - 1.0) / 2.0).abs(), width)
}

/// What symbols mean in `context`.
pub(super) fn meanings(context: usize) -> [Meaning; SYMBOLS] {
    let meaning = |symbol: u8| match context {
        CLASS.. => Meaning {
            number: symbol.into(),
            ..Meaning::default()
        },
        _ if symbol == ESCAPE => Meaning {
            escape: true,
            ..Meaning::default()
        },
        _ => {
            let (number, open) = least(symbol);
            Meaning {
                number,
                open,
                escape: false,
            }
        }
    };
    std::array::from_fn(|symbol| u8::try_from(symbol).map(meaning).unwrap_or_default())
}

/// Reads.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) entries: &'a Entries,
    pub(super) source: Source<'a>,
    pub(super) front: FrontBits<'a>,
    /// Whether runs are told in quick classes.
    pub(super) quick: bool,
}

impl Reading<'_> {
    /// Appends how so many runs are told of a series that had the class `before`; returns the last class.
    #[inline]
    pub(super) fn classes(&mut self, before: u8, runs: usize, ways: &mut Vec<u8>) -> u8 {
        let mut last = before;
        for _ in 0..runs {
            last = symbol_from(self.source.symbol(self.entries.of(CLASS + usize::from(last))));
            ways.push(way_of(last));
        }
        last
    }

    /// Replaces `ways` by those of many series of one run, each behind the class that it had.
    pub(super) fn single_classes<'b>(&mut self, series: impl ExactSizeIterator<Item = &'b mut u8>, ways: &mut Vec<u8>) {
        // A copy stays in registers.
        let mut source = self.source;
        ways.clear();
        ways.resize(series.len(), QUIET);
        for (class, way) in series.zip(ways) {
            *class = symbol_from(source.symbol(self.entries.of(CLASS + usize::from(*class))));
            *way = way_of(*class);
        }
        self.source = source;
    }

    /// Reads the residuals of a run of so many rows that is told in this quick class to the begin of `to`, which has room for
    /// [`quick::ROOM`].
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call costs as much as some of the values")]
    pub(super) fn quick_run(&mut self, class: u8, rows: usize, to: &mut [Cell]) {
        if class == QUIET {
            to.iter_mut().take(rows).for_each(|residual| *residual = 0);
        } else {
            quick::read(class, rows, to, &mut self.front);
        }
    }

    /// The residuals of a run that is told in this way; values of those that are raw are appended to `raw`. Tells whether all
    /// are numbers.
    #[inline]
    pub(super) fn run(&mut self, way: u8, run: &mut [Cell], raw: &mut Vec<f64>) -> Result<bool, CodecError> {
        match way.checked_sub(BY_SYMBOLS) {
            None if way == ASIDE => {
                let class = self.symbol(CLASS + usize::from(NONE), 0);
                return self.symbols(class, run, raw);
            }
            None => {
                let mut told = [0; quick::ROOM];
                self.quick_run(way, run.len(), &mut told);
                run.iter_mut().zip(told).for_each(|(to, told)| *to = told);
            }
            Some(_) if self.quick => return Err(CodecError::Invalid("class")),
            Some(class) => return self.symbols(class, run, raw),
        }
        Ok(true)
    }

    fn symbols(&mut self, class: u8, run: &mut [Cell], raw: &mut Vec<f64>) -> Result<bool, CodecError> {
        let table = self.entries.of(class.into());
        let shift = SHIFTS.get(usize::from(class)).copied().unwrap_or(0).into();
        let mut left = run;
        let mut plain = true;
        loop {
            let (source, told) = self.source.numbers(table, shift, left);
            self.source = source;
            let Some((next, rest)) = left.get_mut(told..).and_then(<[Cell]>::split_first_mut) else {
                return Ok(plain);
            };
            plain = false;
            self.source.symbol(table);
            *next = self.escaped(raw)?;
            left = rest;
        }
    }

    /// Behind an escape.
    #[cold]
    fn escaped(&mut self, raw: &mut Vec<f64>) -> Result<Cell, CodecError> {
        Ok(match self.symbol(ESCAPED, 0) {
            0 => ABSENT,
            1 => FAILED,
            2 => STALE,
            3 => {
                let value = f64::from_bits(self.source.bits(u64::BITS));
                if !value.is_finite() {
                    return Err(CodecError::Invalid("raw value"));
                }
                raw.push(value);
                RAW
            }
            NUMBER => BACK,
            kind => {
                let width = u32::from(kind - NUMBER) * WIDTH_STEP;
                if width > u64::BITS {
                    return Err(CodecError::Invalid("number"));
                }
                let folded = self.source.bits(width);
                let number = (folded >> 1).cast_signed() ^ -((folded & 1).cast_signed());
                // Two levels are not further apart.
                if number.unsigned_abs() > 2 * MAX_LEVEL.unsigned_abs() {
                    return Err(CodecError::Invalid("number"));
                }
                number
            }
        })
    }
}

impl Coder for Reading<'_> {
    #[inline]
    fn symbol(&mut self, context: usize, _: u8) -> u8 {
        symbol_from(self.source.symbol(self.entries.of(context)))
    }

    fn bits(&mut self, count: u32, _: u64) -> u64 {
        self.source.bits(count)
    }

    fn front(&mut self, count: u32, _: u64) -> u64 {
        self.front.bits(count)
    }
}

/// The number of a symbol in a context whose numbers are symbols.
#[expect(clippy::cast_possible_truncation, reason = "symbols are below 32")]
const fn symbol_from(number: i64) -> u8 {
    number as u8
}
