//! The table for people, JSON, and what was published, for other scorers.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use forecast::{Config, Target};

use super::{
    data::Data,
    peaks::PeakLine,
    tally::{Line, Tally},
};

/// Losses in 1e-4 and shares in percent, a line a target, horizon and method.
pub(super) fn render(lines: &[Line]) -> String {
    let mut text = format!(
        "{:<10} {:>7}  {:<10} {:>6} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7}\n",
        "1e-4", "horizon", "method", "hosts", "MAE", "pb90", "pb95", "pb99", "cov95", "lowest", "skill", "share"
    );
    let mut before = None;
    for line in lines {
        let cell = (&line.target, line.horizon_s);
        if before.is_some_and(|before| before != cell) {
            text.push('\n');
        }
        before = Some(cell);
        text.push_str(&row(line));
    }
    text
}

fn row(line: &Line) -> String {
    let [_, p90, p95, p99] = line.figures.pinball.map(|loss| loss * 1e4);
    let [_, _, coverage, _] = line.figures.coverage.map(|share| share * 100.0);
    let share = line
        .share
        .map_or("-".to_owned(), |share| format!("{:.1}", share * 100.0));
    let horizon = horizon(line);
    format!(
        "{:<10} {horizon:>7}  {:<10} {:>6} {:>8.1} {p90:>8.1} {p95:>8.1} {p99:>8.1} {coverage:>7.1} {:>7.1} {:>7.3} {share:>7}\n",
        line.target,
        line.method,
        line.hosts,
        line.figures.mae * 1e4,
        line.lowest_p95 * 100.0,
        line.skill,
    )
}

fn horizon(line: &Line) -> String {
    if line.horizon_s.is_multiple_of(60) {
        format!("{} min", line.horizon_s / 60)
    } else {
        format!("{} s", line.horizon_s)
    }
}

/// What the network says and what is published beside the same of another replay, and what `other` loses more, in percent:
/// a line a target, horizon and method.
pub(super) fn beside(lines: &[Line], other: &[Line], title: &str) -> String {
    let mut text = format!(
        "{:<10} {:>7}  {:<10} {:>8} {title:>14} {:>7} {:>8} {title:>14} {:>7} {:>7} {:>7}\n",
        "1e-4", "horizon", "method", "MAE", "more", "pb95", "more", "cov95", "lowest"
    );
    for line in lines.iter().filter(|line| ["lstm", "published"].contains(&line.method)) {
        let same = |of: &&Line| (&of.target, of.horizon_s, of.method) == (&line.target, line.horizon_s, line.method);
        let Some(other) = other.iter().find(same) else {
            continue;
        };
        let [(mae, other_mae), (p95, other_p95)] = [
            (line.figures.mae, other.figures.mae),
            (line.figures.pinball[2], other.figures.pinball[2]),
        ];
        let more = |own: f64, other: f64| format!("{:+.1} %", 100.0 * (other / own - 1.0));
        text.push_str(&format!(
            "{:<10} {:>7}  {:<10} {:>8.1} {:>14.1} {:>7} {:>8.1} {:>14.1} {:>7} {:>7.1} {:>7.1}\n",
            line.target,
            horizon(line),
            if line.method == "lstm" { "network" } else { line.method },
            mae * 1e4,
            other_mae * 1e4,
            more(mae, other_mae),
            p95 * 1e4,
            other_p95 * 1e4,
            more(p95, other_p95),
            other.figures.coverage[2] * 100.0,
            other.lowest_p95 * 100.0,
        ));
    }
    text
}

/// Writes all tables as JSON; `others` are of other replays, each with its name.
pub(super) fn json<'a>(
    file: &Path,
    lines: &[Line],
    peaks: &[PeakLine],
    others: impl Iterator<Item = (&'static str, &'a [Line])>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    let mut all = serde_json::json!({ "forecasts": lines, "peaks": peaks });
    for (name, other) in others {
        if let Some(all) = all.as_object_mut() {
            all.insert(name.to_owned(), serde_json::to_value(other)?);
        }
    }
    serde_json::to_writer_pretty(&mut out, &all)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Writes what was published, in the traces' units, by host, target, horizon and time.
pub(super) fn predictions(file: &Path, data: &Data, config: &Config, tally: &Tally) -> anyhow::Result<()> {
    let mut published: Vec<_> = tally.published.iter().collect();
    published.sort_by_key(|said| (said.host, said.target, said.horizon, said.row));
    let encoder = GzEncoder::new(BufWriter::new(File::create(file)?), Compression::default());
    let mut csv = csv::Writer::from_writer(encoder);
    csv.write_record(["host", "resource", "origin", "horizon_s", "p50", "p90", "p95", "p99"])?;
    for said in published {
        let host = data.hosts.get(said.host);
        let target = config.targets.get(said.target).map_or("", Target::name);
        let horizon_s = config.horizons_s.get(said.horizon).copied().unwrap_or(0);
        let (Some(host), row_ms) = (host, super::walk::time_ms(data, said.row)) else {
            continue;
        };
        let origin = (host.start_ms + row_ms) as f64 / 1e3;
        let mut record = vec![
            host.name.clone(),
            target.to_owned(),
            origin.to_string(),
            horizon_s.to_string(),
        ];
        record.extend(said.quantiles.map(|value| (value as f32).to_string()));
        csv.write_record(record)?;
    }
    csv.into_inner()
        .map_err(csv::IntoInnerError::into_error)?
        .finish()?
        .flush()?;
    Ok(())
}
