//! How fast the LSTM of the forecaster trains and forecasts, against `PyTorch` and ONNX Runtime.
//!
//! Everyone is a process of its own for each case, ours too: so each has its own memory and its own threads. In a round
//! they take turns, and each does the same number of passes twice, of which the second counts: after a pause a kernel often
//! wakes both threads on one core, and takes some tens of milliseconds to part them. Told are medians over the rounds, by the
//! clock, since work of several threads is what counts here. A training is way there, pinball loss, way back and Adam on the same batch; a
//! forecast is a batch through LSTM and linear layer. `served` is the network as it is served, with all of its training step:
//! dropout, weighed losses, clipping, `AdamW` and the average of the weights.

mod case;
mod contender;
mod python;

use std::{
    hint::black_box,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use forecast::{lstm::trial, trial::Served};

use crate::report::{Quantity, Report, Rival};
use case::{Case, Work};
use contender::Contender;

/// Until threads of the one before, which wait busily for a while, have gone to sleep.
const PAUSE: Duration = Duration::from_millis(30);

const SPEED: Quantity = Quantity {
    metric: "windows_per_s",
    unit: "1/s",
};
/// Of the fastest turn: what is left when nobody else wants the machine.
const BEST: Quantity = Quantity {
    metric: "best_windows_per_s",
    unit: "1/s",
};
const MEMORY: Quantity = Quantity {
    metric: "peak_rss",
    unit: "MB",
};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; medians of fewer than nine tell little
    #[arg(long, value_name = "COUNT", default_value_t = 15, value_parser = clap::value_parser!(u32).range(9..=999))]
    rounds: u32,
    /// Only this case; may be given more than once
    #[arg(long, value_name = "CASE", value_enum)]
    case: Vec<Case>,
    /// A Python that has torch, onnx and onnxruntime; without it one is made in the folder for temporary files
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Be the one that is measured
    #[arg(long, hide = true)]
    pub(crate) work: Option<Case>,
}

/// Runs all cases.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let python = arguments.python.clone().map_or_else(python::made, Ok)?;
    let cases = match arguments.case.as_slice() {
        [] => Case::all(),
        some => some,
    };
    let mut report = Report::new("lstm");
    for case in cases {
        measure(*case, arguments.rounds, &python, &mut report)
            .with_context(|| format!("case {} cannot be measured", case.name()))?;
    }
    Ok(report)
}

fn measure(case: Case, rounds: u32, python: &Path, report: &mut Report) -> anyhow::Result<()> {
    let mut ours = Contender::ours(case)?;
    let names = case.rivals().iter();
    let rivals = names.map(|name| Contender::rival(python, case, name));
    let mut rivals = rivals.collect::<anyhow::Result<Vec<_>>>()?;
    for _ in 0..rounds {
        for contender in rivals.iter_mut().chain([&mut ours]) {
            thread::sleep(PAUSE);
            contender.turn()?;
        }
    }
    let windows = (case.batch() * case.passes()) as f64;
    let ours_mb = ours.peak_mb()?;
    let (ours_per_s, ours_best) = (windows / ours.median_s(), windows / ours.least_s());
    for rival in rivals {
        let of_rival = |value| Rival {
            name: rival.name,
            value,
        };
        let per_s = windows / rival.median_s();
        report.push(case.name(), SPEED, ours_per_s, of_rival(per_s));
        report.push(case.name(), BEST, ours_best, of_rival(windows / rival.least_s()));
        report.push(case.name(), MEMORY, ours_mb, of_rival(rival.peak_mb()?));
    }
    Ok(())
}

/// Answers each line with the seconds that the case's passes took the second time, until there are no more lines.
pub(crate) fn work(case: Case) -> anyhow::Result<()> {
    let workload = case.workload();
    let mut pass: Box<dyn FnMut() + Send> = match case.work() {
        Work::Training if case.is_served() => {
            let mut training = trial::with_threads(1, || Served::default().training())?;
            Box::new(move || {
                black_box(training());
            })
        }
        Work::Inference if case.is_served() => {
            let inference = Served::default().inference(case.batch());
            Box::new(move || {
                black_box(inference());
            })
        }
        Work::Training => {
            let mut training = trial::with_threads(1, || trial::training(workload))?;
            Box::new(move || {
                black_box(training());
            })
        }
        Work::Inference => {
            let inference = trial::inference(workload).context("a size is 0")?;
            Box::new(move || {
                black_box(inference());
            })
        }
    };
    trial::with_threads(case.threads(), move || {
        pass();
        let mut out = io::stdout().lock();
        writeln!(out, "ready")?;
        out.flush()?;
        for line in io::stdin().lines() {
            line?;
            let mut passes = || (0..case.passes()).for_each(|_| pass());
            passes();
            let start = Instant::now();
            passes();
            writeln!(out, "{}", start.elapsed().as_secs_f64())?;
            out.flush()?;
        }
        Ok(())
    })?
}
