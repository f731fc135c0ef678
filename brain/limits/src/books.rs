//! The books of one series: what each rule would have done and cost, and the fleet's sums of them.

use serde::{Deserialize, Serialize};

use crate::{
    need::Largest,
    react::{self, SLACK},
    rule::{HELD, MULTIPLES, RULES},
};

/// What is left of a book after another interval: the half is forgotten in two days.
pub(crate) const KEEP: f64 = 0.998_797_343_250_181_2;

/// A limit that moves by no more than this has not changed.
pub(crate) const MOVED: f64 = 0.005;

/// The lowest limit.
pub(crate) const LOWEST: f64 = 0.005;

/// What each rule's limit is, and forgetting sums of what it has cost: 14 KB. Limits are below 0 before the first one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Books {
    pub(crate) limits: Vec<f64>,
    /// Whether the limit moved at the last decision.
    pub(crate) moved: Vec<bool>,
    pub(crate) slack: Vec<f64>,
    pub(crate) violations: Vec<f64>,
    pub(crate) excess: Vec<f64>,
    pub(crate) changes: Vec<f64>,
    /// Intervals that are in the sums.
    pub(crate) weight: f64,
}

/// What a rule has cost, an interval.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Book {
    /// Mean of limit less use, where that is above 0, as a share of the capacity.
    pub slack: f64,
    /// Share of samples above the limit.
    pub violations: f64,
    /// Mean of use less limit, where that is above 0, as a share of the capacity.
    pub excess: f64,
    /// Moves of the limit.
    pub changes: f64,
}

/// What an interval and rule costs: its calm part, and what violations are priced with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Costs {
    pub(crate) calm: Vec<f64>,
    pub(crate) bad: Vec<f64>,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            calm: vec![0.0; RULES],
            bad: vec![0.0; RULES],
        }
    }
}

/// What costs are made with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) change: f64,
    pub(crate) excess: f64,
}

impl Books {
    pub(crate) fn new() -> Self {
        let zeros = || vec![0.0; RULES];
        Self {
            limits: vec![-1.0; RULES],
            moved: vec![false; RULES],
            slack: zeros(),
            violations: zeros(),
            excess: zeros(),
            changes: zeros(),
            weight: 0.0,
        }
    }

    /// The limits begin anew with the next need; what they have cost stays.
    pub(crate) fn begin_anew(&mut self) {
        self.limits.fill(-1.0);
        self.moved.fill(false);
    }

    /// Moves every rule's limit to what it makes of the needs: up at once, down only when that pays, within `lowest` and
    /// `highest`.
    pub(crate) fn decide(&mut self, largest: &Largest, (lowest, highest): (f64, f64)) {
        let [now, ..] = largest;
        let mut rules = self
            .limits
            .chunks_exact_mut(HELD.len())
            .zip(self.moved.chunks_exact_mut(HELD.len()));
        for (base, now) in now.iter().enumerate() {
            for multiple in MULTIPLES {
                let Some((limits, moved)) = rules.next() else { return };
                let need = now * multiple;
                for ((limit, moved), held) in limits.iter_mut().zip(moved).zip(&HELD) {
                    let window = largest.get(held.window).and_then(|bases| bases.get(base));
                    let hold = window.copied().unwrap_or(*now) * multiple * held.room;
                    let old = *limit;
                    let wanted = if old < 0.0 {
                        hold
                    } else if need > old {
                        f64::max(need * held.room, hold)
                    } else if old - hold > held.band {
                        hold
                    } else {
                        old
                    };
                    *limit = wanted.clamp(lowest, highest);
                    *moved = old >= 0.0 && (*limit - old).abs() > MOVED;
                }
            }
        }
    }

    /// Books an interval: what each limit left over and what it did not cover. With a reaction limits rise within it.
    pub(crate) fn observe(&mut self, samples: &[f64], reacts: bool) {
        let count = samples.len() as f64;
        let sums = self.slack.iter_mut().zip(&mut self.violations);
        let sums = sums.zip(self.excess.iter_mut().zip(&mut self.changes));
        for ((limit, moved), ((slack, violations), (excess, changes))) in
            self.limits.iter_mut().zip(&self.moved).zip(sums)
        {
            let (mut spare, mut over, mut above, mut raised) = (0.0, 0.0, 0.0, 0.0);
            let mut now = *limit;
            for (place, used) in samples.iter().enumerate() {
                let left = now - used;
                spare += left.max(0.0);
                above += (-left).max(0.0);
                over += if left < -SLACK { 1.0 } else { 0.0 };
                if reacts {
                    let next = react::after(now, *used);
                    let counts = place + 1 < samples.len() && (next - now).abs() > MOVED;
                    raised += if counts { 1.0 } else { 0.0 };
                    now = next;
                }
            }
            *limit = now;
            *slack = *slack * KEEP + spare / count;
            *violations = *violations * KEEP + over / count;
            *excess = *excess * KEEP + above / count;
            *changes = *changes * KEEP + if *moved { 1.0 } else { 0.0 } + raised;
        }
        self.weight = self.weight * KEEP + 1.0;
    }

    /// Adds what every rule costs to `sums`.
    pub(crate) fn add_to(&self, sums: &mut Costs, rates: Rates) {
        let calm = self.slack.iter().zip(&self.changes);
        for (sum, (slack, changes)) in sums.calm.iter_mut().zip(calm) {
            *sum += slack + rates.change * changes;
        }
        let bad = self.violations.iter().zip(&self.excess);
        for (sum, (violations, excess)) in sums.bad.iter_mut().zip(bad) {
            *sum += violations + rates.excess * excess;
        }
    }

    /// What each rule costs, in the order of the table: own sums, with `prior`, which is of the fleet.
    pub(crate) fn costs<'a>(&'a self, prior: &'a Costs, price: f64, rates: Rates) -> impl Iterator<Item = f64> + 'a {
        let own = self
            .slack
            .iter()
            .zip(&self.changes)
            .zip(self.violations.iter().zip(&self.excess));
        let lent = prior.calm.iter().zip(&prior.bad);
        own.zip(lent)
            .map(move |(((slack, changes), (violations, excess)), (calm, bad))| {
                (slack + rates.change * changes) + price * (violations + rates.excess * excess) + (calm + price * bad)
            })
    }

    /// What the rule at `place` has cost, an interval.
    pub(crate) fn of(&self, place: usize) -> Book {
        let mean = |sums: &[f64]| sums.get(place).copied().unwrap_or(0.0) / self.weight.max(1e-9);
        Book {
            slack: mean(&self.slack),
            violations: mean(&self.violations),
            excess: mean(&self.excess),
            changes: mean(&self.changes),
        }
    }

    /// The limit of the rule at `place`.
    pub(crate) fn limit(&self, place: usize) -> f64 {
        self.limits.get(place).copied().unwrap_or(1.0)
    }
}
