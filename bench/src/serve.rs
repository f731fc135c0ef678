//! How long the forecaster takes for one step of a large fleet: five resources of each host, all horizons and peaks.
//!
//! Time is the wall clock's, for all cores work on a step. The network is trained for a few steps only, which makes it
//! wrong and not faster. Hosts share what was recorded of a few, each from a moment of its own.

use std::{ops::ControlFlow, time::Instant};

use anyhow::{Context, ensure};
use forecast::{Config, Forecaster, History, HostWindow, train};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shadow::Channel;

use crate::{
    report::{Quantity, Report, Rival},
    timing::median,
};

const STEP_MS: i64 = 10_000;
/// Different pasts, and rows of each: what a default brain hands over (4 h), and one for each host's moment and step.
const PASTS: usize = 20;
const SHIFTS: usize = 500;
/// Steps that are timed, after one in which the hosts are new.
const STEPS: usize = 5;

const SECONDS: Quantity = Quantity { metric: "s", unit: "s" };
const LIMIT: Rival = Rival {
    name: "limit",
    value: 5.0,
};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Hosts, with five resources each
    #[arg(long, default_value_t = 10_000)]
    hosts: usize,
    /// Rows that are known of each: four hours at ten seconds without it
    #[arg(long, default_value_t = 1_440)]
    rows: usize,
}

type Row = [f32; Channel::COUNT];

/// Runs the case.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let mut config = Config::for_step(10);
    config.training.max_steps = 20;
    let pasts: Vec<Vec<Row>> = (0..PASTS)
        .map(|seed| past(arguments.rows + SHIFTS + STEPS + 1, seed))
        .collect();
    let histories: Vec<History> = pasts.iter().take(2).cloned().map(history).collect();
    let artifact = train(&histories, &config, None, &|_| ControlFlow::Continue(()))?;
    let mut forecaster = Forecaster::new(config)?;
    forecaster.adopt(&artifact)?;
    let names: Vec<String> = (0..arguments.hosts).map(|host| format!("host-{host}")).collect();
    let mut times = Vec::new();
    for step in 0..=STEPS {
        let window = |(number, host): (usize, _)| {
            let first = number / PASTS % SHIFTS + step;
            let rows = pasts.get(number % PASTS)?.get(first..first + arguments.rows)?;
            Some(HostWindow { host, rows })
        };
        let windows: Option<Vec<_>> = names.iter().map(String::as_str).enumerate().map(window).collect();
        let windows = windows.context("a window is cut short")?;
        let begun = Instant::now();
        let made = forecaster.step((step as i64 + 1) * STEP_MS, &windows);
        // In the first step the hosts are new and their past is learnt from.
        times.extend((step > 0).then_some(begun.elapsed().as_secs_f64()));
        ensure!(made.len() == names.len(), "{} hosts were forecast", made.len());
    }
    let mut report = Report::new("serve");
    report.push(&format!("{}x5", arguments.hosts), SECONDS, median(times), LIMIT);
    Ok(report)
}

fn history(rows: Vec<Row>) -> History {
    History {
        host: "host".to_owned(),
        rows,
        ..History::default()
    }
}

/// A host that is now busy and now is not; all of its channels are measured.
fn past(rows: usize, seed: usize) -> Vec<Row> {
    let mut random = StdRng::seed_from_u64(seed as u64);
    let mut busy = 0.2_f32;
    let mut row = || {
        busy = (busy + 0.05 * (random.random::<f32>() - 0.5)).clamp(0.01, 0.99);
        let mut noise = |size: f32| size * random.random::<f32>();
        [
            busy + noise(0.01),
            0.3 + noise(0.01),
            1e6 * busy + noise(1e5),
            3e5 * busy + noise(1e5),
            noise(1e4),
            5e7 * busy + noise(1e6),
            80.0 + 100.0 * busy + noise(3.0),
        ]
    };
    (0..rows).map(|_| row()).collect()
}
