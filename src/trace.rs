//! Trace CSVs: what one host did, row by row, from a recording or a data set.
//!
//! One file a host, `.csv` or `.csv.gz`, with a header: `time` in seconds (unix or relative) and any of the
//! channels' columns (`cpu mem net_rx net_tx disk_read disk_write power`). An empty field is a missing reading.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use shadow::{Channel, UnixMs};
use thiserror::Error;

/// The most rows that a trace may have: a year at one a second.
const MAX_ROWS: usize = 32_000_000;

/// Why a trace is refused.
#[derive(Debug, Error)]
pub(crate) enum TraceError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: no trace in this folder (files called *.csv or *.csv.gz); name another, or make one with `foreshadow export`", .0.display())]
    NoTrace(PathBuf),
    #[error("{}: line {line}: {source}", path.display())]
    Csv {
        path: PathBuf,
        line: u64,
        source: csv::Error,
    },
    #[error("{}: line 1: {fault}; a trace's first line is such as time,cpu,mem", path.display())]
    Header { path: PathBuf, fault: String },
    #[error("{}: line {line}, column {column}: {fault}", path.display())]
    Field {
        path: PathBuf,
        line: u64,
        column: String,
        fault: String,
    },
    #[error("{}: it has {rows} rows; at least 2 and at most {MAX_ROWS} make a trace; mend the file or take it away", path.display())]
    Rows { path: PathBuf, rows: usize },
    #[error("{}: {source}; it is the host's name, so rename the file", path.display())]
    Name { path: PathBuf, source: shadow::NameError },
}

/// What one host did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trace {
    /// The file's name without its endings.
    pub(crate) host: String,
    /// The channels that it has a value of.
    pub(crate) channels: Vec<Channel>,
    /// Columns that are no channel.
    pub(crate) unknown: Vec<String>,
    /// Rising times.
    pub(crate) times_ms: Vec<UnixMs>,
    /// A value a channel in the order of `Channel::ALL`; NaN where there is none.
    pub(crate) rows: Vec<[f64; Channel::COUNT]>,
}

impl Trace {
    /// The median distance of two rows, in milliseconds.
    pub(crate) fn step_ms(&self) -> i64 {
        let mut gaps: Vec<i64> = self
            .times_ms
            .windows(2)
            .filter_map(|w| Some(w.get(1)? - w.first()?))
            .collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied().unwrap_or(1_000)
    }

    /// The largest value of any byte rate.
    pub(crate) fn largest_rate(&self) -> f64 {
        let rates = Channel::NetworkRx.index()..=Channel::DiskWrite.index();
        let values = self.rows.iter().filter_map(|row| row.get(rates.clone())).flatten();
        values.copied().filter(|v| v.is_finite()).fold(0.0, f64::max)
    }
}

/// The recording that ships with foreshadow: see `testdata/traces/README.md`.
pub(crate) fn shipped() -> Result<Vec<Trace>, TraceError> {
    const BUILD_1: &[u8] = include_bytes!("../testdata/traces/build-1.csv.gz");
    Ok(vec![parse(Path::new("build-1.csv.gz"), MultiGzDecoder::new(BUILD_1))?])
}

/// Reads every trace of a folder, in the order of their names.
pub(crate) fn read_folder(folder: &Path) -> Result<Vec<Trace>, TraceError> {
    list(folder)?.iter().map(|path| read_file(path)).collect()
}

/// The traces of a folder, in the order of their names; at least one.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, TraceError> {
    let io = |source| TraceError::Io {
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in folder.read_dir().map_err(io)? {
        let path = entry.map_err(io)?.path();
        if host_of(&path).is_some() && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(TraceError::NoTrace(folder.to_owned()));
    }
    paths.retain(|path| !is_side_table(path));
    Ok(paths)
}

/// `hosts.csv` beside traces tells of the hosts; it is no trace.
fn is_side_table(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "hosts.csv")
}

/// The name of the host that a file tells of; `None` when it is not called like a trace.
pub(crate) fn host_of(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".csv.gz").or_else(|| name.strip_suffix(".csv"))
}

/// Reads one trace.
pub(crate) fn read_file(path: &Path) -> Result<Trace, TraceError> {
    let io = |source| TraceError::Io {
        path: path.to_owned(),
        source,
    };
    let file = BufReader::new(File::open(path).map_err(io)?);
    let packed = path.extension().is_some_and(|ending| ending == "gz");
    let input: Box<dyn Read> = if packed {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    parse(path, input)
}

/// Parses a trace from `input`; `path` names it in errors.
fn parse(path: &Path, input: impl Read) -> Result<Trace, TraceError> {
    let host = host_of(path).unwrap_or_default().to_owned();
    shadow::check_name(&host).map_err(|source| TraceError::Name {
        path: path.to_owned(),
        source,
    })?;
    let mut reader = csv::Reader::from_reader(input);
    let header = reader.headers().map_err(|source| csv_error(path, 1, source))?.clone();
    let layout = Layout::of(path, &header)?;
    let mut trace = Trace {
        host,
        channels: Vec::new(),
        unknown: layout.unknown,
        times_ms: Vec::new(),
        rows: Vec::new(),
    };
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        if !reader
            .read_record(&mut record)
            .map_err(|source| csv_error(path, line, source))?
        {
            break;
        }
        let at = Place {
            path,
            header: &header,
            line: record.position().map_or(line, csv::Position::line),
        };
        let time_ms = at.time(&record, layout.time, trace.times_ms.last().copied())?;
        trace.times_ms.push(time_ms);
        trace.rows.push(at.row(&record, &layout.columns)?);
        if trace.rows.len() > MAX_ROWS {
            break;
        }
    }
    // A column of empty fields, as exports have them of what a host does not tell, is not one of zeros.
    trace.channels = told(&trace.rows);
    let rows = trace.rows.len();
    if (2..=MAX_ROWS).contains(&rows) {
        return Ok(trace);
    }
    Err(TraceError::Rows {
        path: path.to_owned(),
        rows,
    })
}

/// Channels of which a value is known.
pub(crate) fn told(rows: &[[f64; Channel::COUNT]]) -> Vec<Channel> {
    let known = |channel: &Channel| {
        rows.iter()
            .any(|row| row.get(channel.index()).is_some_and(|v| v.is_finite()))
    };
    Channel::ALL.into_iter().filter(known).collect()
}

fn csv_error(path: &Path, line: u64, source: csv::Error) -> TraceError {
    TraceError::Csv {
        path: path.to_owned(),
        line: source.position().map_or(line, csv::Position::line),
        source,
    }
}

/// Which column holds what.
struct Layout {
    time: usize,
    columns: [Option<usize>; Channel::COUNT],
    unknown: Vec<String>,
}

impl Layout {
    fn of(path: &Path, header: &csv::StringRecord) -> Result<Self, TraceError> {
        let fault = |fault: String| TraceError::Header {
            path: path.to_owned(),
            fault,
        };
        let find = |name: &str| header.iter().position(|column| column.trim() == name);
        let time = find("time").ok_or_else(|| fault("there is no column called time".to_owned()))?;
        let columns = Channel::ALL.map(|channel| find(channel.column()));
        if columns.iter().all(Option::is_none) {
            let names = Channel::ALL.map(Channel::column).join(", ");
            return Err(fault(format!("none of the columns {names} is there")));
        }
        let known = |at: usize| at == time || columns.contains(&Some(at));
        let unknown = header.iter().enumerate().filter(|&(at, _)| !known(at));
        let unknown = unknown.map(|(_, name)| name.trim().to_owned()).collect();
        Ok(Self { time, columns, unknown })
    }
}

/// Where in a file an error is.
struct Place<'a> {
    path: &'a Path,
    header: &'a csv::StringRecord,
    line: u64,
}

impl Place<'_> {
    fn time(&self, record: &csv::StringRecord, column: usize, before: Option<UnixMs>) -> Result<UnixMs, TraceError> {
        let seconds = self.number(record, column)?;
        let in_range = |s: &f64| (0.0..4e9).contains(s);
        let seconds = seconds
            .filter(in_range)
            .ok_or_else(|| self.fault(column, "a time in seconds is needed".into()))?;
        #[expect(clippy::cast_possible_truncation, reason = "checked above: below 4e12")]
        let time_ms = (seconds * 1e3).round() as UnixMs;
        match before {
            Some(before) if time_ms <= before => {
                Err(self.fault(column, format!("time {seconds} is not after the row before")))
            }
            _ => Ok(time_ms),
        }
    }

    fn row(
        &self,
        record: &csv::StringRecord,
        columns: &[Option<usize>; Channel::COUNT],
    ) -> Result<[f64; Channel::COUNT], TraceError> {
        let mut row = [f64::NAN; Channel::COUNT];
        for (value, column) in row.iter_mut().zip(columns) {
            let Some(column) = *column else { continue };
            *value = self.number(record, column)?.unwrap_or(f64::NAN);
            if *value < 0.0 {
                return Err(self.fault(column, format!("{value} is below 0")));
            }
        }
        Ok(row)
    }

    /// The number in a field; `None` when the field is empty.
    fn number(&self, record: &csv::StringRecord, column: usize) -> Result<Option<f64>, TraceError> {
        let text = record.get(column).unwrap_or_default().trim();
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(self.fault(column, format!("{text:?} is not a number"))),
        }
    }

    fn fault(&self, column: usize, fault: String) -> TraceError {
        TraceError::Field {
            path: self.path.to_owned(),
            line: self.line,
            column: self.header.get(column).unwrap_or_default().to_owned(),
            fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Trace, String> {
        parse(Path::new("traces/web-1.csv"), text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn columns_come_in_any_order_and_may_be_empty() {
        let trace = read("label,mem,time,power,cpu\n0,.5,0,,.1\n0,,10,,.2\n0,.6,20.5,,.3\n").unwrap();
        assert_eq!(trace.host, "web-1");
        assert_eq!(trace.channels, [Channel::Cpu, Channel::Memory]);
        assert_eq!(trace.unknown, ["label"]);
        assert_eq!(trace.times_ms, [0, 10_000, 20_500]);
        assert_eq!(trace.rows[2][0], 0.3);
        assert!(trace.rows[1][1].is_nan());
        assert_eq!(trace.step_ms(), 10_500);
    }

    #[test]
    fn faults_name_file_line_and_column() {
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains("web-1.csv") && error.contains(expected), "{error}");
        };
        check("time,cpu\n0,1\n1,abc\n", "line 3, column cpu: \"abc\" is not a number");
        check("time,cpu\n0,1\n1,inf\n", "line 3, column cpu");
        check("time,cpu\n0,1\n1,-2\n", "line 3, column cpu: -2 is below 0");
        check("time,cpu\n5,1\n5,1\n", "line 3, column time: time 5 is not after");
        check("time,cpu\n,1\n5,1\n", "line 2, column time");
        check("time,cpu\n0,1\n1\n", "line 3");
        check("cpu\n0\n", "no column called time");
        check("time,label\n0,1\n", "none of the columns cpu");
        check("time,cpu\n0,1\n", "1 rows");
        check("", "no column called time");
    }
}
