//! Bytes to symbols and bits.

#![expect(
    clippy::cast_possible_truncation,
    reason = "states have few bits, and what goes into bytes is cut on purpose"
)]

use super::{super::super::CodecError, Entry, PRECISION, STATES, low};

/// Reads what a [`Sink`](super::Sink) wrote.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Source<'a> {
    /// The body, and as many bytes of 0 as are read at once.
    padded: &'a [u8],
    /// The states of the next symbol and of the one behind it.
    states: [u32; 2],
    /// How many bits are left.
    left: usize,
}

impl<'a> Source<'a> {
    /// Reads `body`, from a copy in `padded`.
    pub(in super::super) fn new(body: &[u8], padded: &'a mut Vec<u8>) -> Result<Self, CodecError> {
        let last = body.last().copied().unwrap_or(0);
        let end = last.checked_ilog2().ok_or(CodecError::Truncated("end"))?;
        padded.clear();
        padded.extend_from_slice(body);
        padded.extend([0; size_of::<u64>()]);
        let mut source = Self {
            padded,
            states: [0; 2],
            left: (body.len() - 1) * 8 + end as usize,
        };
        if source.left < 2 * PRECISION as usize {
            return Err(CodecError::Truncated("states"));
        }
        source.states = [0; 2].map(|_: u32| source.narrow(PRECISION) as u32);
        Ok(source)
    }

    /// The next symbol of `table`, without raw bits behind it: the number that it stands for.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what reads many works on a copy in registers")]
    pub(in super::super) fn symbol(&mut self, table: &[Entry; STATES]) -> i64 {
        let [state, other] = self.states;
        let entry = entry(table, state);
        let bits = ahead(self.padded, &mut self.left, entry.width());
        self.states = [other, entry.base() + low(bits, entry.width()) as u32];
        entry.number()
    }

    /// Fills `numbers` by symbols of `table` and the raw bits behind them, `shift` more than they leave open: at most
    /// [`BEHIND`](super::BEHIND). Tells how many; what is next if not all are is an escape.
    ///
    /// By value: what a reference points to does not stay in registers.
    #[inline]
    pub(in super::super) fn numbers(self, table: &[Entry; STATES], shift: u32, numbers: &mut [i64]) -> (Self, usize) {
        // Most are not shifted, and that is known before.
        if shift == 0 {
            self.shifted(table, 0, numbers)
        } else {
            self.shifted(table, shift, numbers)
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it is what is known of the shift that counts")]
    fn shifted(mut self, table: &[Entry; STATES], shift: u32, numbers: &mut [i64]) -> (Self, usize) {
        let half = 1_i64 << shift >> 1;
        let all = numbers.len();
        let [mut state, mut other] = self.states;
        let mut left = self.left;
        let mut places = numbers.iter_mut();
        for number in places.by_ref() {
            let entry = entry(table, state);
            if entry.is_escape() {
                self = Self {
                    states: [state, other],
                    left,
                    ..self
                };
                return (self, all - places.len() - 1);
            }
            let (width, both) = (entry.width(), entry.both() + shift);
            let bits = ahead(self.padded, &mut left, both);
            let count = both - width;
            *number = (entry.number() << shift) + low(bits, count).cast_signed() - half;
            (state, other) = (other, entry.base() + low(bits >> count, width) as u32);
        }
        self = Self {
            states: [state, other],
            left,
            ..self
        };
        (self, all)
    }

    /// The next `count` bits, at most 64.
    #[inline]
    pub(in super::super) fn bits(&mut self, count: u32) -> u64 {
        let low = self.narrow(count.min(32));
        if count > 32 {
            return low | self.narrow(count - 32) << 32;
        }
        low
    }

    /// The next `count` bits, at most 57.
    #[inline]
    fn narrow(&mut self, count: u32) -> u64 {
        low(ahead(self.padded, &mut self.left, count), count)
    }

    /// The bytes that it reads from, with those that follow the body.
    pub(in super::super) const fn padded(&self) -> &'a [u8] {
        self.padded
    }

    /// Checks that nothing is left but the first `front` bytes.
    pub(in super::super) fn finish(self, front: usize) -> Result<(), CodecError> {
        let left = self.left.cast_signed() - 8 * front.cast_signed();
        if left < 0 {
            return Err(CodecError::Truncated("symbols"));
        }
        if left > 0 {
            return Err(CodecError::TrailingBytes(left.unsigned_abs().div_ceil(8)));
        }
        let done = self.states == [0; 2];
        done.then_some(()).ok_or(CodecError::Invalid("end"))
    }
}

/// What `table` has at `state`.
#[inline]
#[expect(clippy::indexing_slicing, reason = "the number of states is a power of two")]
fn entry(table: &[Entry; STATES], state: u32) -> Entry {
    table[state as usize % STATES]
}

/// Goes on by `count` bits, at most 57, and returns them with others above them: so many are within 8 bytes wherever they
/// begin. Past the end there are zeros; [`Source::finish`] tells.
#[inline]
fn ahead(padded: &[u8], left: &mut usize, count: u32) -> u64 {
    *left = left.wrapping_sub(count as usize);
    let bytes = padded.get(*left / 8..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes)) >> (*left % 8)
}
