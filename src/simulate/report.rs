//! The table for people, JSON, and limits for other scorers.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use forecast::Target;
use limits::Prices;
use serde::Serialize;

use super::{
    kept::{Packed, finish, packed, seconds},
    past::Past,
    score::{self, Figures},
};

/// One policy at one setting.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) resource: String,
    pub(super) policy: String,
    pub(super) setting: String,
    pub(super) hosts: usize,
    #[serde(flatten)]
    pub(super) figures: Figures,
    /// The highest violation rate of any host.
    pub(super) worst_host: f64,
    /// The prices at the end, of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prices: Option<Prices>,
    #[serde(skip)]
    pub(super) target: usize,
    /// By host.
    #[serde(skip)]
    pub(super) by_host: Vec<Figures>,
}

impl Line {
    /// Scores limits that are by host, one a row from behind the first decision on.
    pub(super) fn new(
        past: &Past,
        target: usize,
        policy: &str,
        setting: &str,
        limits: &[Vec<f64>],
        prices: Option<Prices>,
    ) -> Option<Self> {
        let by_host = score::by_host(past, target, limits);
        Some(Self {
            resource: past.targets.get(target)?.name().to_owned(),
            policy: policy.to_owned(),
            setting: setting.to_owned(),
            hosts: by_host.len(),
            figures: score::mean(&by_host),
            worst_host: by_host.iter().map(|figures| figures.violation_rate).fold(0.0, f64::max),
            prices,
            target,
            by_host,
        })
    }
}

/// Violation rates at which the best setting of each other policy is shown.
const SHOWN_AT: [f64; 2] = [0.01, 0.05];

/// All of ours, then of every other policy the setting with the least slack at some violation rates, as is known afterwards.
pub(super) fn render(lines: &[Line]) -> String {
    let mut text = format!(
        "{:<10} {:<24} {:<30} {:>7} {:>8} {:>9} {:>7} {:>8} {:>7} {:>8}\n",
        "resource", "policy", "setting", "slack", "relative", "violated", "worst", "severity", "unmet", "changes"
    );
    let mut before = None;
    for line in lines {
        if before.is_some_and(|before| before != line.target) {
            text.push('\n');
        }
        before = Some(line.target);
        if line.policy == "ours"
            || line.setting == "default"
            || line.policy == "oracle"
            || SHOWN_AT.iter().any(|most| is_best(lines, line, *most))
        {
            text.push_str(&row(line));
        }
    }
    text
}

/// Whether no other setting of its policy has less slack at `most` violations.
fn is_best(lines: &[Line], line: &Line, most: f64) -> bool {
    let of_policy = |other: &&Line| other.target == line.target && other.policy == line.policy;
    let kept = lines
        .iter()
        .filter(of_policy)
        .filter(|other| other.figures.violation_rate <= most);
    let least = kept.min_by(|a, b| a.figures.slack.total_cmp(&b.figures.slack));
    least.is_some_and(|least| least.setting == line.setting)
}

fn row(line: &Line) -> String {
    let Figures {
        slack,
        relative_slack,
        violation_rate,
        severity,
        unmet_share,
        changes_a_day,
    } = line.figures;
    format!(
        "{:<10} {:<24} {:<30} {slack:>7.4} {relative_slack:>8.3} {:>8.3}% {:>6.2}% {severity:>8.4} {:>6.2}% {changes_a_day:>8.1}\n",
        line.resource,
        line.policy,
        line.setting,
        violation_rate * 100.0,
        line.worst_host * 100.0,
        unmet_share * 100.0,
    )
}

/// Writes every line.
pub(super) fn json(file: &Path, lines: &[Line]) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    serde_json::to_writer_pretty(&mut out, &serde_json::json!({ "lines": lines }))?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// A file of limits, which takes one setting after another.
pub(super) struct Limits(Packed);

impl Limits {
    pub(super) fn create(file: &Path) -> anyhow::Result<Self> {
        let mut csv = packed(file)?;
        csv.write_record(["host", "resource", "time", "limit", "policy"])?;
        Ok(Self(csv))
    }

    /// Writes where each limit begins to hold: for the samples behind that time.
    pub(super) fn add(
        &mut self,
        past: &Past,
        target: &Target,
        policy: &str,
        limits: &[Vec<f64>],
    ) -> anyhow::Result<()> {
        let place = past.targets.iter().position(|other| other == target).unwrap_or(0);
        for (host, limits) in past.hosts.iter().zip(limits) {
            let unit = host.units.get(place).copied().unwrap_or(1.0);
            let mut before = None;
            for (at, limit) in limits.iter().enumerate() {
                if before != Some(limit) {
                    let time = seconds(past, host, host.first + at).to_string();
                    self.0
                        .write_record([&host.name, target.name(), &time, &(limit * unit).to_string(), policy])?;
                }
                before = Some(limit);
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        finish(self.0)
    }
}
