//! What others would send: packed protobuf doubles, plain or compressed, or columns of doubles.

mod bits;
mod chimp;
mod gorilla;

use anyhow::ensure;
use prost::Message;
use shadow::{Block, Reading};

/// A sample as packed protobuf doubles.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Row {
    /// When it was taken.
    #[prost(int64, tag = "1")]
    pub(crate) time_ms: i64,
    /// One value a metric; missing ones are NaN.
    #[prost(double, repeated, tag = "2")]
    pub(crate) values: Vec<f64>,
}

/// The samples of one frame.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Rows {
    /// In the order of their times.
    #[prost(message, repeated, tag = "1")]
    pub(crate) rows: Vec<Row>,
}

impl Rows {
    /// The same samples.
    pub(crate) fn of(block: &Block) -> Self {
        let row = |(at, &time_ms): (usize, &i64)| Row {
            time_ms,
            values: block
                .columns
                .iter()
                .filter_map(|column| Some(column.get(at)?.or_nan()))
                .collect(),
        };
        Self {
            rows: block.times_ms.iter().enumerate().map(row).collect(),
        }
    }

    /// The fair raw volume: each sample a message of its own, nothing around it.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.rows.iter().map(Message::encoded_len).sum()
    }

    /// Bytes of all rows together under lz4.
    pub(crate) fn lz4_bytes(&self) -> usize {
        lz4_flex::block::compress(&self.encode_to_vec()).len()
    }

    /// Bytes of all rows together under zstd at level 3.
    pub(crate) fn zstd_bytes(&self) -> anyhow::Result<usize> {
        Ok(zstd::bulk::compress(&self.encode_to_vec(), 3)?.len())
    }
}

/// How a column of doubles becomes a stream, and comes back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnCodec {
    encode: fn(&[f64]) -> Vec<u8>,
    decode: fn(&[u8], usize) -> anyhow::Result<Vec<f64>>,
}

/// Gorilla of doubles.
pub(crate) const GORILLA: ColumnCodec = ColumnCodec {
    encode: gorilla::encode,
    decode: gorilla::decode,
};

/// Chimp of doubles.
pub(crate) const CHIMP: ColumnCodec = ColumnCodec {
    encode: chimp::encode,
    decode: chimp::decode,
};

impl ColumnCodec {
    /// Bytes of a frame: a stream a column, each ending with a whole byte, and one of times as Gorilla tells them. How
    /// many rows there are, and where a stream ends, is not counted.
    ///
    /// # Errors
    /// When not each bit comes back.
    pub(crate) fn bytes(self, block: &Block) -> anyhow::Result<usize> {
        let times = gorilla::encode_times(&block.times_ms);
        ensure!(
            gorilla::decode_times(&times, block.len())? == block.times_ms,
            "times came back differently"
        );
        let columns = block.columns.iter().map(|column| self.column_bytes(&doubles(column)));
        Ok(times.len() + columns.sum::<anyhow::Result<usize>>()?)
    }

    fn column_bytes(self, values: &[f64]) -> anyhow::Result<usize> {
        let stream = (self.encode)(values);
        let back = (self.decode)(&stream, values.len())?;
        let bits = |values: &[f64]| -> Vec<u64> { values.iter().map(|value| value.to_bits()).collect() };
        ensure!(bits(&back) == bits(values), "a column came back differently");
        Ok(stream.len())
    }
}

/// One value a row; missing ones are NaN.
fn doubles(column: &[Reading]) -> Vec<f64> {
    column.iter().map(|reading| reading.or_nan()).collect()
}

/// Bytes of the columns under pco, each with the header that it needs.
pub(crate) fn pco_bytes(block: &Block) -> anyhow::Result<usize> {
    let config = pco::ChunkConfig::default();
    let columns = block
        .columns
        .iter()
        .map(|column| Ok(pco::standalone::simple_compress(&doubles(column), &config)?.len()));
    columns.sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values that stay, creep, jump or are nothing at all.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        let steps = prop_oneof![
            Just(0_u64),
            0_u64..64,
            (0_u32..64).prop_map(|place| 1 << place),
            any::<u64>()
        ];
        let series = (any::<f64>(), prop::collection::vec(steps, 0..200)).prop_map(|(first, steps)| {
            let mut bits = first.to_bits();
            let next = |step| {
                bits ^= step;
                f64::from_bits(bits)
            };
            steps.into_iter().map(next).collect()
        });
        let decimals = prop::collection::vec((0_i32..500).prop_map(|value| f64::from(value) / 100.0), 0..200);
        prop_oneof![series, decimals]
    }

    proptest! {
        #[test]
        fn each_bit_comes_back(values in values()) {
            for codec in [GORILLA, CHIMP] {
                codec.column_bytes(&values).unwrap();
            }
        }

        #[test]
        fn times_come_back(times in prop::collection::vec(0_i64..1 << 44, 0..50)) {
            let stream = gorilla::encode_times(&times);
            prop_assert_eq!(gorilla::decode_times(&stream, times.len()).unwrap(), times);
        }

        #[test]
        fn no_stream_is_taken_for_more_than_it_is(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for codec in [GORILLA, CHIMP] {
                // An error or some values, and no panic.
                let told = (codec.decode)(&bytes, 1_000).map_or(0, |values| values.len());
                prop_assert!(told == 0 || told == 1_000);
            }
        }
    }
}
