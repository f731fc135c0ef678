//! Bits, bytes and nibbles: what bodies are made of.

use super::super::CodecError;

/// Bits in bytes, the lowest first; the last byte is filled up with zeros.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.pending = 0;
        self.count = 0;
    }

    /// Appends the lowest `count` bits of `bits`, 1 to 64; those above must be 0.
    pub(crate) fn push(&mut self, bits: u64, count: u32) {
        self.pending |= bits << self.count;
        let filled = self.count + count;
        if filled >= u64::BITS {
            self.bytes.extend_from_slice(&self.pending.to_le_bytes());
            // Two steps, for a shift by 64 is not defined.
            self.pending = bits >> 1 >> (u64::BITS - 1 - self.count);
            self.count = filled - u64::BITS;
        } else {
            self.count = filled;
        }
    }

    /// Appends all bits to `out`.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
        let rest = self.pending.to_le_bytes();
        out.extend(rest.iter().take(self.count.div_ceil(8) as usize));
    }
}

/// Reads what a [`BitWriter`] wrote.
#[derive(Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    /// The `count` bits at the beginning of `input`, which goes on behind them.
    pub(crate) fn take(input: &mut ByteReader<'a>, count: usize, what: &'static str) -> Result<Self, CodecError> {
        let bytes = input.take(count.div_ceil(8), what)?;
        let used = count % 8;
        match bytes.last() {
            Some(last) if used > 0 && last >> used != 0 => Err(CodecError::Invalid(what)),
            _ => Ok(Self { bytes, at: 0 }),
        }
    }

    pub(crate) fn count_ones(&self) -> usize {
        self.bytes.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// The next `count` bits, at most 64; past the end there are zeros.
    pub(crate) fn next(&mut self, count: usize) -> u64 {
        let mut rest = self.bytes.get(self.at / 8..).unwrap_or_default().iter();
        let mut window = [0; 8];
        for (to, from) in window.iter_mut().zip(&mut rest) {
            *to = *from;
        }
        let shift = self.at % 8;
        let above = u64::from(rest.next().copied().unwrap_or(0));
        let word = u64::from_le_bytes(window) >> shift | above << 1 << (63 - shift);
        self.at += count;
        if count < 64 { word & ((1 << count) - 1) } else { word }
    }
}

/// Bytes that are taken from the front.
#[derive(Debug)]
pub(crate) struct ByteReader<'a> {
    bytes: &'a [u8],
}

impl<'a> ByteReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// All that is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.bytes.split_at_checked(count).ok_or(CodecError::Truncated(what))?;
        self.bytes = rest;
        Ok(head)
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, CodecError> {
        let (&byte, rest) = self.bytes.split_first().ok_or(CodecError::Truncated(what))?;
        self.bytes = rest;
        Ok(byte)
    }

    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, CodecError> {
        let first = self.byte(what)?;
        if first < 0x80 {
            return Ok(first.into());
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte(what)?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(CodecError::Invalid(what))
    }
}

/// Appends `value` in groups of seven bits, the lowest first, the high bit set on all but the last.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        if value < 0x80 {
            return out.push(low);
        }
        out.push(low | 0x80);
        value >>= 7;
    }
}

/// Groups of four bits in bytes, the low half first; a last half byte is filled up with zeros.
///
/// Most differences are small: a group of three bits and a mark takes a tenth less than seven and a mark.
#[derive(Debug, Default)]
pub(crate) struct NibbleWriter {
    bits: BitWriter,
}

impl NibbleWriter {
    pub(crate) fn clear(&mut self) {
        self.bits.clear();
    }

    /// Appends the low four bits of `nibble`.
    pub(crate) fn push(&mut self, nibble: u8) {
        self.bits.push(u64::from(nibble & 0xf), 4);
    }

    /// Appends `value` in groups of three bits, the lowest first, the fourth bit set on all but the last.
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 1 << SHORT_BITS {
            self.bits.push(value & 7 | 8, 4);
            value >>= 3;
        }
        let nibbles = (u64::BITS - (value | 1).leading_zeros()).div_ceil(3);
        let marks = SHORT_MARKS & ((1 << (4 * nibbles - 4)) - 1);
        self.bits.push(spread(value) | marks, 4 * nibbles);
    }

    /// Appends all nibbles to `out`.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        self.bits.finish(out);
    }
}

/// Reads what a [`NibbleWriter`] wrote.
#[derive(Debug)]
pub(crate) struct NibbleReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> NibbleReader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn nibble(&mut self) -> Result<u8, CodecError> {
        let byte = self.bytes.get(self.at / 2).ok_or(CodecError::Truncated("tokens"))?;
        let nibble = byte >> (self.at % 2 * 4) & 0xf;
        self.at += 1;
        Ok(nibble)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, CodecError> {
        if let Some(value) = self.short_varint() {
            return Ok(value);
        }
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(3) {
            let nibble = self.nibble()?;
            value |= u64::from(nibble & 7) << shift;
            if nibble < 8 {
                return Ok(value);
            }
        }
        Err(CodecError::Invalid("token"))
    }

    /// A varint of at most five nibbles, where eight bytes can be looked at in one go.
    fn short_varint(&mut self) -> Option<u64> {
        let (window, _) = self.bytes.get(self.at / 2..)?.split_first_chunk()?;
        let window = u64::from_le_bytes(*window) >> (self.at % 2 * 4);
        let ends = !window & (SHORT_MARKS | 8 << (4 * SHORT_BITS / 3 - 4));
        if ends == 0 {
            return None;
        }
        let bits = ends.trailing_zeros() + 1;
        self.at += bits as usize / 4;
        Some(gather(window & ((1 << bits) - 1)))
    }

    /// That nothing follows but the half of a byte that had to be filled up.
    pub(crate) fn finish(mut self) -> Result<(), CodecError> {
        if self.at % 2 == 1 && self.nibble()? != 0 {
            return Err(CodecError::Invalid("end"));
        }
        match self.bytes.len() - self.at / 2 {
            0 => Ok(()),
            left => Err(CodecError::TrailingBytes(left)),
        }
    }
}

/// Varints of at most as many bits are written and read without a loop: five nibbles.
const SHORT_BITS: u32 = 15;

/// The marks of all but the last of five nibbles.
const SHORT_MARKS: u64 = 0x8888;

/// Groups of three bits to nibbles, five of them.
const fn spread(value: u64) -> u64 {
    value & 0o7 | (value & 0o70) << 1 | (value & 0o700) << 2 | (value & 0o7000) << 3 | (value & 0o70000) << 4
}

/// The opposite of [`spread`]; marks are dropped.
const fn gather(nibbles: u64) -> u64 {
    nibbles & 0o7 | nibbles >> 1 & 0o70 | nibbles >> 2 & 0o700 | nibbles >> 3 & 0o7000 | nibbles >> 4 & 0o70000
}

/// 0, -1, 1, -2, 2, ... as 0, 1, 2, 3, 4, ...
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The opposite of [`zigzag`].
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
