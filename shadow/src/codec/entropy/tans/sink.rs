//! Symbols and bits to bytes.

#![expect(
    clippy::cast_possible_truncation,
    reason = "states have few bits, and what goes into bytes is cut on purpose"
)]

use super::{BEHIND, PRECISION, STATES, Table, low};

/// A symbol and the bits behind it, or bits alone.
#[derive(Debug, Clone, Copy)]
struct Item {
    bits: u64,
    count: u8,
    /// In which table, or [`BARE`].
    table: u8,
    symbol: u8,
}

/// In place of a table: there is no symbol.
const BARE: u8 = u8::MAX;

/// Collects symbols and bits, and writes them at the end: states go from the last symbol to the first.
#[derive(Debug, Default)]
pub(in super::super) struct Sink {
    items: Vec<Item>,
    /// How many raw bits they have.
    raw: usize,
}

impl Sink {
    pub(in super::super) fn clear(&mut self) {
        self.items.clear();
        self.raw = 0;
    }

    /// The next symbol, and the lowest `count` bits of `bits` behind it, at most [`BEHIND`] of them; those above are 0.
    #[inline]
    pub(in super::super) fn symbol(&mut self, table: u8, symbol: u8, (count, bits): (u32, u64)) {
        debug_assert!(count <= BEHIND, "{count} bits");
        self.raw += count as usize;
        let count = count as u8;
        self.items.push(Item {
            bits,
            count,
            table,
            symbol,
        });
    }

    /// The lowest `count` bits of `bits`, at most 64; those above are 0.
    pub(in super::super) fn bits(&mut self, count: u32, bits: u64) {
        self.raw += count as usize;
        self.items.extend(halves(count, bits));
    }

    /// How many bytes [`Self::finish`] takes at most, on its way.
    pub(in super::super) fn room(&self) -> usize {
        let most = self.raw + (self.items.len() + 3) * PRECISION as usize;
        most / 8 + 2 * size_of::<u64>()
    }

    /// Appends everything to `out`.
    pub(in super::super) fn finish(&self, tables: &[Table], out: &mut Vec<u8>) {
        let mut bits = Bits {
            bytes: out.len(),
            ..Bits::default()
        };
        // Bits go out by 8 bytes, each time as many as are full.
        out.resize(out.len() + self.room(), 0);
        let mask = STATES as u64 - 1;
        // The state of the next symbol and that of the one behind it.
        let (mut next, mut other) = (STATES as u32, STATES as u32);
        for item in self.items.iter().rev() {
            let count = u32::from(item.count);
            let Some(table) = tables.get(usize::from(item.table)) else {
                bits.push(out, count, item.bits);
                continue;
            };
            let code = table.code(item.symbol);
            let width = (other + code.widths) >> 16;
            bits.push(out, width + count, low(other.into(), width) << count | item.bits);
            let place = (other >> width).cast_signed() + i32::from(code.places);
            (next, other) = (STATES as u32 + table.state(place.cast_unsigned()), next);
        }
        for state in [other, next] {
            bits.push(out, PRECISION, u64::from(state) & mask);
        }
        bits.push(out, 1, 1);
        out.truncate(bits.bytes + 1);
        // What was full has gone out, but for the end that it may have made.
        if bits.count == 0 {
            out.truncate(bits.bytes);
        }
    }
}

/// Bits as one or two items; of two the lower one is read first.
fn halves(count: u32, bits: u64) -> impl Iterator<Item = Item> {
    let low = count.min(32);
    let item = |count: u32, bits| Item {
        bits,
        count: count as u8,
        table: BARE,
        symbol: 0,
    };
    let all = [item(low, bits & ((1 << low) - 1)), item(count - low, bits >> 32)];
    all.into_iter().filter(|item| item.count > 0)
}

/// Bits on their way into bytes, the lowest first.
#[derive(Debug, Default)]
struct Bits {
    pending: u64,
    /// How many are pending: less than 8.
    count: u32,
    /// How many bytes are full.
    bytes: usize,
}

impl Bits {
    /// At most 56, those above `count` 0.
    #[inline]
    fn push(&mut self, out: &mut [u8], count: u32, bits: u64) {
        self.pending |= bits << self.count;
        self.count += count;
        let places = out.get_mut(self.bytes..).and_then(|places| places.first_chunk_mut());
        if let Some(places) = places {
            *places = self.pending.to_le_bytes();
        }
        self.bytes += self.count as usize / 8;
        self.pending >>= self.count / 8 * 8;
        self.count %= 8;
    }
}
