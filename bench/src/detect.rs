//! How many rows a second are judged: of a series as a CSV, and of a host.

use std::{f64::consts::TAU, fmt::Write as _, fs, io, path::PathBuf, process::Command};

use anomaly::{
    HostDetector,
    table::{self, Columns, Detector, How},
};
use anyhow::{Context, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    report::{Quantity, Report, Rival},
    timing,
};

/// Rows of a case: three and a half months at one in five minutes. The memory of states is full for most of them.
const ROWS: usize = 30_000;
const ROUNDS: usize = 9;
/// Metrics of a host.
const METRICS: usize = 11;

const SPEED: Quantity = Quantity {
    metric: "rows_per_s",
    unit: "1/s",
};
/// What `foreshadow detect` has to reach.
const NEEDED: Rival = Rival {
    name: "needed",
    value: 20_000.0,
};

/// What to measure against.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A detector in Python to compare with, called as `python3 FILE IN.csv OUT.csv`; its start counts, as it would.
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// The Python that runs it.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
}

/// Runs all cases.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let mut report = Report::new("detect");
    for (case, walk) in [("calm", 0.0), ("wandering", 0.5)] {
        let csv = csv(walk)?;
        let mut failed = None;
        let how = |detector| How {
            detector,
            columns: Columns::ScoreAndPoints,
        };
        let mut judge = |detector| failed = table::detect(csv.as_bytes(), io::sink(), how(detector)).err();
        let [ns] = timing::medians_ns(ROUNDS, [&mut || judge(Detector::States)]);
        let [with_days_ns] = timing::medians_ns(ROUNDS, [&mut || judge(Detector::StatesAndDays)]);
        if let Some(error) = failed {
            return Err(error.into());
        }
        let ours = rows_per_s(ns);
        report.push(case, SPEED, ours, NEEDED);
        report.push(&format!("{case}/days"), SPEED, rows_per_s(with_days_ns), NEEDED);
        if let Some(reference) = &arguments.reference {
            let value = reference_speed(&arguments.python, reference, &csv)?;
            let name = "the reference in Python";
            report.push(case, SPEED, ours, Rival { name, value });
        }
    }
    report.push("host", SPEED, host_speed(), NEEDED);
    Ok(report)
}

fn rows_per_s(ns: f64) -> f64 {
    ROWS as f64 / ns * 1e9
}

/// A daily wave with noise; `walk` lets its level wander, so that ever new states come.
fn series(seed: u64, walk: f64) -> Vec<f64> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut level = 0.0;
    (0..ROWS)
        .map(|row| {
            level += walk * (random.random::<f64>() - 0.5);
            let day = (row as f64 * TAU / 288.0).sin();
            50.0 + 20.0 * day + 5.0 * random.random::<f64>() + level
        })
        .collect()
}

fn csv(walk: f64) -> anyhow::Result<String> {
    let mut text = String::from("timestamp,value\n");
    for (row, value) in series(1, walk).into_iter().enumerate() {
        writeln!(text, "{},{value:.3}", 300 * row)?;
    }
    Ok(text)
}

fn host_speed() -> f64 {
    let metrics: Vec<Vec<f64>> = (0..METRICS as u64).map(|seed| series(seed, 0.5)).collect();
    let rows: Vec<Vec<f64>> = (0..ROWS)
        .map(|row| metrics.iter().filter_map(|metric| metric.get(row).copied()).collect())
        .collect();
    let mut judge = || {
        let mut detector = HostDetector::new(&[0.0; METRICS]);
        for row in &rows {
            std::hint::black_box(detector.update(row));
        }
    };
    let [ns] = timing::medians_ns(ROUNDS, [&mut judge]);
    rows_per_s(ns)
}

/// Rows a second of the reference, by the time that passes.
fn reference_speed(python: &PathBuf, reference: &PathBuf, csv: &str) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let [input, output] = ["in.csv", "out.csv"].map(|name| folder.path().join(name));
    fs::write(&input, csv)?;
    let start = std::time::Instant::now();
    let ended = Command::new(python).arg(reference).args([&input, &output]).status();
    ensure!(ended.context("the reference")?.success(), "the reference failed");
    Ok(ROWS as f64 / start.elapsed().as_secs_f64())
}
