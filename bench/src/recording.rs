//! Recordings of hosts: raw `/proc` counters at 100 ms, or a trace.

mod metrics;

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use shadow::{
    Block, Bound, Catalogue, Channel, Metric, Reading, UnixMs,
    rate::{gap_us, per_second},
};

/// Where the project keeps its own traces.
const OWN_TRACES: &str = "testdata/traces";

/// What a host told.
pub(crate) struct Recording {
    /// The metrics of `samples`.
    pub(crate) catalogue: Catalogue,
    /// All samples.
    pub(crate) samples: Block,
}

/// One metric and where its readings come from.
struct Column {
    metric: Metric,
    field: usize,
    /// What one unit of the field is in the metric's unit; of a rate, one unit a second.
    factor: f64,
    kind: Kind,
}

/// What is made of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its value.
    Gauge,
    /// How much it has risen.
    Difference,
    /// The same a second.
    Rate,
}

/// How exactly a recording is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Levels {
    /// Within the bounds that an agent gives its metrics.
    Bound,
    /// As whole numbers, each exactly.
    Lossless,
}

impl Column {
    /// Whole numbers of the field's unit.
    fn lossless(name: &str, field: usize, factor: f64, counter: bool) -> Self {
        Self {
            metric: Metric::new(name, "1", Bound::Absolute { step: factor }),
            field,
            factor,
            kind: if counter { Kind::Difference } else { Kind::Gauge },
        }
    }
}

/// Which fields of a CSV hold what.
struct Layout {
    clock: Clock,
    columns: Vec<Column>,
}

/// Where the time of a row stands.
enum Clock {
    /// Unix seconds.
    Trace { time: usize },
    /// Nanoseconds. The wall clock tells only when the recording began, for it may be set meanwhile.
    Recording { mono_ns: usize, wall_ns: usize },
}

/// Reads `path`, gzip or plain: a recording if it has the field `mono_ns`, else a trace.
pub(crate) fn read(path: &Path, levels: Levels) -> anyhow::Result<Recording> {
    let parsed = open(path).and_then(|input| parse(input, levels));
    parsed.with_context(|| format!("cannot use {}", path.display()))
}

/// The first trace that the project ships.
pub(crate) fn own() -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(OWN_TRACES);
    let missing = || format!("no *.csv.gz in {OWN_TRACES}: name a file with --telemetry");
    let entries = folder.read_dir().with_context(missing)?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let traces = paths.filter(|path| path.to_string_lossy().ends_with(".csv.gz"));
    traces.min().with_context(missing)
}

fn parse(input: impl Read, levels: Levels) -> anyhow::Result<Recording> {
    let mut reader = csv::Reader::from_reader(input);
    let layout = Layout::of(reader.headers()?, levels)?;
    let catalogue = Catalogue::new(layout.columns.iter().map(|column| column.metric.clone()).collect());
    let mut samples = Block::new(&catalogue);
    let mut rows = reader.records().zip(2..).map(|(record, line)| {
        let row = layout.row(&record?);
        row.with_context(|| format!("line {line}"))
    });
    let Some(first) = rows.next().transpose()? else {
        bail!("no rows");
    };
    let (start_s, unix_s) = (first.clock_s, first.unix_s);
    let mut last = first;
    for row in rows {
        let row = row?;
        ensure!(
            row.clock_s > last.clock_s,
            "the row after {} s is not later",
            last.clock_s
        );
        let time_ms = to_unix_ms(unix_s + (row.clock_s - start_s));
        // Rows of one millisecond become one sample: a recorder that was held up makes good for it in a burst.
        if samples.times_ms.last() == Some(&time_ms) {
            continue;
        }
        let gap_us = layout.gap_us(&last, &row);
        samples.push_rated(time_ms, gap_us, &layout.readings(&last, &row, gap_us));
        last = row;
    }
    ensure!(!samples.is_empty(), "fewer than two rows");
    Ok(Recording { catalogue, samples })
}

fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    let file = BufReader::new(File::open(path)?);
    if path.extension().is_some_and(|ending| ending == "gz") {
        return Ok(Box::new(MultiGzDecoder::new(file)));
    }
    Ok(Box::new(file))
}

/// The fields of a line that are used, as numbers; an empty one is NaN.
struct Row {
    /// On a clock that nobody sets.
    clock_s: f64,
    unix_s: f64,
    values: Vec<f64>,
}

impl Layout {
    fn of(header: &StringRecord, levels: Levels) -> anyhow::Result<Self> {
        let field = |name: &str| header.iter().position(|field| field == name);
        if let (Some(mono_ns), Some(wall_ns)) = (field("mono_ns"), field("wall_ns")) {
            return Ok(Self {
                clock: Clock::Recording { mono_ns, wall_ns },
                columns: metrics::columns(levels, field)?,
            });
        }
        let Some(time) = field("time") else {
            bail!("neither the fields mono_ns and wall_ns (recording) nor time (trace)");
        };
        let columns = Channel::ALL.into_iter().filter_map(|channel| {
            Some(Column {
                metric: shadow::metric::channel_metric(channel),
                field: field(channel.column())?,
                factor: 1.0,
                kind: Kind::Gauge,
            })
        });
        Ok(Self {
            clock: Clock::Trace { time },
            columns: columns.collect(),
        })
    }

    fn row(&self, record: &StringRecord) -> anyhow::Result<Row> {
        let number = |field: usize| match record.get(field) {
            None => bail!("field {} is not there", field + 1),
            Some("") => Ok(f64::NAN),
            Some(text) => text
                .parse()
                .with_context(|| format!("field {}: {text:?} is not a number", field + 1)),
        };
        let (clock_s, unix_s) = match self.clock {
            Clock::Trace { time } => (number(time)?, number(time)?),
            Clock::Recording { mono_ns, wall_ns } => (number(mono_ns)? / 1e9, number(wall_ns)? / 1e9),
        };
        let values = self.columns.iter().map(|column| number(column.field));
        Ok(Row {
            clock_s,
            unix_s,
            values: values.collect::<anyhow::Result<_>>()?,
        })
    }

    /// What rates are taken over; 0 where there are none.
    fn gap_us(&self, last: &Row, row: &Row) -> u32 {
        match self.clock {
            Clock::Trace { .. } => 0,
            Clock::Recording { .. } if !self.columns.iter().any(|column| column.kind == Kind::Rate) => 0,
            Clock::Recording { .. } => gap_us(to_ns(last.clock_s), to_ns(row.clock_s)),
        }
    }

    fn readings(&self, last: &Row, row: &Row, gap_us: u32) -> Vec<Reading> {
        let pairs = self.columns.iter().zip(last.values.iter().zip(&row.values));
        let readings = pairs.map(|(column, (last, now))| {
            let value = match column.kind {
                Kind::Gauge => now * column.factor,
                Kind::Difference => (now - last) * column.factor,
                Kind::Rate => per_second(now - last, column.factor, gap_us),
            };
            if value.is_nan() {
                Reading::ABSENT
            } else {
                Reading::new(value)
            }
        });
        readings.collect()
    }
}

/// Whole nanoseconds: seconds of a monotonic clock have them to the last one for some months.
#[expect(clippy::cast_possible_truncation, reason = "a clock that began at 0 has few digits")]
fn to_ns(clock_s: f64) -> u64 {
    (clock_s * 1e9).round() as u64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "milliseconds of the unix clock have 41 bits"
)]
fn to_unix_ms(unix_s: f64) -> UnixMs {
    (unix_s * 1e3).floor() as UnixMs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_read() {
        let trace = "time,net_tx,other,cpu\n100,5,x,0.1\n110.5,7,x,0.25\n120,,x,0.5\n";
        let recording = parse(trace.as_bytes(), Levels::Bound).unwrap();
        let metrics = recording.catalogue.metrics().iter();
        let names: Vec<_> = metrics.map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["host.cpu", "host.network.tx"]);
        assert_eq!(recording.samples.times_ms, [110_500, 120_000]);
        let cpu = vec![Reading::new(0.25), Reading::new(0.5)];
        let tx = vec![Reading::new(7.0), Reading::ABSENT];
        assert_eq!(recording.samples.columns, [cpu, tx]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        let check = |text: &str, expected: &str| {
            let error = parse(text.as_bytes(), Levels::Bound)
                .err()
                .map(|error| format!("{error:#}"));
            let told = error.as_deref().is_some_and(|error| error.contains(expected));
            assert!(told, "{error:?} should tell {expected:?}");
        };
        check("a,b\n1,2\n", "neither the fields");
        check("time,cpu\n", "no rows");
        check("time,cpu\n1,0\n", "fewer than two rows");
        check("time,cpu\n1,0\n2,x\n", "line 3: field 2: \"x\" is not a number");
        check("time,cpu\n2,0\n1,0\n", "the row after 2 s is not later");
        check("mono_ns,wall_ns\n1,2\n", "there is no field cpuacct_cpu0_run_ns");
    }
}
