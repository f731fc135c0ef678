//! What others would send: packed protobuf doubles, plain or compressed.

use prost::Message;
use shadow::Block;

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

/// Bytes of the columns under pco, each with the header that it needs.
pub(crate) fn pco_bytes(block: &Block) -> anyhow::Result<usize> {
    let config = pco::ChunkConfig::default();
    let columns = block.columns.iter().map(|column| {
        let values: Vec<f64> = column.iter().map(|reading| reading.or_nan()).collect();
        Ok(pco::standalone::simple_compress(&values, &config)?.len())
    });
    columns.sum()
}
