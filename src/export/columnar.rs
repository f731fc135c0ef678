//! Parquet: the begin of each row as a UTC timestamp in milliseconds, and 32-bit floats in columns with units in their
//! names; what is not known is null. Which host and which resolution it is stands in the file's own key-value metadata.

use std::{fs::File, io::BufWriter, sync::Arc};

use anyhow::{Context, bail};
use brain::history::{Column, Resolution, Rows};
use parquet::{
    basic::Compression,
    column::writer::ColumnWriter,
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use super::Writer;

/// One file; a page of rows becomes a row group.
pub(super) struct Columns {
    writer: SerializedFileWriter<BufWriter<File>>,
}

impl Columns {
    pub(super) fn new(file: File, host: &str, resolution: Resolution, columns: &[Column]) -> anyhow::Result<Self> {
        let mut schema =
            "message series { REQUIRED INT64 time (TIMESTAMP(MILLIS,true)); REQUIRED FLOAT coverage;".to_owned();
        for column in columns {
            schema.extend([" OPTIONAL FLOAT ", &column.name(), ";"]);
        }
        schema.push('}');
        let told = [
            ("host", host),
            ("resolution", resolution.as_str()),
            ("made_by", concat!("foreshadow ", env!("CARGO_PKG_VERSION"))),
        ];
        let told = told.map(|(key, value)| KeyValue::new(format!("foreshadow.{key}"), value.to_owned()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(told.to_vec()))
            .build();
        let schema = Arc::new(parse_message_type(&schema)?);
        let writer = SerializedFileWriter::new(BufWriter::new(file), schema, Arc::new(properties))?;
        Ok(Self { writer })
    }
}

impl Writer for Columns {
    fn write(&mut self, rows: &Rows) -> anyhow::Result<()> {
        let mut group = self.writer.next_row_group()?;
        let mut values = rows.values.iter();
        let mut is_coverage = true;
        while let Some(mut column) = group.next_column()? {
            match column.untyped() {
                ColumnWriter::Int64ColumnWriter(times) => {
                    times.write_batch(&rows.begin_ms, None, None)?;
                }
                ColumnWriter::FloatColumnWriter(floats) if is_coverage => {
                    floats.write_batch(&rows.coverage, None, None)?;
                    is_coverage = false;
                }
                ColumnWriter::FloatColumnWriter(floats) => {
                    let values = values.next().context("more columns in the schema than in the rows")?;
                    let known: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
                    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_finite())).collect();
                    floats.write_batch(&known, Some(&levels), None)?;
                }
                _ => bail!("a column of another kind than those of the schema"),
            }
            column.close()?;
        }
        group.close()?;
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        let file = self.writer.into_inner()?;
        file.into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::RowAccessor,
    };

    use super::*;

    #[test]
    fn what_was_written_is_read_by_the_other_half_of_the_library() {
        let columns = Column::of(Some(shadow::Resource::Power));
        let page = |first: i64| Rows {
            columns: columns.clone(),
            begin_ms: vec![first, first + 10_000],
            coverage: vec![1.0, 0.5],
            values: vec![
                vec![80.5, f32::NAN],
                vec![99.0, f32::NAN],
                vec![f32::NAN; 2],
                vec![f32::NAN; 2],
                vec![f32::NAN; 2],
            ],
        };
        let file = tempfile::tempfile().unwrap();
        let mut writer = Columns::new(file.try_clone().unwrap(), "web-1", Resolution::TenSeconds, &columns).unwrap();
        writer.write(&page(1_700_000_000_000)).unwrap();
        writer.write(&page(1_700_000_020_000)).unwrap();
        Box::new(writer).finish().unwrap();

        let reader = SerializedFileReader::new(file).unwrap();
        let told = reader.metadata().file_metadata();
        let keys: Vec<_> = told.key_value_metadata().unwrap().iter().collect();
        assert!(
            keys.iter()
                .any(|pair| pair.key == "foreshadow.host" && pair.value.as_deref() == Some("web-1"))
        );
        assert!(
            keys.iter()
                .any(|pair| pair.key == "foreshadow.resolution" && pair.value.as_deref() == Some("10s"))
        );
        let names: Vec<_> = told
            .schema()
            .get_fields()
            .iter()
            .map(|field| field.name().to_owned())
            .collect();
        let expected = [
            "time",
            "coverage",
            "power_w",
            "power_w_max",
            "power_w_min",
            "power_w_last",
            "power_w_p95",
        ];
        assert_eq!(names, expected);
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        let times: Vec<_> = rows.iter().map(|row| row.get_timestamp_millis(0).unwrap()).collect();
        let expected = [0, 10_000, 20_000, 30_000].map(|ms| 1_700_000_000_000 + ms);
        assert_eq!(times, expected);
        assert_eq!(
            (rows[0].get_float(2).unwrap(), rows[0].get_float(3).unwrap()),
            (80.5, 99.0)
        );
        assert!(rows[1].get_float(2).is_err() && rows[0].get_float(4).is_err(), "null");
        assert_eq!(rows[3].get_float(1).unwrap(), 0.5);
    }
}
