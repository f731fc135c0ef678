//! Reads published traces.

use std::{collections::BTreeMap, error::Error, fs, io::Read, path::Path};

/// One moment, in the order of `shadow::Channel::ALL`.
pub(crate) type Row = [f32; 7];

/// A time in seconds with cpu, memory, received and written.
type Point = (f64, [f32; 4]);

/// Hosts on one grid.
pub(crate) struct Traces {
    pub(crate) step_s: u32,
    pub(crate) hosts: BTreeMap<String, Vec<Row>>,
}

/// Rows that are learnt from.
pub(crate) fn learnt(rows: &[Row]) -> usize {
    rows.len() * 7 / 10
}

/// Reads every `*.csv.gz` of a folder; gaps are filled with the row before.
pub(crate) fn load(folder: &Path) -> Result<Traces, Box<dyn Error>> {
    let mut traces = Traces {
        step_s: 60,
        hosts: BTreeMap::new(),
    };
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(host) = name.strip_suffix(".csv.gz") else {
            continue;
        };
        let points = read(&entry.path()).map_err(|error| format!("{name}: {error}"))?;
        traces.step_s = step(&points);
        let mut rows = grid(&points, traces.step_s);
        // Columns in bytes a second: received and written.
        normalise(&mut rows, |row| &mut row[2]);
        normalise(&mut rows, |row| &mut row[5]);
        traces.hosts.insert(host.to_owned(), rows);
    }
    Ok(traces)
}

/// All points of a file.
fn read(path: &Path) -> Result<Vec<Point>, Box<dyn Error>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(path)?).read_to_string(&mut text)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers()?.clone();
    let place = |name: &str| headers.iter().position(|known| known == name);
    let places = ["time", "cpu", "mem", "net_rx", "disk_write"].map(place);
    let mut points = Vec::new();
    for record in reader.records() {
        let record = record?;
        let field = |place: Option<usize>| record.get(place?)?.parse::<f64>().ok();
        let [time, values @ ..] = places.map(field);
        let time =
            time.ok_or_else(|| format!("line {} has no time", record.position().map_or(0, csv::Position::line)))?;
        points.push((time, values.map(|value| value.map_or(f32::NAN, |value| value as f32))));
    }
    Ok(points)
}

/// The usual grid that is closest to the median gap, in seconds.
fn step(points: &[Point]) -> u32 {
    let mut gaps: Vec<f64> = points
        .iter()
        .zip(points.iter().skip(1))
        .map(|(a, b)| b.0 - a.0)
        .collect();
    gaps.sort_by(f64::total_cmp);
    let gap = gaps.get(gaps.len() / 2).copied().unwrap_or(60.0);
    let off = |step_s: &u32| (f64::from(*step_s) - gap).abs();
    [1, 2, 5, 10, 30, 60, 300]
        .into_iter()
        .min_by(|a, b| off(a).total_cmp(&off(b)))
        .unwrap_or(60)
}

/// The last point of each step.
fn grid(points: &[Point], step_s: u32) -> Vec<Row> {
    let first = points.first().map_or(0.0, |point| point.0);
    let mut rows: Vec<Row> = Vec::new();
    for (time, [cpu, memory, received, written]) in points {
        let at = ((time - first) / f64::from(step_s)).round_ties_even() as usize;
        let filler = rows.last().copied().unwrap_or_default();
        rows.resize(at, filler);
        rows.push([*cpu, *memory, *received, 0.0, 0.0, *written, f32::NAN]);
    }
    rows
}

/// Divides a column by its 99.9th percentile over the learnt part, unless it holds shares already.
fn normalise(rows: &mut [Row], column: fn(&mut Row) -> &mut f32) {
    let count = learnt(rows);
    let mut known: Vec<f32> = rows.iter_mut().take(count).map(|row| *column(row)).collect();
    known.sort_by(f32::total_cmp);
    let high = known
        .get((known.len().saturating_sub(1) as f64 * 0.999) as usize)
        .copied()
        .unwrap_or(1.0);
    let shares = known.last().is_some_and(|highest| *highest <= 1.0);
    if high > 0.0 && !shares {
        for row in rows {
            *column(row) /= high;
        }
    }
}
