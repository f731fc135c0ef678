//! The front of a body: bits that are read from its begin on, while symbols are read from its end.

use super::super::CodecError;

/// At most so many bits are taken at once: they are within 8 bytes wherever they begin.
pub(super) const MOST_BITS: u32 = 56;

/// Collects bits, the lowest of a byte first.
#[derive(Debug, Default)]
pub(super) struct Front {
    /// Full bytes, and room behind them.
    bytes: Vec<u8>,
    full: usize,
    pending: u64,
    /// How many are pending: less than 8.
    count: u32,
}

impl Front {
    pub(super) fn clear(&mut self) {
        (self.full, self.pending, self.count) = (0, 0, 0);
    }

    /// Adds the lowest `count` bits of `bits`, at most [`MOST_BITS`]; those above are 0.
    #[inline]
    pub(super) fn push(&mut self, count: u32, bits: u64) {
        debug_assert!(
            count <= MOST_BITS && bits.checked_shr(count).unwrap_or(0) == 0,
            "{count} bits"
        );
        if self.bytes.len() < self.full + size_of::<u64>() {
            self.grow();
        }
        self.pending |= bits << self.count;
        self.count += count;
        let places = self.bytes.get_mut(self.full..).and_then(<[u8]>::first_chunk_mut);
        if let Some(places) = places {
            *places = self.pending.to_le_bytes();
        }
        self.full += self.count as usize / 8;
        self.pending >>= self.count / 8 * 8;
        self.count %= 8;
    }

    /// The same for up to 64 bits.
    pub(super) fn push_wide(&mut self, count: u32, bits: u64) {
        let low = count.min(32);
        self.push(low, bits & ((1 << low) - 1));
        self.push(count - low, bits >> low);
    }

    #[cold]
    fn grow(&mut self) {
        let more = self.bytes.len().max(256);
        self.bytes.resize(self.bytes.len() + more, 0);
    }

    /// All bits, filled up to whole bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        let part = usize::from(self.count > 0);
        self.bytes.get(..self.full + part).unwrap_or_default()
    }
}

/// Reads what a [`Front`] has collected.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrontBits<'a> {
    /// The body, and 8 bytes of 0.
    padded: &'a [u8],
    /// How many bits have been read.
    at: u32,
}

impl<'a> FrontBits<'a> {
    pub(super) const fn new(padded: &'a [u8]) -> Self {
        Self { padded, at: 0 }
    }

    /// What lies `ahead` of the next bit, at least [`MOST_BITS`] of it: zeros past the end.
    #[inline]
    pub(super) fn look(&self, ahead: u32) -> u64 {
        let at = self.at + ahead;
        let bytes = self.padded.get(at as usize / 8..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes)) >> (at % 8)
    }

    /// Goes on by so many bits.
    #[inline]
    pub(super) const fn skip(&mut self, count: u32) {
        self.at += count;
    }

    /// The next `count` bits, at most 64.
    #[inline]
    pub(super) fn bits(&mut self, count: u32) -> u64 {
        let low = count.min(32);
        let mut bits = self.look(0) & ((1 << low) - 1);
        if count > 32 {
            bits |= (self.look(32) & ((1 << (count - 32)) - 1)) << 32;
        }
        self.skip(count);
        bits
    }

    /// How many bytes of the body have been read, if what fills the last one up is 0.
    ///
    /// # Errors
    /// [`CodecError`] if there are not so many, or these bits are not 0.
    pub(super) fn finish(self) -> Result<usize, CodecError> {
        let bytes = self.at.div_ceil(8);
        if bytes as usize + size_of::<u64>() > self.padded.len() {
            return Err(CodecError::Truncated("front"));
        }
        let filled = self.look(0) & ((1 << (bytes * 8 - self.at)) - 1);
        (filled == 0)
            .then_some(bytes as usize)
            .ok_or(CodecError::Invalid("front"))
    }
}
