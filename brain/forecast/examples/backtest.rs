//! Forecast quality on real traces: `FORESHADOW_TRACES=DIR cargo run --release -p foreshadow-forecast
//! --example backtest -- DATASET [SEED]`, where `DIR/DATASET/*.csv.gz` are traces on a regular grid.
//!
//! The first 70 % of each host are learnt from, then the forecaster steps through the rest row by row. Byte
//! rates are divided by the host's 99.9th percentile over the learnt part; network is what is received and disk
//! what is written, as in most published figures of these traces.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicBool,
    time::Instant,
};

use forecast::{Compared, Config, Forecaster, History, HostWindow, Loss, train};
use shadow::Rung;

type Row = [f32; 7];
type Failure = Box<dyn std::error::Error>;

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

fn run(folder: &Path, seed: u64) -> Result<(), Failure> {
    let (step_s, hosts) = load(folder)?;
    let mut config = Config::for_step(step_s);
    config.training.seed = seed;
    let learnt = |rows: &[Row]| rows.len() * 7 / 10;
    let histories: Vec<History> = hosts
        .iter()
        .map(|(host, rows)| History {
            host: host.clone(),
            first_ms: 0,
            rows: rows[..learnt(rows)].to_vec(),
        })
        .collect();
    let begun = Instant::now();
    let artifact = train(&histories, &config, None, &AtomicBool::new(false))?;
    let data = artifact.data();
    println!(
        "{} s grid, {} hosts, {} rows, {} moments sampled",
        step_s, data.hosts, data.rows, data.samples
    );
    println!(
        "trained {} steps in {:.1} s, with scores of held-out rows",
        artifact.steps(),
        begun.elapsed().as_secs_f64()
    );

    let mut forecaster = Forecaster::new(config.clone())?;
    let before = 3_000.min(histories.iter().map(|history| history.rows.len()).min().unwrap_or(0) / 2);
    let after = hosts.values().map(|rows| rows.len() - learnt(rows)).min().unwrap_or(0);
    let begun = Instant::now();
    for step in 0..before + after {
        if step == before {
            forecaster.adopt(&artifact)?;
        }
        let windows = hosts.iter().map(|(host, rows)| {
            let end = learnt(rows) + step + 1 - before;
            HostWindow {
                host,
                rows: &rows[end.saturating_sub(config.lookback_rows())..end],
            }
        });
        forecaster.step(step as i64 * i64::from(step_s) * 1_000, &windows.collect::<Vec<_>>());
    }
    let each = begun.elapsed().as_secs_f64() * 1e3 / (before + after).max(1) as f64;
    println!("{each:.2} ms a step for {} hosts", hosts.len());
    println!("resource horizon        n  rung       MAE  pinball      p95   (1e-4)");
    for row in forecaster.scores().rows {
        let Some(Compared {
            n,
            last,
            ewma,
            lstm,
            served,
        }) = row.with_lstm
        else {
            continue;
        };
        let rungs = [
            ("last", Some(last)),
            ("ewma", Some(ewma)),
            ("lstm", lstm),
            ("served", Some(served)),
        ];
        for (
            name,
            Loss {
                mae,
                pinball,
                pinball_p95,
            },
        ) in rungs.into_iter().filter_map(|(name, loss)| Some((name, loss?)))
        {
            let [mae, pinball, p95] = [mae, pinball, pinball_p95].map(|loss| loss * 1e4);
            println!(
                "{:8} {:5} s {n:8}  {name:6} {mae:7.1}  {pinball:7.1}  {p95:7.1}",
                row.resource.as_str(),
                row.horizon_s
            );
        }
        let shares = Rung::ALL.map(|rung| format!("{} {:.2}", rung.as_str(), row.served_share[rung.index()]));
        println!(
            "{:27}  coverage {:.3}, served: {}",
            "",
            row.coverage_p95,
            shares.join(", ")
        );
    }
    Ok(())
}

/// Seconds of the grid, and rows by host with gaps filled by the value before.
fn load(folder: &Path) -> Result<(u32, BTreeMap<String, Vec<Row>>), Failure> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".csv.gz") {
            paths.push(path);
        }
    }
    let mut hosts = BTreeMap::new();
    let mut step_s = 60;
    for path in paths {
        let (step, mut rows) = load_host(&path)?;
        step_s = step;
        for column in 2..6 {
            normalise(&mut rows, column);
        }
        hosts.insert(
            path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            rows,
        );
    }
    Ok((step_s, hosts))
}

fn load_host(path: &Path) -> Result<(u32, Vec<Row>), Failure> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(path)?).read_to_string(&mut text)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers()?.clone();
    let wanted =
        ["time", "cpu", "mem", "net_rx", "disk_write"].map(|name| headers.iter().position(|known| known == name));
    let mut points: Vec<(f64, [f32; 4])> = Vec::new();
    for record in reader.records() {
        let record = record?;
        let field = |column: Option<usize>| column.and_then(|column| record.get(column)?.parse::<f64>().ok());
        let [time, cpu, memory, received, written] = wanted.map(field);
        let values = [cpu, memory, received, written].map(|value| value.map_or(f32::NAN, |value| value as f32));
        points.push((time.ok_or("a row without a time")?, values));
    }
    let first = points.first().ok_or("no rows")?.0;
    let mut gaps: Vec<f64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    gaps.sort_by(f64::total_cmp);
    let gap = gaps[gaps.len() / 2];
    let off = |step_s: &f64| (step_s - gap).abs();
    let step_s = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0]
        .into_iter()
        .min_by(|a, b| off(a).total_cmp(&off(b)));
    let step_s = step_s.unwrap_or(60.0);
    let mut rows: Vec<Row> = Vec::new();
    for (time, [cpu, memory, received, written]) in points {
        let row = ((time - first) / step_s).round_ties_even() as usize;
        let filler = rows.last().copied().unwrap_or_default();
        rows.resize(row.max(rows.len().saturating_sub(1)), filler);
        rows.truncate(row);
        rows.push([cpu, memory, received, 0.0, 0.0, written, f32::NAN]);
    }
    Ok((step_s as u32, rows))
}

/// Divides a column by its 99.9th percentile over the learnt part, unless it is one of shares already.
fn normalise(rows: &mut [Row], column: usize) {
    let mut known: Vec<f32> = rows[..rows.len() * 7 / 10].iter().map(|row| row[column]).collect();
    known.sort_by(f32::total_cmp);
    let high = known[((known.len() - 1) as f64 * 0.999) as usize];
    let all_shares = known.last().is_some_and(|highest| *highest <= 1.0);
    if high > 0.0 && !all_shares {
        rows.iter_mut().for_each(|row| row[column] /= high);
    }
}
