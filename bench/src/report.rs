//! What a benchmark found, for people and for programs.

use std::{
    fs,
    io::{self, Write},
    thread,
};

use serde::Serialize;

use crate::timing::median;

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
    /// A quarter of all rounds had a lower ratio than the first, and a quarter a higher one than the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_quartiles: Option<[f64; 2]>,
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
            ratio_quartiles: None,
        });
    }

    /// Adds what was measured in rounds, ours beside the rival's of the same round: medians, and the median and the
    /// quartiles of a round's ratio. Of a rival that took no part there is nothing to add.
    pub(crate) fn push_rounds(&mut self, case: &str, quantity: Quantity, ours: &[f64], rival: (&'static str, &[f64])) {
        let (rival_name, rivals) = rival;
        let mut ratios: Vec<f64> = ours.iter().zip(rivals).map(|(ours, rival)| ours / rival).collect();
        ratios.sort_by(f64::total_cmp);
        let quartile = |quarters: usize| ratios.get((ratios.len().saturating_sub(1) * quarters + 2) / 4).copied();
        let (Some(low), Some(ratio), Some(high)) = (quartile(1), quartile(2), quartile(3)) else {
            return;
        };
        self.rows.push(Row {
            case: case.to_owned(),
            quantity,
            ours: median(ours.to_vec()),
            rival: median(rivals.to_vec()),
            rival_name,
            ratio,
            ratio_quartiles: Some([low, high]),
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
                "{:<16} {:<26} {:<6} {:>10.4} {:>10.4} {:>7.3}  {}{}",
                row.case,
                row.quantity.metric,
                row.quantity.unit,
                row.ours,
                row.rival,
                row.ratio,
                row.rival_name,
                row.spread()
            )?;
        }
        Ok(())
    }
}

impl Row {
    /// The quartiles in words.
    fn spread(&self) -> String {
        self.ratio_quartiles
            .map_or_else(String::new, |[low, high]| format!(", {low:.3} to {high:.3}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_give_medians_and_quartiles_of_ratios() {
        let quantity = Quantity {
            metric: "cpu",
            unit: "us",
        };
        let mut report = Report::new("test");
        report.push_rounds(
            "a",
            quantity,
            &[1.0, 8.0, 3.0, 4.0, 5.0],
            ("slow", &[1.0, 2.0, 1.0, 2.0, 1.0]),
        );
        report.push_rounds("a", quantity, &[1.0], ("absent", &[]));
        let [row] = report.rows.as_slice() else {
            panic!("one rival took part: {report:?}");
        };
        assert_eq!((row.ours, row.rival, row.ratio), (4.0, 1.0, 3.0));
        assert_eq!(row.ratio_quartiles, Some([2.0, 4.0]));
        assert_eq!(row.spread(), ", 2.000 to 4.000");
    }
}
