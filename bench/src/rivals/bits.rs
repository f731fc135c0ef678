//! Streams of bits, the first in a byte's highest place.

use anyhow::Context;

/// Bits that are being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// How many bits of the last byte are free, 0 to 7.
    free: u32,
}

/// Bits that are being read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// How many bits have been read.
    at: usize,
}

impl Writer {
    /// Appends the lowest `count` bits of `value`, 0 to 64 of them.
    pub(super) fn put(&mut self, value: u64, count: u32) {
        for place in (0..count).rev() {
            let bit = u8::from((value >> place) & 1 == 1);
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= bit << self.free;
            }
        }
    }

    /// All of it, the last byte filled up with zeros.
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

impl<'a> Reader<'a> {
    /// Reads from the first bit on.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, 0 to 64 of them.
    pub(super) fn take(&mut self, count: u32) -> anyhow::Result<u64> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8).context("the stream ends too early")?;
            value = value << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_back_in_order() {
        let parts = [
            (1, 1),
            (0, 3),
            (0x1234_5678_9abc_def0, 64),
            (u64::MAX, 0),
            (5, 3),
            (u64::MAX, 64),
        ];
        let mut writer = Writer::default();
        for (value, count) in parts {
            writer.put(value, count);
        }
        let bytes = writer.finish();
        assert_eq!(bytes.len(), 17);
        let mut reader = Reader::new(&bytes);
        for (value, count) in parts {
            let expected = if count == 0 { 0 } else { value };
            assert_eq!(reader.take(count).unwrap(), expected);
        }
        assert_eq!(reader.take(1).unwrap(), 0, "filled up");
        assert!(reader.take(1).is_err());
    }
}
