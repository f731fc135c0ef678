//! Forecasts of the peak that an earlier run has written: settings can be tried without forecasting anew.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::Path,
};

use anyhow::{Context, ensure};
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use limits::HOLDS_MIN;

use super::{
    past::{Host, Past},
    said::{Peaks, Said},
};

const HEAD: [&str; 10] = [
    "host", "resource", "time", "hold_s", "p50", "p80", "p90", "p95", "p98", "p99",
];

/// A compressed CSV that is written.
pub(super) type Packed = csv::Writer<GzEncoder<BufWriter<File>>>;

/// Begins a file.
pub(super) fn packed(file: &Path) -> anyhow::Result<Packed> {
    let out = BufWriter::new(File::create(file)?);
    Ok(csv::Writer::from_writer(GzEncoder::new(out, Compression::default())))
}

/// Ends a file.
pub(super) fn finish(csv: Packed) -> anyhow::Result<()> {
    let packed = csv.into_inner().map_err(csv::IntoInnerError::into_error)?;
    packed.finish()?.flush()?;
    Ok(())
}

/// The time of a host's row, in the trace's seconds.
pub(super) fn seconds(past: &Past, host: &Host, row: usize) -> f64 {
    host.start_ms as f64 / 1e3 + (row as u64 * u64::from(past.step_s)) as f64
}

/// Writes what was said of every moment of decision, in the traces' units.
pub(super) fn write(file: &Path, past: &Past, said: &Said) -> anyhow::Result<()> {
    let mut csv = packed(file)?;
    csv.write_record(HEAD)?;
    for (index, host) in past.hosts.iter().enumerate() {
        for (place, target) in past.targets.iter().enumerate() {
            let peaks = host.decisions(past.rows).zip(said.peaks(index, place));
            for (row, peaks) in peaks.filter_map(|(row, peaks)| Some((row, (*peaks)?))) {
                for (minutes, quantiles) in HOLDS_MIN.into_iter().zip(peaks) {
                    let mut record = vec![
                        host.name.clone(),
                        target.name().to_owned(),
                        seconds(past, host, row).to_string(),
                        (60 * minutes).to_string(),
                    ];
                    record.extend(quantiles.map(|value| value.to_string()));
                    csv.write_record(record)?;
                }
            }
        }
    }
    finish(csv)
}

/// Reads what [`write()`] has written of the same past.
///
/// # Errors
/// When the file is none of these, or tells of a moment at which nothing is decided.
pub(super) fn read(file: &Path, past: &Past) -> anyhow::Result<Said> {
    let packed = MultiGzDecoder::new(BufReader::new(File::open(file)?));
    let mut csv = csv::Reader::from_reader(packed);
    ensure!(
        csv.headers()?.iter().eq(HEAD),
        "its columns are not {}: name a file that --peaks has written",
        HEAD.join(",")
    );
    let hosts: BTreeMap<&str, usize> = past
        .hosts
        .iter()
        .enumerate()
        .map(|(at, host)| (host.name.as_str(), at))
        .collect();
    let mut said = Said::new(past);
    for (line, record) in csv.records().enumerate() {
        let record = record?;
        let field = |at: usize| record.get(at).unwrap_or_default();
        let (Some(index), Some(place)) = (
            hosts.get(field(0)),
            past.targets.iter().position(|target| target.name() == field(1)),
        ) else {
            continue;
        };
        let number = |at: usize| {
            field(at)
                .parse::<f64>()
                .with_context(|| format!("line {}: {:?}", line + 2, field(at)))
        };
        let (time, hold) = (number(2)?, number(3)?);
        let quantiles = (4..10)
            .map(|at| number(at).map(|value| value as f32))
            .collect::<anyhow::Result<Vec<f32>>>()?;
        let of_host = past.hosts.get(*index).context("a host")?;
        let row = ((time - seconds(past, of_host, 0)) / f64::from(past.step_s)).round() as usize;
        let hold = HOLDS_MIN.iter().position(|minutes| f64::from(60 * minutes) == hold);
        let slot = said.slot(past, *index, place, row).zip(hold);
        let (slot, hold) = slot.with_context(|| {
            format!(
                "line {}: nothing is decided at that time; the file is of another past, or of another --from",
                line + 2
            )
        })?;
        let peaks: &mut Peaks = slot.get_or_insert_default();
        for (to, from) in peaks.iter_mut().skip(hold).take(1).flatten().zip(quantiles) {
            *to = from;
        }
    }
    Ok(said)
}
