//! Symbols to bytes and back: table variants of asymmetric numeral systems, two of them taking turns.
//!
//! Jarek Duda, "Asymmetric numeral systems", arXiv:1311.2540; turns as in Fabian Giesen, "Interleaved entropy
//! coders", arXiv:1402.3392. They are one string of bits that is read from the body's end to its beginning: both states, then for
//! each symbol the bits that its state is filled up with and the raw bits that go with it.
//! The highest bit that is set in the last byte marks the end. The writer begins with states of 0, and the reader ends with them.

#![expect(
    clippy::cast_possible_truncation,
    reason = "states have few bits, and what goes into bytes is cut on purpose"
)]

mod sink;
mod source;

pub(super) use sink::Sink;
pub(super) use source::Source;

use super::priors::SYMBOLS;

/// States are below 2^this, and frequencies of a table add up to it.
pub(super) const PRECISION: u32 = 9;

/// How many states there are.
pub(super) const STATES: usize = 1 << PRECISION;

/// Raw bits behind a symbol: with those of its state they are within 8 bytes wherever they begin.
const BEHIND: u32 = 56 - PRECISION;

/// What a state of a table is for a reader, in 32 bits, so that tables stay in a processor's cache: from the lowest, the
/// next state without the bits that it is filled up with ([`PRECISION`] bits), how many these are (4), how many there are
/// together with the raw bits behind the symbol (5), whether it is an escape (1), and the number that it stands for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry(u32);

/// What a symbol means, whatever the state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meaning {
    /// The number that it stands for, or the least of them: at least -4,096, and less than 4,096.
    pub(super) number: i16,
    /// How many raw bits tell which of them it is, at most 15.
    pub(super) open: u8,
    /// Whether another symbol tells what it is.
    pub(super) escape: bool,
}

impl Entry {
    pub(super) const NOTHING: Self = Self(0);

    const WIDTH: u32 = PRECISION;
    const BOTH: u32 = Self::WIDTH + 4;
    const ESCAPE: u32 = Self::BOTH + 5;
    const NUMBER: u32 = Self::ESCAPE + 1;

    fn new(base: u32, width: u32, meaning: Meaning) -> Self {
        let number = i32::from(meaning.number).cast_unsigned() << Self::NUMBER;
        let escape = u32::from(meaning.escape) << Self::ESCAPE;
        let both = width + u32::from(meaning.open);
        Self(number | escape | both << Self::BOTH | width << Self::WIDTH | base)
    }

    const fn base(self) -> u32 {
        self.0 % STATES as u32
    }

    const fn width(self) -> u32 {
        self.0 >> Self::WIDTH & 15
    }

    const fn both(self) -> u32 {
        self.0 >> Self::BOTH & 31
    }

    pub(super) const fn is_escape(self) -> bool {
        self.0 >> Self::ESCAPE & 1 == 1
    }

    /// The number that the symbol stands for, or the least of them.
    pub(super) const fn number(self) -> i64 {
        (self.0.cast_signed() >> Self::NUMBER) as i64
    }
}

/// How a writer moves on by a symbol of a table.
#[derive(Debug, Clone, Copy, Default)]
struct Code {
    /// Its frequency; 0 = it is not in the table.
    frequency: u16,
    /// Above 16 bits how many bits a state from [`STATES`] to twice as much loses, once the state is added.
    widths: u32,
    /// From what is left of the state to where the next one stands.
    places: i16,
}

impl Code {
    const fn new(frequency: u16, start: u16) -> Self {
        if frequency == 0 {
            return Self {
                frequency,
                widths: 0,
                places: 0,
            };
        }
        // A state is to be left with `frequency` to `2 * frequency - 1`.
        let width = PRECISION - frequency.ilog2();
        Self {
            frequency,
            widths: (width << 16) - ((frequency as u32) << width),
            places: start.cast_signed() - frequency.cast_signed(),
        }
    }
}

/// One table of symbols, for a writer.
#[derive(Debug)]
pub(super) struct Table {
    codes: [Code; SYMBOLS],
    /// By symbol, then by what is left of a state: the next state.
    states: [u16; STATES],
}

impl Table {
    /// The table of `frequencies`, if they add up to [`STATES`].
    pub(super) fn new(frequencies: &[u16; SYMBOLS]) -> Option<Self> {
        let mut codes = [Code::default(); SYMBOLS];
        let mut start = 0;
        for (code, &frequency) in codes.iter_mut().zip(frequencies) {
            *code = Code::new(frequency, start);
            start = u16::checked_add(start, frequency)?;
        }
        let states = std::array::from_fn(|nth| (nth * SPREAD % STATES) as u16);
        (usize::from(start) == STATES).then_some(Self { codes, states })
    }

    /// The same for a reader: what it has at each state, where symbols mean what `meanings` says.
    pub(super) fn entries(&self, meanings: &[Meaning; SYMBOLS]) -> [Entry; STATES] {
        let mut entries = [Entry::default(); STATES];
        let all = self.codes.iter().zip(meanings).flat_map(|(code, &meaning)| {
            (code.frequency..2 * code.frequency).map(move |left| {
                let width = PRECISION - left.ilog2();
                Entry::new((u32::from(left) << width) % STATES as u32, width, meaning)
            })
        });
        for (&state, entry) in self.states.iter().zip(all) {
            entries.iter_mut().skip(state.into()).take(1).for_each(|to| *to = entry);
        }
        entries
    }

    /// Whether `symbol` is in the table.
    #[inline]
    pub(super) fn has(&self, symbol: u8) -> bool {
        self.code(symbol).frequency > 0
    }

    /// The state at a place: by symbol, then by what is left of a state.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the number of states is a power of two")]
    fn state(&self, place: u32) -> u32 {
        self.states[place as usize % STATES].into()
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the number of symbols is a power of two")]
    fn code(&self, symbol: u8) -> Code {
        self.codes[usize::from(symbol) % SYMBOLS]
    }
}

/// How far the states of a symbol lie apart: odd, so that all are met.
const SPREAD: usize = (STATES >> 1) + (STATES >> 3) + 3;

/// The lowest `count` bits, at most 63.
#[inline]
#[expect(clippy::indexing_slicing, reason = "the number of masks is a power of two")]
fn low(bits: u64, count: u32) -> u64 {
    // A look is less than the three steps that make a mask.
    static MASKS: [u64; 64] = masks();
    bits & MASKS[count as usize % 64]
}

#[expect(clippy::indexing_slicing, reason = "it is worked out when this is compiled")]
const fn masks() -> [u64; 64] {
    let mut masks = [0; 64];
    let mut count = 0;
    while count < 64 {
        masks[count] = (1 << count) - 1;
        count += 1;
    }
    masks
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Symbols with as many bits behind them as there may be and bits apart come back, and nothing is left but what is in front.
        #[test]
        fn what_is_written_is_read(
            symbols in vec((0_u8..32, 0..=BEHIND, any::<u64>(), 0..=64_u32), 0..200),
            front in vec(any::<u8>(), 0..5),
        ) {
            let low = |count: u32, bits: u64| if count == 64 { bits } else { bits & ((1 << count) - 1) };
            let mut frequencies = [1_u16; SYMBOLS];
            frequencies[3] = STATES as u16 - 31;
            let tables = [Table::new(&frequencies).unwrap()];
            let mut sink = Sink::default();
            for &(symbol, count, bits, apart) in &symbols {
                sink.symbol(0, symbol, (count, low(count, bits)));
                sink.bits(apart, low(apart, bits));
            }
            let mut body = front.clone();
            sink.finish(&tables, &mut body);
            let meanings = std::array::from_fn(|symbol| Meaning { number: symbol as i16, ..Meaning::default() });
            let entries = tables[0].entries(&meanings);
            let mut padded = Vec::new();
            let mut source = Source::new(&body, &mut padded).unwrap();
            for &(symbol, count, bits, apart) in &symbols {
                let mut told = [0];
                let (rest, all) = source.numbers(&entries, count, &mut told);
                source = rest;
                let half = 1 << count >> 1;
                prop_assert_eq!((all, told[0] + half), (1, i64::from(symbol) << count | low(count, bits) as i64));
                prop_assert_eq!(source.bits(apart), low(apart, bits));
            }
            prop_assert!(source.finish(front.len()).is_ok());
        }
    }
}
