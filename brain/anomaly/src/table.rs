//! A CSV of one series in, the same with scores out: a row for each row, as soon as it is read.
//!
//! The columns `timestamp` and `value` are needed, others are handed on as they are. A value that is empty, `nan`, `NA`,
//! `null` or infinite is a missing reading and repeats the last; anything else that is no number is a fault. Rows are
//! taken in the order in which they come: timestamps that do not rise are counted, and nothing hangs on them.

use std::{
    cell::RefCell,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
};

use thiserror::Error;

use self::line::Line;
use crate::{SeriesDetector, season};

pub mod host;
mod line;

/// Bytes that are read and written at a time.
const BUFFER: usize = 1 << 16;

/// Words for a reading that is missing, besides what stands for no finite number.
const MISSING: [&str; 5] = ["", "NA", "N/A", "null", "None"];

/// Which columns are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Columns {
    /// `anomaly_score`, 0 to 1: see [`Judged::score`](crate::Judged::score).
    #[default]
    Score,
    /// Besides, `raw_score`: the points of the row, to four digits behind the point.
    ScoreAndPoints,
}

/// What rows are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detector {
    /// The states that the series has been in.
    #[default]
    States,
    /// Besides, what it does each day at this hour, as far as its timestamps tell it.
    StatesAndDays,
}

/// How a series is judged and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct How {
    /// By what.
    pub detector: Detector,
    /// What is added.
    pub columns: Columns,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Rows without the header.
    pub rows: u64,
    /// Alarms among them.
    pub alarms: u64,
    /// Readings that were missing.
    pub missing: u64,
    /// Rows whose timestamp is not after that of the row before.
    pub falling: u64,
    /// The line of the first of them.
    pub first_falling: Option<u64>,
}

/// What can be wrong with a table. Lines are numbered from 1, the header's.
#[derive(Debug, Error)]
pub enum TableError {
    /// There is not even a header.
    #[error("it is empty; a header with the columns timestamp and value is needed")]
    Empty,
    /// A column is missing.
    #[error("line 1: there is no column called {0}; the first line names the columns")]
    Column(&'static str),
    /// No column holds what could be judged.
    #[error("line 1: there is no metric besides time and label; a column is needed, such as cpu")]
    NoMetric,
    /// A value is no number.
    #[error("line {line}, column {column}: {text:?} is not a number; leave it empty where nothing is known")]
    Number {
        /// Where.
        line: u64,
        /// In which column.
        column: String,
        /// What stands there, shortened.
        text: String,
    },
    /// A row has other fields than the header.
    #[error("line {line}: it has {found} fields, and the header has {expected}; is a comma missing, or a quote?")]
    Fields {
        /// Where.
        line: u64,
        /// Fields of the row.
        found: usize,
        /// Fields of the header.
        expected: usize,
    },
    /// A quote is never closed, or a row is longer than any is.
    #[error("line {0}: a row that begins here has no end within a megabyte; is a quote missing?")]
    Endless(u64),
    /// It cannot be read.
    #[error("line {line}: {source}")]
    Read {
        /// Where.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// What was found cannot be written.
    #[error("the output cannot be written: {0}")]
    Write(#[source] io::Error),
}

impl TableError {
    /// A field is no number.
    fn number(line: &Line, column: Option<impl Into<String>>, field: &[u8]) -> Self {
        Self::Number {
            line: line.number(),
            column: column.map(Into::into).unwrap_or_default(),
            text: String::from_utf8_lossy(field).chars().take(40).collect(),
        }
    }
}

/// Judges every row of `input`, and writes it to `output` with its score. What was found is handed on whenever more has to
/// be waited for, so that a series may also be followed while it is made.
///
/// # Errors
/// [`TableError`]; the rows before the fault have been written.
pub fn detect(input: impl Read, output: impl Write, how: How) -> Result<Told, TableError> {
    let output = RefCell::new(BufWriter::with_capacity(BUFFER, output));
    let input = Waiting {
        input,
        before: || drop(output.borrow_mut().flush()),
    };
    let mut table = Table::new(BufReader::with_capacity(BUFFER, input))?;
    let mut detector = match how.detector {
        Detector::States => SeriesDetector::default(),
        Detector::StatesAndDays => SeriesDetector::with_season(),
    };
    let write = |line: &Line, added: std::fmt::Arguments<'_>| {
        let mut output = output.borrow_mut();
        let written = output.write_all(line.text()).and_then(|()| output.write_fmt(added));
        written.map_err(TableError::Write)
    };
    match how.columns {
        Columns::Score => write(&table.line, format_args!(",anomaly_score\n"))?,
        Columns::ScoreAndPoints => write(&table.line, format_args!(",anomaly_score,raw_score\n"))?,
    }
    while let Some(value) = table.next()? {
        let judged = detector.update_at(table.time_s, value);
        table.told.alarms += u64::from(judged.is_alarm());
        let (score, points) = (judged.score(), judged.points);
        match how.columns {
            Columns::Score => write(&table.line, format_args!(",{score:?}\n"))?,
            Columns::ScoreAndPoints => write(&table.line, format_args!(",{score:?},{points:.4}\n"))?,
        }
    }
    let told = table.told;
    drop(table);
    output.into_inner().flush().map_err(TableError::Write)?;
    Ok(told)
}

/// Does something before each read, which may wait. If that fails, the next write fails as well and says so.
struct Waiting<R, F> {
    input: R,
    before: F,
}

impl<R: Read, F: FnMut()> Read for Waiting<R, F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (self.before)();
        self.input.read(bytes)
    }
}

/// The rows of a table.
struct Table<R> {
    input: R,
    line: Line,
    timestamp: usize,
    value: usize,
    /// Fields of the header.
    fields: usize,
    /// The timestamp of the row before.
    before: Vec<u8>,
    /// The time of the row, in seconds; `None` where its timestamp is none.
    time_s: Option<f64>,
    told: Told,
}

impl<R: BufRead> Table<R> {
    /// Reads the header, which stays the line.
    fn new(mut input: R) -> Result<Self, TableError> {
        let mut line = Line::default();
        if !line.read(&mut input)? {
            return Err(TableError::Empty);
        }
        let find = |name: &'static str| {
            let place = line.fields().position(|field| field.trim_ascii() == name.as_bytes());
            place.ok_or(TableError::Column(name))
        };
        Ok(Self {
            timestamp: find("timestamp")?,
            value: find("value")?,
            fields: line.fields().count(),
            input,
            line,
            before: Vec::new(),
            time_s: None,
            told: Told::default(),
        })
    }

    /// The value of the next row, NaN where none was read; `None` after the last.
    fn next(&mut self) -> Result<Option<f64>, TableError> {
        if !self.line.read(&mut self.input)? {
            return Ok(None);
        }
        let line = self.line.number();
        let (mut found, mut timestamp, mut text) = (0, &[][..], &[][..]);
        for field in self.line.fields() {
            if found == self.timestamp {
                timestamp = field;
            } else if found == self.value {
                text = field;
            }
            found += 1;
        }
        self.line.check_fields(found, self.fields)?;
        let value = number(text).ok_or_else(|| TableError::number(&self.line, Some("value"), text))?;
        if self.told.rows > 0 && !rises(&self.before, timestamp) {
            self.told.falling += 1;
            self.told.first_falling.get_or_insert(line);
        }
        self.time_s = std::str::from_utf8(timestamp).ok().and_then(season::seconds);
        self.before.clear();
        self.before.extend_from_slice(timestamp);
        self.told.missing += u64::from(!value.is_finite());
        self.told.rows += 1;
        Ok(Some(value))
    }
}

/// The number in a field; NaN where a reading is missing, `None` when it is something else.
fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) if MISSING.contains(&text) => Some(f64::NAN),
        Err(_) => None,
    }
}

/// Whether a timestamp is after another: as numbers, else as texts of one length, as dates are. Others are not compared.
fn rises(before: &[u8], after: &[u8]) -> bool {
    match (number(before), number(after)) {
        (Some(before), Some(after)) => before < after,
        _ => before.len() != after.len() || before < after,
    }
}

#[cfg(test)]
mod tests;
