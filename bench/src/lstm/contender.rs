//! A process that is measured: it says `ready`, and answers each line with the seconds of a turn.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, ensure};

use forecast::{
    lstm::trial::Workload,
    trial::{Served, Shape},
};

use super::{
    case::{Case, Work},
    python,
};
use crate::{process::memory_bytes, timing::median};

pub(super) struct Contender {
    pub(super) name: &'static str,
    child: Child,
    asked: ChildStdin,
    told: BufReader<ChildStdout>,
    /// Of each turn.
    seconds: Vec<f64>,
}

impl Contender {
    /// This program itself.
    pub(super) fn ours(case: Case) -> anyhow::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["lstm", "--work", case.name()]);
        Self::start("ours", &mut command)
    }

    /// The rival of this name, in Python.
    pub(super) fn rival(python: &Path, case: Case, name: &'static str) -> anyhow::Result<Self> {
        let work = match case.work() {
            Work::Training => "train",
            Work::Inference => "infer",
        };
        let mut command = Command::new(python);
        command.args(["-c", python::SCRIPT, name, work]);
        let sizes = if case.is_served() {
            command.arg("served");
            let shape = Served::default().shape();
            let Shape { hidden, looks, .. } = &shape;
            let above = [shape.dense, shape.targets, shape.features, shape.horizons, shape.holds];
            let looks = looks.iter().flat_map(|&(inputs, width)| [inputs, width]);
            let first = [case.batch(), *hidden].into_iter().chain(above);
            first.chain([shape.looks.len()]).chain(looks).collect()
        } else {
            command.arg("lstm");
            let workload = case.workload();
            let Workload {
                steps,
                input,
                hidden,
                layers,
                ..
            } = workload;
            vec![case.batch(), steps, input, hidden, layers]
        };
        let numbers = sizes.into_iter().chain([case.threads(), case.passes()]);
        command.args(numbers.map(|number| number.to_string()));
        command.env("OMP_NUM_THREADS", case.threads().to_string());
        Self::start(name, &mut command)
    }

    fn start(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("{name} does not start"))?;
        let asked = child.stdin.take().context("no input")?;
        let told = child.stdout.take().context("no output")?;
        let mut contender = Self {
            name,
            child,
            asked,
            told: BufReader::new(told),
            seconds: Vec::new(),
        };
        let line = contender.line()?;
        ensure!(line == "ready", "{name} says {line:?}");
        Ok(contender)
    }

    /// Has it do its passes once.
    pub(super) fn turn(&mut self) -> anyhow::Result<()> {
        writeln!(self.asked, "go")?;
        self.asked.flush()?;
        let line = self.line()?;
        let seconds = line.parse::<f64>();
        self.seconds
            .push(seconds.with_context(|| format!("{} says {line:?}", self.name))?);
        Ok(())
    }

    /// Of a turn, in seconds.
    pub(super) fn median_s(&self) -> f64 {
        median(self.seconds.clone())
    }

    /// Of the fastest turn, in seconds.
    pub(super) fn least_s(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The most memory that it has held, in megabytes.
    pub(super) fn peak_mb(&self) -> anyhow::Result<f64> {
        Ok(memory_bytes(self.child.id(), "VmHWM:")? / 1e6)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let length = self.told.read_line(&mut line)?;
        ensure!(length > 0, "{} has ended", self.name);
        Ok(line.trim().to_owned())
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
