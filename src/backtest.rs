//! `foreshadow backtest`: what the forecaster would have said of a recorded past, and how right it would have been.
//!
//! The network learns from the first part of every host alone; then the forecaster steps through the rest row by row, with
//! online blend and calibration, through the code that serves live. What it says of a row it says from that row and those
//! before it.
//!
//! | file | what it does |
//! |---|---|
//! | `backtest/data.rs` | traces and stored rows onto one grid |
//! | `backtest/walk.rs` | training, then row by row |
//! | `backtest/replay.rs` | all of it, of the network as it is served, without its LSTM, and of hosts that it never saw |
//! | `backtest/bar.rs` | how far it is |
//! | `backtest/tally.rs` | losses by host, target, horizon and expert |
//! | `backtest/peaks.rs` | the same of peaks |
//! | `backtest/report.rs` | table, JSON, predictions |
//! | `backtest/plots.rs` | charts |

#![allow(
    clippy::cast_possible_truncation,
    reason = "places are not negative and below MAX_ROWS, and values become the forecaster's f32 by design"
)]

pub(crate) mod bar;
pub(crate) mod data;
mod peaks;
pub(crate) mod plots;
mod replay;
mod report;
mod tally;
mod walk;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use forecast::{Config, Target};
use runtime::{Span, output::print_line, process::Usage};

use self::{
    data::{Data, Source},
    replay::Replay,
};

/// What is replayed, and what is asked of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 when there is a table; 1 when the past cannot be read, is too short, or a file cannot be written; 64 for bad
usage. Hosts weigh the same in every mean; byte rates are shown over the host's own 99.9th percentile of the learnt part.")]
pub(crate) struct BacktestArgs {
    #[command(flatten)]
    source: Source,
    /// How far ahead, rising, with commas between; each a whole number of steps [default: 5m,10m,15m]
    #[arg(long, value_name = "SPAN,...", value_delimiter = ',')]
    horizons: Vec<Span>,
    /// Resources or columns that are forecast [default: every resource that is there]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    resources: Vec<Target>,
    /// Share of every host that is learnt from, 0.1 to 0.95
    #[arg(long, value_name = "SHARE", default_value_t = 0.7)]
    train_fraction: f64,
    /// Only each N-th row behind the learnt part is scored; one that does not divide an hour is best
    #[arg(long, value_name = "N", default_value_t = 1)]
    origin_stride: usize,
    /// Seed of everything random in training
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Steps of training, at most [default: seven passes over all rows]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Also replay with a network that has no LSTM, its window statistics alone, trained alike: what the LSTM is worth
    #[arg(long, conflicts_with = "without_network")]
    without_lstm: bool,
    /// Blend without any network
    #[arg(long)]
    without_network: bool,
    /// Also forecast every host by a network that never saw it: so many hosts are left out at a time
    #[arg(long, value_name = "K", conflicts_with = "without_network")]
    leave_hosts_out: Option<usize>,
    /// Write the table as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write what was published as compressed CSV, a line a host, resource, origin and horizon (docs/traces.md)
    #[arg(long, value_name = "FILE.csv.gz")]
    predictions: Option<PathBuf>,
    /// Write charts (SVG) into this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// Most moments that are learnt from: 300 MB of features.
const MAX_SAMPLES: usize = 200_000;

/// Replays and prints the table.
///
/// # Errors
/// When the past cannot be read or is too short, or a file cannot be written.
pub(crate) async fn main(arguments: BacktestArgs) -> anyhow::Result<()> {
    let share = arguments.train_fraction;
    ensure!(
        (0.1..=0.95).contains(&share),
        Usage(format!("--train-fraction {share}: must be 0.1 to 0.95"))
    );
    ensure!(
        arguments.origin_stride > 0,
        Usage("--origin-stride 0: must be at least 1".to_owned())
    );
    let (traces, step_s) = data::load(&arguments.source).await?;
    let data = data::gather(&traces, step_s, share, arguments.source.rates)?;
    drop(traces);
    if let Some(left) = arguments.leave_hosts_out {
        let hosts = data.hosts.len();
        ensure!(
            left > 0 && left < hosts,
            Usage(format!(
                "--leave-hosts-out {left}: must be at least 1, and fewer than the {hosts} hosts that there are"
            ))
        );
    }
    // It keeps cores busy for minutes; the other tasks of this process are signals.
    tokio::task::spawn_blocking(move || run(&arguments, &data)).await?
}

fn run(arguments: &BacktestArgs, data: &Data) -> anyhow::Result<()> {
    let config = config(arguments, data)?;
    introduce(data, &config)?;
    let replay = Replay {
        data,
        config: &config,
        stride: arguments.origin_stride,
    };
    let (tally, peaks) = if arguments.without_network {
        replay.without_network()?
    } else {
        replay.ordinary()?
    };
    let (table, of_peaks) = (tally.table(), peaks.table());
    print_line(&format!("\n{}{}", report::render(&table), peaks::render(&of_peaks)))?;
    let mut others = Vec::new();
    if arguments.without_lstm {
        others.push(("without_lstm", "without LSTM", replay.without_lstm()?.table()));
    }
    if let Some(left) = arguments.leave_hosts_out {
        others.push(("never_seen", "never seen", replay.left_out(left)?.table()));
    }
    for (_, title, other) in &others {
        print_line(&format!("\n{}", report::beside(&table, other, title)))?;
    }
    if let Some(file) = &arguments.json {
        let others = others.iter().map(|(name, _, other)| (*name, other.as_slice()));
        report::json(file, &table, &of_peaks, others).with_context(|| file.display().to_string())?;
    }
    if let Some(file) = &arguments.predictions {
        report::predictions(file, data, &config, &tally).with_context(|| file.display().to_string())?;
    }
    if let Some(folder) = &arguments.plots {
        plots::write(folder, data, &config, &tally).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

fn config(arguments: &BacktestArgs, data: &Data) -> anyhow::Result<Config> {
    let mut config = Config::for_step(data.step_s);
    if !arguments.horizons.is_empty() {
        let seconds = |span: &Span| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        config.horizons_s = arguments.horizons.iter().map(seconds).collect();
    }
    config.channels.clone_from(&data.channels);
    let there = |target: &Target| target.channels.iter().all(|channel| data.channels.contains(channel));
    if arguments.resources.is_empty() {
        config.targets.retain(there);
    } else {
        config.targets.clone_from(&arguments.resources);
    }
    config.normalised = data.normalised;
    config.training.seed = arguments.seed;
    config.training.held_out = 0.0;
    config.training.max_samples = MAX_SAMPLES;
    config.training.max_steps = arguments.steps.unwrap_or(100_000);
    config
        .validate()
        .map_err(|faults| Usage(format!("--horizons, --step, --resources: {faults}")))?;
    Ok(config)
}

fn introduce(data: &Data, config: &Config) -> anyhow::Result<()> {
    let rows: usize = data.hosts.iter().map(|host| host.rows.len()).sum();
    let learnt: usize = data.hosts.iter().map(|host| host.split).sum();
    let targets: Vec<&str> = config.targets.iter().map(Target::name).collect();
    let rates = if data.normalised { ", rates are shares" } else { "" };
    print_line(&format!(
        "past     {} hosts, {rows} rows of {} s, {learnt} of them learnt from{rates}; {}",
        data.hosts.len(),
        data.step_s,
        targets.join(", ")
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests;
