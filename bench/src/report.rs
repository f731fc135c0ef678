//! What a benchmark found, for people and for programs.

use std::{
    fs,
    io::{self, Write},
    thread,
};

use serde::Serialize;

/// The result of one benchmark.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    name: &'static str,
    machine: String,
    rows: Vec<Row>,
}

/// One figure of ours beside one of a rival.
#[derive(Debug, Serialize)]
struct Row {
    /// What was done: `H/1s`.
    case: String,
    #[serde(flatten)]
    quantity: Quantity,
    ours: f64,
    rival: f64,
    rival_name: &'static str,
    /// `ours / rival`: below 1 we are smaller or faster.
    ratio: f64,
}

/// What is measured, and in which unit.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Quantity {
    pub(crate) metric: &'static str,
    pub(crate) unit: &'static str,
}

/// Who else does it, and how well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
}

impl Report {
    /// An empty report of this machine.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            machine: machine(),
            rows: Vec::new(),
        }
    }

    /// Adds our figure beside a rival's.
    pub(crate) fn push(&mut self, case: &str, quantity: Quantity, ours: f64, rival: Rival) {
        self.rows.push(Row {
            case: case.to_owned(),
            quantity,
            ours,
            rival: rival.value,
            rival_name: rival.name,
            // Also where both are nothing.
            ratio: if ours == rival.value { 1.0 } else { ours / rival.value },
        });
    }

    /// The report as one line of JSON.
    pub(crate) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// The report as a table.
    pub(crate) fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{} on {}", self.name, self.machine)?;
        writeln!(out)?;
        writeln!(
            out,
            "{:<16} {:<26} {:<6} {:>10} {:>10} {:>7}  rival",
            "case", "metric", "unit", "ours", "rival", "ratio"
        )?;
        for row in &self.rows {
            writeln!(
                out,
                "{:<16} {:<26} {:<6} {:>10.4} {:>10.4} {:>7.3}  {}",
                row.case, row.quantity.metric, row.quantity.unit, row.ours, row.rival, row.ratio, row.rival_name
            )?;
        }
        Ok(())
    }
}

/// Processor model and number of cores.
fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    format!("{cores} x {model}, {}", std::env::consts::OS)
}
