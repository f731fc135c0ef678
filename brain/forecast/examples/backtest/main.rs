//! Forecast quality on real traces: `FORESHADOW_TRACES=DIR cargo run --release -p foreshadow-forecast
//! --example backtest -- DATASET [SEED]`, where `DIR/DATASET/*.csv.gz` are traces on a regular grid.
//!
//! The first 70 % of each host are learnt from, then the forecaster steps through the rest row by row. Byte
//! rates are divided by the host's 99.9th percentile over the learnt part; network is what is received and disk
//! what is written, as in most published figures of these traces.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]
#![allow(clippy::cast_possible_truncation, reason = "published traces are small")]

mod traces;

use std::{
    collections::BTreeMap, env, error::Error, path::Path, process::ExitCode, sync::atomic::AtomicBool, time::Instant,
};

use forecast::{Artifact, Config, Forecaster, History, HostForecasts, HostWindow, ScoreRow, train};
use shadow::{Resource, Rung};
use traces::{Row, Traces, learnt};

fn main() -> ExitCode {
    let Ok(traces) = env::var("FORESHADOW_TRACES") else {
        eprintln!("SKIPPED: set FORESHADOW_TRACES to a folder of trace data sets");
        return ExitCode::SUCCESS;
    };
    let mut arguments = env::args().skip(1);
    let dataset = arguments.next().unwrap_or_else(|| "smd".to_owned());
    let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    match run(&Path::new(&traces).join(dataset), seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path, seed: u64) -> Result<(), Box<dyn Error>> {
    let traces = traces::load(folder)?;
    let mut config = Config::for_step(traces.step_s);
    config.training.seed = seed;
    let histories = traces.hosts.iter().map(|(host, rows)| {
        let rows = rows.iter().take(learnt(rows)).copied().collect();
        History {
            host: host.clone(),
            first_ms: 0,
            rows,
        }
    });
    let begun = Instant::now();
    let artifact = train(&histories.collect::<Vec<_>>(), &config, None, &AtomicBool::new(false))?;
    let (data, took) = (artifact.data(), begun.elapsed().as_secs_f64());
    println!(
        "{} s grid, {} hosts, {} rows, {} moments sampled",
        traces.step_s, data.hosts, data.rows, data.samples
    );
    println!(
        "trained {} steps in {took:.1} s, scores of held-out rows included",
        artifact.steps()
    );
    replay(&traces, &config, &artifact)
}

/// Steps through the rows that were not learnt from, after some that were, and prints the scores.
fn replay(traces: &Traces, config: &Config, artifact: &Artifact) -> Result<(), Box<dyn Error>> {
    let mut forecaster = Forecaster::new(config.clone())?;
    let shortest = |of: fn(&[Row]) -> usize| traces.hosts.values().map(|rows| of(rows)).min().unwrap_or(0);
    let (before, after) = (
        3_000.min(shortest(learnt) / 2),
        shortest(|rows| rows.len() - learnt(rows)),
    );
    let mut coverage = Coverage::default();
    let begun = Instant::now();
    for step in 0..before + after {
        if step == before {
            forecaster.adopt(artifact)?;
        }
        let windows = traces.hosts.iter().map(|(host, rows)| {
            let end = learnt(rows) + step + 1 - before;
            let from = end.saturating_sub(config.lookback_rows());
            HostWindow {
                host,
                rows: rows.get(from..end).unwrap_or_default(),
            }
        });
        let time_ms = step as i64 * i64::from(config.step_s) * 1_000;
        let made = forecaster.step(time_ms, &windows.collect::<Vec<_>>());
        if step >= before {
            coverage.add(&made);
        }
    }
    let each = begun.elapsed().as_secs_f64() * 1e3 / (before + after).max(1) as f64;
    println!("{each:.2} ms a step for {} hosts", traces.hosts.len());
    println!("resource horizon        n  rung       MAE  pinball      p95   (1e-4)");
    forecaster.scores().rows.iter().for_each(|row| print(row, &coverage));
    Ok(())
}

fn print(row: &ScoreRow, coverage: &Coverage) {
    let Some(scores) = row.with_lstm else { return };
    let rungs = [
        ("last", Some(scores.last)),
        ("ewma", Some(scores.ewma)),
        ("lstm", scores.lstm),
    ];
    for (name, loss) in rungs.into_iter().chain([("served", Some(scores.served))]) {
        let Some(loss) = loss else { continue };
        let [mae, pinball, p95] = [loss.mae, loss.pinball, loss.pinball_p95].map(|loss| loss * 1e4);
        let (resource, horizon_s, n) = (row.resource.as_str(), row.horizon_s, scores.n);
        println!("{resource:8} {horizon_s:5} s {n:8}  {name:6} {mae:7.1}  {pinball:7.1}  {p95:7.1}");
    }
    let shares = Rung::ALL
        .iter()
        .zip(row.served_share)
        .map(|(rung, share)| format!("{} {share:.2}", rung.as_str()));
    let (shares, lowest) = (
        shares.collect::<Vec<_>>().join(", "),
        coverage.lowest(row.resource, row.horizon_s),
    );
    println!(
        "{:27}  coverage {:.3}, lowest host {lowest:.3}; served: {shares}",
        "", row.coverage_p95
    );
}

/// Truths at or below the published p95, and all, by resource, horizon and host.
#[derive(Default)]
struct Coverage(BTreeMap<(Resource, u32), BTreeMap<String, (u32, u32)>>);

impl Coverage {
    fn add(&mut self, made: &[HostForecasts]) {
        for (host, ripe) in made
            .iter()
            .flat_map(|made| made.matured.iter().map(|ripe| (&made.host, ripe)))
        {
            let hosts = self.0.entry((ripe.resource, ripe.horizon_s)).or_default();
            let (covered, all) = hosts.entry(host.clone()).or_default();
            *covered += u32::from(ripe.value <= ripe.forecast.quantiles.p95);
            *all += 1;
        }
    }

    fn lowest(&self, resource: Resource, horizon_s: u32) -> f64 {
        let hosts = self
            .0
            .get(&(resource, horizon_s))
            .into_iter()
            .flat_map(BTreeMap::values);
        hosts
            .map(|(covered, all)| f64::from(*covered) / f64::from(*all))
            .fold(1.0, f64::min)
    }
}
