//! How right the peaks were: pinball losses and coverage by target and hold, beside the peak of the same time before.

use forecast::{Config, HostForecasts, MaturedPeak, Target};
use serde::Serialize;
use shadow::PEAK_QUANTILES;

use super::data::{Data, Host};

/// Sums over the scored moments of one host.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: f64,
    pinball: [f64; 6],
    before: [f64; 6],
    covered: [f64; 6],
}

/// One target and hold, over all hosts, each of which weighs the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PeakLine {
    pub(super) target: String,
    pub(super) hold_s: u32,
    pub(super) moments: u64,
    /// At [`PEAK_QUANTILES`], over the host's high mark.
    pub(super) pinball: [f64; 6],
    /// What the peak of the same time before loses, taken for every quantile.
    pub(super) pinball_before: [f64; 6],
    /// Share of peaks at or below each quantile.
    pub(super) coverage: [f64; 6],
}

/// All that was scored of peaks.
pub(super) struct PeakTally {
    holds_s: Vec<u32>,
    targets: Vec<Target>,
    step_s: u32,
    stride: usize,
    /// By host, then by target, then by hold.
    sums: Vec<Sum>,
}

impl PeakTally {
    pub(super) fn new(data: &Data, config: &Config, stride: usize) -> Self {
        Self {
            holds_s: config.holds_s.clone(),
            targets: config.targets.clone(),
            step_s: data.step_s,
            stride,
            sums: vec![Sum::default(); data.hosts.len() * config.targets.len() * config.holds_s.len()],
        }
    }

    /// Takes in the peaks of one host whose time ended. `highs` are what 1 is of each target.
    pub(super) fn add(&mut self, index: usize, host: &Host, highs: &[f64], made: &HostForecasts) {
        for ripe in &made.matured_peaks {
            self.judge(index, host, highs, ripe);
        }
    }

    fn judge(&mut self, index: usize, host: &Host, highs: &[f64], ripe: &MaturedPeak) -> Option<()> {
        let row = usize::try_from(ripe.made_ms / 1_000 / i64::from(self.step_s)).ok()?;
        if !row.checked_sub(host.split)?.is_multiple_of(self.stride) {
            return None;
        }
        let hold = self.holds_s.iter().position(|hold_s| *hold_s == ripe.hold_s)?;
        let rows = (ripe.hold_s / self.step_s) as usize;
        let target = self.targets.get(ripe.target)?;
        let value = |row: &super::data::Row| {
            let values = target.channels.iter().filter_map(|channel| row.get(channel.index()));
            values.map(|value| f64::from(*value)).sum::<f64>()
        };
        let before = host.rows.get((row + 1).saturating_sub(rows)..=row)?;
        let before = before.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
        let high = *highs.get(ripe.target)?;
        let place = (index * self.targets.len() + ripe.target) * self.holds_s.len() + hold;
        let sum = self.sums.get_mut(place)?;
        sum.count += 1.0;
        let each = ripe.quantiles.into_iter().zip(PEAK_QUANTILES).enumerate();
        for (rank, (quantile, tau)) in each {
            let loss = |said: f64| {
                let error = (ripe.value - said) / high;
                (tau * error).max((tau - 1.0) * error)
            };
            let slots = (
                sum.pinball.get_mut(rank),
                sum.before.get_mut(rank),
                sum.covered.get_mut(rank),
            );
            if let (Some(pinball), Some(last), Some(covered)) = slots {
                *pinball += loss(quantile);
                *last += loss(before);
                *covered += if ripe.value <= quantile { 1.0 } else { 0.0 };
            }
        }
        Some(())
    }

    /// One line a target and hold; none of what no network has told.
    pub(super) fn table(&self) -> Vec<PeakLine> {
        let mut lines = Vec::new();
        let cells = self.targets.len() * self.holds_s.len();
        for cell in 0..cells {
            let sums = self.sums.iter().skip(cell).step_by(cells.max(1));
            let sums: Vec<&Sum> = sums.filter(|sum| sum.count > 0.0).collect();
            let mean = |of: fn(&Sum) -> &[f64; 6]| {
                let mut means = [0.0; 6];
                for sum in &sums {
                    for (mean, value) in means.iter_mut().zip(of(sum)) {
                        *mean += value / sum.count / sums.len() as f64;
                    }
                }
                means
            };
            let target = self.targets.get(cell / self.holds_s.len().max(1));
            let hold_s = self.holds_s.get(cell % self.holds_s.len().max(1));
            if let (Some(target), Some(hold_s), false) = (target, hold_s, sums.is_empty()) {
                lines.push(PeakLine {
                    target: target.name().to_owned(),
                    hold_s: *hold_s,
                    moments: sums.iter().map(|sum| sum.count).sum::<f64>() as u64,
                    pinball: mean(|sum| &sum.pinball),
                    pinball_before: mean(|sum| &sum.before),
                    coverage: mean(|sum| &sum.covered),
                });
            }
        }
        lines
    }
}

/// A line a target and hold, losses in 1e-4 and shares in percent; empty of none.
pub(super) fn render(lines: &[PeakLine]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let shown = |values: &[f64; 6], by: f64| values.map(|value| format!("{:>7.1}", value * by)).concat();
    let taus = shown(&PEAK_QUANTILES, 100.0);
    let head = format!(
        "\n{:<10} {:>7}  {:^42}  {:^42}  {:^42}\n{:<18}  {taus}  {taus}  {taus}\n",
        "peaks", "within", "pinball, 1e-4", "the same time before", "coverage, %", "",
    );
    let row = |line: &PeakLine| {
        format!(
            "{:<10} {:>3} min  {}  {}  {}\n",
            line.target,
            line.hold_s / 60,
            shown(&line.pinball, 1e4),
            shown(&line.pinball_before, 1e4),
            shown(&line.coverage, 100.0)
        )
    };
    let rows: Vec<String> = lines.iter().map(row).collect();
    head + &rows.concat()
}
