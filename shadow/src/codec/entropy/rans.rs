//! Symbols to bytes and back: range variants of asymmetric numeral systems, two of them taking turns.
//!
//! Jarek Duda, "Asymmetric numeral systems", arXiv:1311.2540; turns as in Fabian Giesen, "Interleaved entropy
//! coders", arXiv:1402.3392. A body is, in this order: the two states, 4 bytes each; the words that states are
//! filled up with, 2 bytes each; raw bits, from the last byte back to the first. All little-endian.
//!
//! The writer begins with states that hold the first 32 tail bits, and the reader finds these when all symbols
//! are read: states cost nothing.

use super::super::CodecError;

/// Frequencies of a table add up to 2^this.
pub(super) const PRECISION: u32 = 12;

/// States are at least this between two symbols.
const LOWEST: u32 = 1 << 16;

/// Bits of tail that each state begins with.
const SEED: u32 = 16;

/// One symbol of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slice {
    /// The frequencies of the symbols before it.
    pub(super) start: u16,
    /// Its frequency, 1 to `2^PRECISION`; 0 = it is not in the table.
    pub(super) frequency: u16,
}

/// Bits, the lowest of the first number first.
#[derive(Debug, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl Bits {
    pub(super) fn clear(&mut self) {
        *self = Self {
            bytes: std::mem::take(&mut self.bytes),
            ..Self::default()
        };
        self.bytes.clear();
    }

    /// Appends the lowest `count` bits of `bits`, at most 32; those above are 0.
    fn push(&mut self, count: u32, bits: u64) {
        self.pending |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            let [low, ..] = self.pending.to_le_bytes();
            self.bytes.push(low);
            self.pending >>= 8;
            self.count -= 8;
        }
    }
}

/// Collects symbols and bits, and writes them at the end: states go from the last symbol to the first.
#[derive(Debug, Default)]
pub(super) struct Sink {
    slices: Vec<Slice>,
    bits: Bits,
    tail: u32,
    tail_bits: u32,
    words: Vec<u16>,
}

impl Sink {
    pub(super) fn clear(&mut self) {
        self.slices.clear();
        self.bits.clear();
        self.tail = 0;
        self.tail_bits = 0;
        self.words.clear();
    }

    /// The next symbol.
    pub(super) fn symbol(&mut self, slice: Slice) {
        self.slices.push(slice);
    }

    /// The lowest `count` bits of `bits`, at most 64; those above are 0.
    pub(super) fn bits(&mut self, count: u32, bits: u64) {
        self.bits.push(count.min(32), bits & 0xffff_ffff);
        if count > 32 {
            self.bits.push(count - 32, bits >> 32);
        }
    }

    /// The same, behind all symbols.
    pub(super) fn tail(&mut self, count: u32, bits: u64) {
        let seeded = count.min(2 * SEED - self.tail_bits);
        let mask = (1 << seeded) - 1;
        self.tail |= u32::try_from((bits & mask) << self.tail_bits).unwrap_or(0);
        self.tail_bits += seeded;
        if count > seeded {
            self.bits(count - seeded, bits >> seeded);
        }
    }

    /// Appends everything to `out`.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let mut states = [LOWEST | self.tail & 0xffff, LOWEST | self.tail >> SEED];
        // The reader swaps its states at each symbol.
        if self.slices.len() % 2 == 1 {
            states.swap(0, 1);
        }
        for (at, slice) in self.slices.iter().enumerate().rev() {
            let [even, odd] = &mut states;
            let state = if at % 2 == 0 { even } else { odd };
            let frequency = u32::from(slice.frequency.max(1));
            if u64::from(*state) >= u64::from(frequency) << (32 - PRECISION) {
                let [low, high, ..] = state.to_le_bytes();
                self.words.push(u16::from_le_bytes([low, high]));
                *state >>= 16;
            }
            let whole = *state / frequency;
            *state = (whole << PRECISION) + (*state - whole * frequency) + u32::from(slice.start);
        }
        for state in states {
            out.extend_from_slice(&state.to_le_bytes());
        }
        out.extend(self.words.iter().rev().flat_map(|word| word.to_le_bytes()));
        if self.bits.count > 0 {
            self.bits.push(8 - self.bits.count, 0);
        }
        out.extend(self.bits.bytes.iter().rev());
    }
}

/// Reads what a [`Sink`] wrote.
#[derive(Debug)]
pub(super) struct Source<'a> {
    states: [u32; 2],
    body: &'a [u8],
    /// Where the next word is.
    front: usize,
    /// Behind the next byte of bits.
    back: usize,
    pending: u64,
    count: u32,
    /// Bytes of bits that were taken past the body's beginning.
    missing: usize,
    /// How many bits of the tail the states still hold.
    seeded: Option<(u32, u32)>,
}

impl<'a> Source<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Self, CodecError> {
        let (Some([a, b, c, d]), Some([e, f, g, h])) = (body.get(..4), body.get(4..8)) else {
            return Err(CodecError::Truncated("states"));
        };
        let states = [
            u32::from_le_bytes([*a, *b, *c, *d]),
            u32::from_le_bytes([*e, *f, *g, *h]),
        ];
        if states.iter().any(|&state| state < LOWEST) {
            return Err(CodecError::Invalid("state"));
        }
        Ok(Self {
            states,
            body,
            front: 8,
            back: body.len(),
            pending: 0,
            count: 0,
            missing: 0,
            seeded: None,
        })
    }

    /// The place of the next symbol in its table, below `2^PRECISION`.
    #[inline]
    pub(super) fn place(&self) -> u32 {
        let [state, _] = self.states;
        state & ((1 << PRECISION) - 1)
    }

    /// Goes on by the symbol at the place. Past the end there are zeros; [`Source::finish`] tells.
    #[inline]
    pub(super) fn advance(&mut self, slice: Slice) {
        let [state, other] = self.states;
        let place = state & ((1 << PRECISION) - 1);
        let next = u32::from(slice.frequency) * (state >> PRECISION) + place.wrapping_sub(slice.start.into());
        // Whether a word is due is a guess that a processor makes badly: both ways are worked out.
        let word = match self.body.get(self.front..self.front + 2) {
            Some([low, high]) => u32::from(u16::from_le_bytes([*low, *high])),
            _ => 0,
        };
        let due = next < LOWEST;
        let next = if due { next << 16 | word } else { next };
        self.front += if due { 2 } else { 0 };
        self.states = [other, next];
    }

    /// The next `count` bits, at most 64.
    #[inline]
    pub(super) fn bits(&mut self, count: u32) -> u64 {
        if count > 32 {
            let low = self.take(32);
            return low | self.take(count - 32) << 32;
        }
        self.take(count)
    }

    /// At most 32.
    #[inline]
    fn take(&mut self, count: u32) -> u64 {
        if self.count < count {
            self.fill();
        }
        let bits = self.pending & ((1 << count) - 1);
        self.pending >>= count;
        self.count -= count;
        bits
    }

    /// Takes 4 more bytes of bits. Past the end there are zeros; [`Source::finish`] tells.
    fn fill(&mut self) {
        for _ in 0..4 {
            let byte = self.back.checked_sub(1).and_then(|at| self.body.get(at));
            let Some(&byte) = byte else {
                self.missing += 1;
                self.count += 8;
                continue;
            };
            self.back -= 1;
            self.pending |= u64::from(byte) << self.count;
            self.count += 8;
        }
    }

    /// The next `count` bits behind all symbols, at most 64.
    pub(super) fn tail(&mut self, count: u32) -> u64 {
        let (seed, left) = self.seeded();
        let seeded = count.min(left);
        let bits = u64::from(seed) & ((1 << seeded) - 1);
        self.seeded = Some((seed.checked_shr(seeded).unwrap_or(0), left - seeded));
        if count == seeded {
            return bits;
        }
        bits | self.bits(count - seeded) << seeded
    }

    fn seeded(&self) -> (u32, u32) {
        self.seeded.unwrap_or_else(|| {
            let [low, high] = self.states;
            ((low & 0xffff) | (high & 0xffff) << SEED, 2 * SEED)
        })
    }

    /// Checks that nothing is left.
    pub(super) fn finish(self) -> Result<(), CodecError> {
        let (seed, _) = self.seeded();
        let done = self.states.iter().all(|&state| state >> SEED == 1);
        let filling = self.pending & ((1 << (self.count % 8)) - 1);
        if !done || seed != 0 || filling != 0 {
            return Err(CodecError::Invalid("end"));
        }
        // Whole bytes that were taken and not used are still to be read.
        let unused = (self.count / 8) as usize;
        match (self.back + unused).checked_sub(self.front + self.missing) {
            Some(0) => Ok(()),
            Some(left) => Err(CodecError::TrailingBytes(left)),
            None => Err(CodecError::Truncated("symbols")),
        }
    }
}
