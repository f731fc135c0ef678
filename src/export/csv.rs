//! Traces: `time` in seconds of the unix clock and the means of the channels; what is not known is an empty field.

use std::{
    fs::File,
    io::{self, BufWriter},
};

use brain::history::Rows;
use csv::WriterBuilder;
use flate2::{Compression, write::GzEncoder};
use shadow::{Channel, UnixMs};

use super::Writer;

/// Where the text goes.
enum Output {
    Plain(BufWriter<File>),
    Packed(Box<GzEncoder<BufWriter<File>>>),
}

impl io::Write for Output {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(text),
            Self::Packed(file) => file.write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Packed(file) => file.flush(),
        }
    }
}

/// One trace.
pub(super) struct Traces {
    csv: csv::Writer<Output>,
}

impl Traces {
    pub(super) fn new(file: File) -> anyhow::Result<Self> {
        Self::to(Output::Plain(BufWriter::new(file)))
    }

    /// Compressed by gzip.
    pub(super) fn packed(file: File) -> anyhow::Result<Self> {
        let encoder = GzEncoder::new(BufWriter::new(file), Compression::default());
        Self::to(Output::Packed(Box::new(encoder)))
    }

    fn to(output: Output) -> anyhow::Result<Self> {
        let mut csv = WriterBuilder::new().from_writer(output);
        csv.write_field("time")?;
        csv.write_record(Channel::ALL.map(Channel::column))?;
        Ok(Self { csv })
    }
}

impl Writer for Traces {
    fn write(&mut self, rows: &Rows) -> anyhow::Result<()> {
        for (at, begin_ms) in rows.begin_ms.iter().enumerate() {
            self.csv.write_field(seconds(*begin_ms))?;
            let values = rows
                .values
                .iter()
                .map(|column| column.get(at).filter(|value| value.is_finite()));
            self.csv
                .write_record(values.map(|value| value.map_or_else(String::new, f32::to_string)))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        let output = self
            .csv
            .into_inner()
            .map_err(|error| io::Error::other(error.to_string()))?;
        let file = match output {
            Output::Plain(file) => file,
            Output::Packed(encoder) => encoder.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(())
    }
}

/// Without a point where there is nothing behind it.
fn seconds(time_ms: UnixMs) -> String {
    match time_ms.rem_euclid(1_000) {
        0 => time_ms.div_euclid(1_000).to_string(),
        rest => format!("{}.{rest:03}", time_ms.div_euclid(1_000)),
    }
}

#[cfg(test)]
mod tests {
    use brain::history::Column;

    use super::*;
    use crate::trace;

    #[test]
    fn a_trace_is_read_as_it_was_written() {
        let columns = Column::means(None);
        let rows = Rows {
            begin_ms: vec![1_700_000_000_000, 1_700_000_010_500],
            coverage: vec![1.0; 2],
            values: (0..7_u8)
                .map(|channel| vec![0.1 + f32::from(channel), f32::NAN])
                .collect(),
            columns,
        };
        let folder = tempfile::tempdir().unwrap();
        for (name, packed) in [("web-1.csv", false), ("web-1.csv.gz", true)] {
            let path = folder.path().join(name);
            let file = File::create(&path).unwrap();
            let mut writer = if packed {
                Traces::packed(file)
            } else {
                Traces::new(file)
            }
            .unwrap();
            writer.write(&rows).unwrap();
            Box::new(writer).finish().unwrap();
            let trace = trace::read_file(&path).unwrap();
            assert_eq!(
                (&*trace.host, trace.channels, trace.unknown.len()),
                ("web-1", Channel::ALL.to_vec(), 0)
            );
            assert_eq!(trace.times_ms, rows.begin_ms);
            for (channel, value) in trace.rows[0].iter().enumerate() {
                assert!((value - (0.1 + channel as f64)).abs() < 1e-6, "{value}");
            }
            assert!(trace.rows[1].iter().all(|value| value.is_nan()), "an empty field");
        }
    }
}
