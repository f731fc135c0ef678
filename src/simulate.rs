//! `foreshadow simulate`: what limits would have been over a recorded past, and what they would have cost.
//!
//! Each five minutes a limit is set from what is known then, by the code that serves live: walk-forward forecasts of the
//! peak, books and prices of the rules ([`limits`]). What a plan does with that afterwards (dwell, slew, budgets, other hosts)
//! is left out. Beside it, in the same run, go the policies of other systems. Everything
//! is scored on the last part of each host, which nothing has learnt from before.
//!
//! | file | what it does |
//! |---|---|
//! | `simulate/past.rs` | values, capacities and moments of decision |
//! | `simulate/said.rs` | walk-forward forecasts of the peak |
//! | `simulate/kept.rs` | the same, written and read back |
//! | `simulate/ours.rs` | our limits at one setting |
//! | `simulate/rivals.rs` | limits as other systems set them |
//! | `simulate/histogram.rs` | the histograms that some of them keep |
//! | `simulate/score.rs` | slack, violations, changes |
//! | `simulate/report.rs` | table, JSON, limits |
//! | `simulate/plots.rs` | charts |

#![allow(
    clippy::cast_possible_truncation,
    reason = "places are not negative and below MAX_ROWS, and values are the forecaster's f32 by design"
)]

mod histogram;
mod kept;
mod ours;
mod past;
mod plots;
mod report;
mod rivals;
mod said;
mod score;

use std::{path::PathBuf, str::FromStr};

use anyhow::{Context, ensure};
use clap::Args;
use forecast::Target;
use limits::Needs;
use runtime::{output::print_line, process::Usage};

use self::{past::Past, report::Line};
use crate::backtest::data::{self, Source};

/// What is replayed, and what is asked of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 when there is a table; 1 when the past cannot be read, is too short, or a file cannot be written; 64 for bad
usage. Hosts weigh the same in every mean. Usage is as it was recorded: it did not react to the limits.")]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    source: Source,
    /// The policy file whose floors, ceilings and [limits] hold, but for what is named here [default: no floors or ceilings]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Resources or columns that are limited, at most one a resource [default: every resource that is there]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    resources: Vec<Target>,
    /// Shares of samples that may lie above their limit: a run for each [default: the policy's, or 0.002,0.005,0.01,0.02,0.05,0.1]
    #[arg(long, value_name = "SHARE,...", value_delimiter = ',')]
    violations: Vec<f64>,
    /// Changes of a limit a day, mean over the hosts, or `free`: a run for each [default: the policy's, or 40,free]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    changes: Vec<Changes>,
    /// How much of its price of a violation a host makes by its own violations, 0 to 1 [default: the policy's, or 0.1]
    #[arg(long, value_name = "SHARE")]
    own: Option<f64>,
    /// How many violations an excess of the whole capacity counts for [default: the policy's, or 0]
    #[arg(long, value_name = "N")]
    excess: Option<f64>,
    /// The agent raises a limit that is reached, where samples are finer than five minutes
    #[arg(long)]
    react: bool,
    /// Share of every host from which on limits are set
    #[arg(long, value_name = "SHARE", default_value_t = 0.4)]
    from: f64,
    /// Share of every host from which on they are scored
    #[arg(long, value_name = "SHARE", default_value_t = 0.7)]
    scored_from: f64,
    /// Share of the longest host after which the network learns anew, from all that was until then
    #[arg(long, value_name = "SHARE", default_value_t = 0.15)]
    retrain: f64,
    /// Seed of everything random in training
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Steps of a training, at most [default: seven passes over all rows]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Without the network: every peak is the last one
    #[arg(long)]
    without_lstm: bool,
    /// Write every figure as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write our limits as compressed CSV: host,resource,time,limit,policy (docs/traces.md)
    #[arg(long, value_name = "FILE.csv.gz")]
    limits: Option<PathBuf>,
    /// Write the forecasts of the peak that they rest on (docs/limits.md)
    #[arg(long, value_name = "FILE.csv.gz")]
    peaks: Option<PathBuf>,
    /// Read the forecasts from such a file of the same past, instead of forecasting
    #[arg(long, value_name = "FILE.csv.gz", conflicts_with_all = ["peaks", "without_lstm", "seed", "steps"])]
    from_peaks: Option<PathBuf>,
    /// Write charts (SVG) into this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// A budget of changes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Changes(Option<f64>);

impl FromStr for Changes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "free" {
            return Ok(Self(None));
        }
        let number = text
            .parse::<f64>()
            .ok()
            .filter(|number| *number > 0.0 && number.is_finite());
        number
            .map(|number| Self(Some(number)))
            .ok_or_else(|| format!("{text}: a number above 0, or `free`"))
    }
}

/// Replays and prints the table.
///
/// # Errors
/// When the past cannot be read or is too short, or a file cannot be written.
pub(crate) async fn main(arguments: SimulateArgs) -> anyhow::Result<()> {
    let (from, scored_from) = (arguments.from, arguments.scored_from);
    ensure!(
        from > 0.0 && from < scored_from && scored_from < 1.0,
        Usage(format!(
            "--from {from} --scored-from {scored_from}: must rise between 0 and 1"
        ))
    );
    ensure!(arguments.retrain > 0.0, Usage("--retrain: must be above 0".to_owned()));
    let (traces, step_s) = data::load(&arguments.source).await?;
    // It keeps cores busy for minutes; the other tasks of this process are signals.
    tokio::task::spawn_blocking(move || {
        let past = Past::new(&traces, step_s, &arguments)?;
        drop(traces);
        run(&arguments, &past)
    })
    .await?
}

fn run(arguments: &SimulateArgs, past: &Past) -> anyhow::Result<()> {
    print_line(&format!(
        "past     {} hosts, rows of {} s, limits from {:.0} % on, scored from {:.0} % on; {}",
        past.hosts.len(),
        past.step_s,
        arguments.from * 100.0,
        arguments.scored_from * 100.0,
        past.targets.iter().map(Target::name).collect::<Vec<_>>().join(", ")
    ))?;
    for why in &past.left_out {
        print_line(&format!("left out {why}"))?;
    }
    let policy = arguments.policy.as_deref().map(ours::policy).transpose()?;
    let said = match &arguments.from_peaks {
        Some(file) => kept::read(file, past).with_context(|| file.display().to_string())?,
        None => said::walk(arguments, past)?,
    };
    if let Some(file) = &arguments.peaks {
        kept::write(file, past, &said).with_context(|| file.display().to_string())?;
    }
    let settings = ours::settings(arguments, policy.as_ref())?;
    let mut lines: Vec<Line> = Vec::new();
    let mut written = arguments.limits.as_deref().map(report::Limits::create).transpose()?;
    for (target, of) in past.targets.iter().enumerate() {
        let needs: Vec<Vec<Needs>> = (0..past.hosts.len())
            .map(|host| said.needs(past, host, target))
            .collect();
        let mut ours_of = Vec::new();
        for settings in &settings {
            let run = ours::run(past, &needs, target, settings, policy.as_ref())?;
            let name = ours::name(settings);
            if let Some(written) = &mut written {
                written.add(past, of, &name, &run.limits)?;
            }
            let line = Line::new(past, target, "ours", &name, &run.limits, Some(run.prices));
            ours_of.push((settings, run.limits, line.clone()));
            lines.extend(line);
        }
        rivals::run(past, &needs, target, &mut |policy, setting, limits| {
            lines.extend(Line::new(past, target, policy, setting, limits, None));
        });
        if let Some(folder) = &arguments.plots {
            plots::write(folder, past, target, &lines, &ours_of).with_context(|| folder.display().to_string())?;
        }
    }
    if let Some(written) = written {
        written.finish()?;
    }
    print_line(&format!("\n{}", report::render(&lines)))?;
    if let Some(file) = &arguments.json {
        report::json(file, &lines).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
