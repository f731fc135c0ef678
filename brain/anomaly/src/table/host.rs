//! A CSV of all metrics of one host in, one score a row out.
//!
//! Every column is a metric, but `time` (or `timestamp`) and `label`. Missing readings are those of any table.

use std::io::{self, BufReader, BufWriter, Read, Write};

use super::{BUFFER, TableError, line::Line, number};
use crate::HostDetector;

/// Columns that are no metric.
const NO_METRIC: [&[u8]; 1] = [b"label"];
/// What the column of the time may be called.
const TIMES: [&[u8]; 2] = [b"time", b"timestamp"];

/// The header of the scores of hosts.
///
/// # Errors
/// What the output answers.
pub fn write_header(output: &mut impl Write) -> io::Result<()> {
    output.write_all(b"host,time,score\n")
}

/// Judges every row of `input`, and writes `host`, its time and its score to `output`, a row a row: the score is how rare
/// the row is ([`HostJudged::rarity`](crate::HostJudged::rarity)). Tells how many rows there were.
///
/// # Errors
/// [`TableError`]; the rows before the fault have been written.
pub fn detect(input: impl Read, output: impl Write, host: &str) -> Result<u64, TableError> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut output = BufWriter::with_capacity(BUFFER, output);
    let mut line = Line::default();
    if !line.read(&mut input)? {
        return Err(TableError::Empty);
    }
    let header = Header::of(&line)?;
    let metrics = header.metrics.iter().filter(|is_metric| **is_metric).count();
    let mut detector = HostDetector::new(&vec![0.0; metrics]);
    let (mut values, mut time, mut rows) = (Vec::new(), Vec::new(), 0);
    while line.read(&mut input)? {
        header.read(&line, &mut time, &mut values)?;
        let score = detector.update(&values).rarity;
        let written = write!(output, "{host},")
            .and_then(|()| write_field(&mut output, &time))
            .and_then(|()| writeln!(output, ",{score:.4}"));
        written.map_err(TableError::Write)?;
        rows += 1;
    }
    output.flush().map_err(TableError::Write)?;
    Ok(rows)
}

/// A field as any CSV may hold it.
fn write_field(output: &mut impl Write, field: &[u8]) -> io::Result<()> {
    if !field.iter().any(|byte| b",\"\n\r".contains(byte)) {
        return output.write_all(field);
    }
    output.write_all(b"\"")?;
    for (index, part) in field.split(|byte| *byte == b'"').enumerate() {
        output.write_all(if index == 0 { b"" } else { b"\"\"" })?;
        output.write_all(part)?;
    }
    output.write_all(b"\"")
}

/// Which column holds what.
struct Header {
    names: Vec<String>,
    time: usize,
    metrics: Vec<bool>,
}

impl Header {
    fn of(line: &Line) -> Result<Self, TableError> {
        let is_time = |field: &[u8]| TIMES.contains(&field.trim_ascii());
        let time = line.fields().position(is_time).ok_or(TableError::Column("time"))?;
        let is_metric = |field: &[u8]| !is_time(field) && !NO_METRIC.contains(&field.trim_ascii());
        let metrics: Vec<bool> = line.fields().map(is_metric).collect();
        if !metrics.contains(&true) {
            return Err(TableError::NoMetric);
        }
        let name = |field| String::from_utf8_lossy(field).trim().to_owned();
        Ok(Self {
            names: line.fields().map(name).collect(),
            time,
            metrics,
        })
    }

    fn read(&self, line: &Line, time: &mut Vec<u8>, values: &mut Vec<f64>) -> Result<(), TableError> {
        values.clear();
        time.clear();
        let mut found = 0;
        for field in line.fields() {
            if found == self.time {
                time.extend_from_slice(field);
            } else if self.metrics.get(found) == Some(&true) {
                let value = number(field).ok_or_else(|| TableError::number(line, self.names.get(found), field))?;
                values.push(value);
            }
            found += 1;
        }
        line.check_fields(found, self.names.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(text: &str) -> Result<String, String> {
        let mut output = Vec::new();
        detect(text.as_bytes(), &mut output, "web-1").map_err(|error| error.to_string())?;
        Ok(String::from_utf8(output).unwrap())
    }

    #[test]
    fn every_row_is_scored_and_labels_are_not_looked_at() {
        let of = |label: &dyn Fn(u32) -> String| {
            let row = |row: u32| {
                let far = f64::from(u8::from(row >= 2_900));
                format!("{row},{},{},{}\n", row % 7, f64::from(row % 3) + 9.0 * far, label(row))
            };
            scored(&format!(
                "time,cpu,mem,label\n{}",
                (0..3_000).map(row).collect::<String>()
            ))
            .unwrap()
        };
        let scores = of(&|_| "-1".into());
        assert_eq!(scores, of(&|row| (row / 2_900).to_string()));
        assert_eq!(scores, of(&|_| "what people say".into()));
        assert_eq!(scores.lines().count(), 3_000);
        assert!(scores.starts_with("web-1,0,0.0000\nweb-1,1,0.0000\n"));
        let score = |row: usize| -> f64 {
            scores
                .lines()
                .nth(row)
                .unwrap()
                .split(',')
                .nth(2)
                .unwrap()
                .parse()
                .unwrap()
        };
        assert!(score(2_902) > 2.3, "nothing was ever new before: {}", score(2_902));
        assert!((100..2_900).all(|row| score(row) < 2.0));
    }

    #[test]
    fn a_time_that_was_quoted_stays_so() {
        assert_eq!(
            scored("time,cpu\n\"a,b\",1\n\"2\",1\n").unwrap(),
            "web-1,\"a,b\",0.0000\nweb-1,2,0.0000\n"
        );
    }

    #[test]
    fn faults_name_line_and_column() {
        for (text, expected) in [
            ("", "it is empty"),
            ("cpu\n1\n", "line 1: there is no column called time"),
            ("time,label\n1,1\n", "line 1: there is no metric"),
            ("time,cpu\n1,1\n2,x\n", "line 3, column cpu: \"x\" is not a number"),
            ("time,cpu\n1,1\n2\n", "line 3: it has 1 fields, and the header has 2"),
        ] {
            let error = scored(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
