//! Symbols to bytes and back: table variants of asymmetric numeral systems, two of them taking turns.
//!
//! Jarek Duda, "Asymmetric numeral systems", arXiv:1311.2540; turns as in Fabian Giesen, "Interleaved entropy
//! coders", arXiv:1402.3392. A body is one string of bits that is read from its end to its beginning: both states, then for each
//! symbol the bits that its state is filled up with and the raw bits that go with it, then the tail.
//! The highest bit that is set in the last byte marks the end.
//!
//! The writer begins with states that hold the first tail bits, and the reader finds these when all symbols are
//! read: states cost nothing.

#![expect(
    clippy::cast_possible_truncation,
    reason = "states have few bits, and what goes into bytes is cut on purpose"
)]

use super::{super::CodecError, priors::SYMBOLS};

/// States are below 2^this, and frequencies of a table add up to it.
pub(super) const PRECISION: u32 = 10;

/// How many states there are.
pub(super) const STATES: usize = 1 << PRECISION;

/// Raw bits behind a symbol: with those of its state they are within 8 bytes wherever they begin.
const BEHIND: u32 = 57 - PRECISION;

/// What a state of a table is for a reader.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// The next state, without the bits that it is filled up with.
    base: u16,
    /// How many bits these are.
    width: u8,
    /// The symbol.
    pub(super) symbol: u8,
}

/// How a writer moves on by a symbol of a table.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Code {
    /// Its frequency; 0 = it is not in the table.
    pub(super) frequency: u16,
    /// The frequencies of the symbols before it.
    start: u16,
}

/// One table of symbols, for a writer.
#[derive(Debug)]
pub(super) struct Table {
    codes: [Code; SYMBOLS],
    /// By symbol, then by what is left of a state: the next state.
    states: Vec<u16>,
}

impl Table {
    /// The table of `frequencies`, if they add up to [`STATES`].
    pub(super) fn new(frequencies: &[u16; SYMBOLS]) -> Option<Self> {
        let mut codes = [Code::default(); SYMBOLS];
        let mut start = 0;
        for (code, &frequency) in codes.iter_mut().zip(frequencies) {
            *code = Code { frequency, start };
            start = u16::checked_add(start, frequency)?;
        }
        let places = (0..STATES).map(|nth| (nth * SPREAD % STATES) as u16);
        (usize::from(start) == STATES).then(|| Self {
            codes,
            states: places.collect(),
        })
    }

    /// The same for a reader: what it has at each state.
    pub(super) fn entries(&self) -> [Entry; STATES] {
        let mut entries = [Entry::default(); STATES];
        let all = (0..).zip(&self.codes).flat_map(|(symbol, code)| {
            (code.frequency..2 * code.frequency).map(move |left| {
                let width = PRECISION - left.ilog2();
                Entry {
                    base: (left << width) % STATES as u16,
                    width: width as u8,
                    symbol,
                }
            })
        });
        for (&state, entry) in self.states.iter().zip(all) {
            entries.iter_mut().skip(state.into()).take(1).for_each(|to| *to = entry);
        }
        entries
    }

    /// How to write `symbol`.
    #[inline]
    pub(super) fn code(&self, symbol: u8) -> Code {
        self.codes.get(usize::from(symbol)).copied().unwrap_or_default()
    }
}

/// How far the states of a symbol lie apart: odd, so that all are met.
const SPREAD: usize = (STATES >> 1) + (STATES >> 3) + 3;

/// A symbol and the bits behind it, or bits alone.
#[derive(Debug, Clone, Copy)]
struct Item {
    /// In which table, if there is one.
    symbol: Option<(u16, Code)>,
    count: u32,
    bits: u64,
}

/// Collects symbols and bits, and writes them at the end: states go from the last symbol to the first.
#[derive(Debug, Default)]
pub(super) struct Sink {
    items: Vec<Item>,
    symbols: usize,
    /// The first bits of the tail.
    seed: u64,
    seeded: u32,
    tail: Vec<Item>,
}

impl Sink {
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.tail.clear();
        (self.symbols, self.seed, self.seeded) = (0, 0, 0);
    }

    /// The next symbol, and the lowest `count` bits of `bits` behind it, at most [`BEHIND`] of them; those above are 0.
    #[inline]
    pub(super) fn symbol(&mut self, table: u16, code: Code, (count, bits): (u32, u64)) {
        debug_assert!(count <= BEHIND, "{count} bits");
        self.symbols += 1;
        self.items.push(Item {
            symbol: Some((table, code)),
            count,
            bits,
        });
    }

    /// The lowest `count` bits of `bits`, at most 64; those above are 0.
    pub(super) fn bits(&mut self, count: u32, bits: u64) {
        self.items.extend(halves(count, bits));
    }

    /// The same, behind all symbols.
    pub(super) fn tail(&mut self, count: u32, bits: u64) {
        let seeded = count.min(2 * PRECISION - self.seeded);
        self.seed |= (bits & ((1 << seeded) - 1)) << self.seeded;
        self.seeded += seeded;
        self.tail
            .extend(halves(count - seeded, bits.checked_shr(seeded).unwrap_or(0)));
    }

    /// Appends everything to `out`.
    pub(super) fn finish(&mut self, tables: &[Table], out: &mut Vec<u8>) {
        let mut bits = Bits::new(out);
        for item in self.tail.iter().rev() {
            bits.push(item.count, item.bits);
        }
        let mask = STATES as u64 - 1;
        let mut states = [self.seed & mask, self.seed >> PRECISION].map(|state| state as u32 + STATES as u32);
        // The reader swaps its states at each symbol.
        if self.symbols % 2 == 1 {
            states.swap(0, 1);
        }
        let mut odd = self.symbols % 2 == 1;
        for item in self.items.iter().rev() {
            bits.push(item.count, item.bits);
            let Some((table, code)) = item.symbol else { continue };
            odd = !odd;
            let [first, second] = &mut states;
            let state = if odd { second } else { first };
            let frequency = u32::from(code.frequency.max(1));
            let mut width = PRECISION - frequency.ilog2();
            // A state is to be left with `frequency` to `2 * frequency - 1`.
            width -= u32::from(*state >> width < frequency);
            bits.push(width, u64::from(*state & ((1 << width) - 1)));
            let left = (*state >> width) - frequency + u32::from(code.start);
            let table = tables.get(usize::from(table));
            let next = table.and_then(|table| table.states.get(left as usize)).copied();
            *state = STATES as u32 + u32::from(next.unwrap_or(0));
        }
        for state in states.into_iter().rev() {
            bits.push(PRECISION, u64::from(state) & mask);
        }
        bits.finish();
    }
}

/// Bits as one or two items; of two the lower one is read first.
fn halves(count: u32, bits: u64) -> impl Iterator<Item = Item> {
    let low = count.min(32);
    let item = |count, bits| Item {
        symbol: None,
        count,
        bits,
    };
    let all = [item(low, bits & ((1 << low) - 1)), item(count - low, bits >> 32)];
    all.into_iter().filter(|item| item.count > 0)
}

/// Bits on their way into bytes, the lowest first.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            pending: 0,
            count: 0,
        }
    }

    /// At most 64, those above `count` 0.
    #[inline]
    fn push(&mut self, count: u32, bits: u64) {
        if count > 32 {
            self.push(32, bits & 0xffff_ffff);
            return self.push(count - 32, bits >> 32);
        }
        self.pending |= bits << self.count;
        self.count += count;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    fn finish(mut self) {
        self.push(1, 1);
        let left = self.pending.to_le_bytes();
        self.out.extend(left.iter().take(self.count.div_ceil(8) as usize));
    }
}

/// Reads what a [`Sink`] wrote. It is small, so that what reads a row keeps a copy of it in registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    body: &'a [u8],
    /// The states of the next symbol and of the one behind it.
    states: [u32; 2],
    /// How many bits are left.
    left: usize,
    /// How many bits of the tail the states still hold.
    seeded: u32,
}

impl<'a> Source<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Self, CodecError> {
        let last = body.last().copied().unwrap_or(0);
        let end = last.checked_ilog2().ok_or(CodecError::Truncated("end"))?;
        let mut source = Self {
            body,
            states: [0; 2],
            left: (body.len() - 1) * 8 + end as usize,
            seeded: 2 * PRECISION,
        };
        if source.left < 2 * PRECISION as usize {
            return Err(CodecError::Truncated("states"));
        }
        source.states = [0; 2].map(|_: u32| source.narrow(PRECISION) as u32);
        Ok(source)
    }

    /// What the next symbol's table has at the state whose turn it is.
    #[inline]
    pub(super) fn state(&self) -> usize {
        let [state, _] = self.states;
        state as usize
    }

    /// Goes on by `entry`, which the table has at the state; returns the `count` raw bits behind it, at most
    /// [`BEHIND`].
    #[inline]
    pub(super) fn advance(&mut self, entry: Entry, count: u32) -> u64 {
        let both = self.narrow(u32::from(entry.width) + count);
        let [_, other] = self.states;
        self.states = [other, u32::from(entry.base) + (both >> count) as u32];
        both & ((1 << count) - 1)
    }

    /// The next `count` bits, at most 64.
    #[inline]
    pub(super) fn bits(&mut self, count: u32) -> u64 {
        let low = self.narrow(count.min(32));
        if count > 32 {
            return low | self.narrow(count - 32) << 32;
        }
        low
    }

    /// The next `count` bits, at most 57: so many are within 8 bytes wherever they begin. Past the end there are zeros; [`Source::finish`] tells.
    #[inline]
    fn narrow(&mut self, count: u32) -> u64 {
        self.left = self.left.wrapping_sub(count as usize);
        let at = self.left / 8;
        let bits = match self.body.get(at..at + 8) {
            Some(&[a, b, c, d, e, f, g, h]) => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => edge(self.body, at),
        };
        bits >> (self.left % 8) & ((1 << count) - 1)
    }

    /// The next `count` bits behind all symbols, at most 64.
    pub(super) fn tail(&mut self, count: u32) -> u64 {
        let seeded = count.min(self.seeded);
        let seed = self.seed();
        self.seeded -= seeded;
        let bits = seed & ((1 << seeded) - 1);
        if count == seeded {
            return bits;
        }
        bits | self.bits(count - seeded) << seeded
    }

    /// What is left of the seed.
    fn seed(&self) -> u64 {
        let [low, high] = self.states;
        (u64::from(high) << PRECISION | u64::from(low)) >> (2 * PRECISION - self.seeded)
    }

    /// Checks that nothing is left.
    pub(super) fn finish(self) -> Result<(), CodecError> {
        if self.left > self.body.len() * 8 {
            return Err(CodecError::Truncated("symbols"));
        }
        if self.left > 0 {
            return Err(CodecError::TrailingBytes(self.left.div_ceil(8)));
        }
        let done = self.seed() == 0;
        done.then_some(()).ok_or(CodecError::Invalid("end"))
    }
}

/// The bytes from `at` on where there are no 8.
#[cold]
#[inline(never)]
fn edge(body: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    let left = body.get(at..).unwrap_or_default();
    bytes.iter_mut().zip(left).for_each(|(to, &from)| *to = from);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Symbols with as many bits behind them as there may be, bits apart and a tail come back, and nothing is left.
        #[test]
        fn what_is_written_is_read(
            symbols in vec((0_u8..32, 0..=BEHIND, any::<u64>(), 0..=64_u32), 0..200),
            tail in vec((0..=64_u32, any::<u64>()), 0..5),
        ) {
            let low = |count: u32, bits: u64| if count == 64 { bits } else { bits & ((1 << count) - 1) };
            let mut frequencies = [1_u16; SYMBOLS];
            frequencies[3] = STATES as u16 - 31;
            let tables = [Table::new(&frequencies).unwrap()];
            let mut sink = Sink::default();
            for &(symbol, count, bits, apart) in &symbols {
                sink.symbol(0, tables[0].code(symbol), (count, low(count, bits)));
                sink.bits(apart, low(apart, bits));
            }
            for &(count, bits) in &tail {
                sink.tail(count, low(count, bits));
            }
            let mut body = Vec::new();
            sink.finish(&tables, &mut body);
            let entries = tables[0].entries();
            let mut source = Source::new(&body).unwrap();
            for &(symbol, count, bits, apart) in &symbols {
                let entry = entries[source.state()];
                prop_assert_eq!(entry.symbol, symbol);
                prop_assert_eq!(source.advance(entry, count), low(count, bits));
                prop_assert_eq!(source.bits(apart), low(apart, bits));
            }
            for &(count, bits) in &tail {
                prop_assert_eq!(source.tail(count), low(count, bits));
            }
            prop_assert!(source.finish().is_ok());
        }
    }
}
