//! Slack, violations and changes of limits, as they are told of every policy.

use serde::Serialize;

use super::past::{Host, Past};

/// The lowest limit that counts, and a move of one that is a change.
const LEAST: f64 = 0.005;

/// By how little a value may lie above its limit: less than any counter tells.
const OVER: f64 = 1e-9;

/// What limits have cost on one host, or the mean over hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Mean of limit less use, where that is above 0, over the capacity.
    pub(super) slack: f64,
    /// Share of the limit that was not used.
    pub(super) relative_slack: f64,
    /// Share of samples above the limit.
    pub(super) violation_rate: f64,
    /// Mean excess of those samples.
    pub(super) severity: f64,
    /// Share of the use that lay above the limit.
    pub(super) unmet_share: f64,
    /// Moves of the limit by more than 0.5 % of the capacity.
    pub(super) changes_a_day: f64,
}

impl Figures {
    /// Of one host. `limits`: one a row from the first scored row on.
    pub(super) fn of(values: &[f64], limits: &[f64], capacity: f64, step_s: u32) -> Self {
        let count = values.len().min(limits.len()).max(1) as f64;
        let (mut slack, mut over, mut violated, mut used, mut limit_sum) = (0.0, 0.0, 0.0_f64, 0.0, 0.0);
        let (mut changes, mut before) = (0.0, None::<f64>);
        for (value, limit) in values.iter().zip(limits) {
            let limit = limit.clamp(LEAST, capacity);
            slack += (limit - value).max(0.0);
            let above = (value - limit).max(0.0);
            over += above;
            violated += if above > OVER { 1.0 } else { 0.0 };
            used += value;
            limit_sum += limit;
            changes += before.map_or(0.0, |before| if (limit - before).abs() > LEAST { 1.0 } else { 0.0 });
            before = Some(limit);
        }
        Self {
            slack: slack / count,
            relative_slack: 1.0 - used / limit_sum.max(1e-9),
            violation_rate: violated / count,
            severity: over / violated.max(1.0),
            unmet_share: over / used.max(1e-9),
            changes_a_day: changes / (count * f64::from(step_s) / 86_400.0),
        }
    }

    fn add(&mut self, other: &Self, by: f64) {
        self.slack += other.slack * by;
        self.relative_slack += other.relative_slack * by;
        self.violation_rate += other.violation_rate * by;
        self.severity += other.severity * by;
        self.unmet_share += other.unmet_share * by;
        self.changes_a_day += other.changes_a_day * by;
    }
}

/// Figures by host; `limits` are by host, a limit a row from behind the first decision on.
pub(super) fn by_host(past: &Past, target: usize, limits: &[Vec<f64>]) -> Vec<Figures> {
    let figures = |(host, limits): (&Host, &Vec<f64>)| {
        let values = host.values.get(target)?;
        let capacity = values.iter().copied().fold(1.0, f64::max);
        let limits = limits.get(host.scored - host.first - 1..)?;
        Some(Figures::of(values.get(host.scored..)?, limits, capacity, past.step_s))
    };
    past.hosts.iter().zip(limits).filter_map(figures).collect()
}

/// The mean, in which every host weighs the same.
pub(super) fn mean(figures: &[Figures]) -> Figures {
    let mut mean = Figures::default();
    for each in figures {
        mean.add(each, 1.0 / figures.len() as f64);
    }
    mean
}
