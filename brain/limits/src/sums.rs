//! Sums of what rules have cost, of a series or of a fleet, and what they cost at a price.

use crate::rule::{BASES, WAYS};

/// A number of each base: of rules that are moved and booked together.
pub(crate) type Row = [f64; BASES];

/// A number of each rule, by way and base.
pub(crate) type Each = [Row; WAYS.len()];

pub(crate) const NOTHING: Each = [[0.0; BASES]; WAYS.len()];

/// Sums of what each rule has cost.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums {
    pub(crate) slack: Each,
    pub(crate) violations: Each,
    pub(crate) excess: Each,
    pub(crate) changes: Each,
}

/// Those of one way's rules.
pub(crate) struct OfWay<'s> {
    pub(crate) slack: &'s mut Row,
    pub(crate) violations: &'s mut Row,
    pub(crate) excess: &'s mut Row,
    pub(crate) changes: &'s mut Row,
}

/// What an interval and rule costs: its calm part, and what violations are priced with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Costs {
    pub(crate) calm: Each,
    pub(crate) bad: Each,
}

/// What costs are made with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) change: f64,
    pub(crate) excess: f64,
}

impl Sums {
    pub(crate) const NONE: Self = Self {
        slack: NOTHING,
        violations: NOTHING,
        excess: NOTHING,
        changes: NOTHING,
    };

    /// All of them, in the order in which they are stored.
    pub(crate) const fn all(&self) -> [&Each; 4] {
        [&self.slack, &self.violations, &self.excess, &self.changes]
    }

    pub(crate) const fn all_mut(&mut self) -> [&mut Each; 4] {
        [
            &mut self.slack,
            &mut self.violations,
            &mut self.excess,
            &mut self.changes,
        ]
    }

    /// Way by way.
    pub(crate) fn ways_mut(&mut self) -> impl Iterator<Item = OfWay<'_>> {
        let calm = self.slack.iter_mut().zip(&mut self.changes);
        let all = calm.zip(self.violations.iter_mut().zip(&mut self.excess));
        all.map(|((slack, changes), (violations, excess))| OfWay {
            slack,
            violations,
            excess,
            changes,
        })
    }

    /// Adds other sums, times `by`.
    pub(crate) fn add(&mut self, other: &Self, by: f64) {
        let rows = self.all_mut().into_iter().flatten();
        for (row, other) in rows.zip(other.all().into_iter().flatten()) {
            add(row, other, by);
        }
    }

    pub(crate) fn times(&mut self, by: f64) {
        for sum in self.all_mut().into_iter().flatten().flatten() {
            *sum *= by;
        }
    }

    /// What they cost, times `by`.
    pub(crate) fn costs(&self, rates: Rates, by: f64) -> Costs {
        let Self {
            slack,
            violations,
            excess,
            changes,
        } = self;
        let mut costs = Costs {
            calm: NOTHING,
            bad: NOTHING,
        };
        let parts = [
            (&mut costs.calm, slack, changes, rates.change),
            (&mut costs.bad, violations, excess, rates.excess),
        ];
        for (costs, one, other, rate) in parts {
            for (costs, (one, other)) in costs.iter_mut().zip(one.iter().zip(other)) {
                add(costs, one, by);
                add(costs, other, by * rate);
            }
        }
        costs
    }
}

/// Adds `by` times `other`.
#[inline]
pub(crate) fn add(row: &mut Row, other: &Row, by: f64) {
    for (sum, other) in row.iter_mut().zip(other) {
        *sum += by * other;
    }
}

/// The least of them; four at a time, for each comparison waits for the one before.
#[inline]
pub(crate) fn least(row: &Row) -> f64 {
    let less = |one: f64, other: f64| if one < other { one } else { other };
    let (fours, rest) = row.as_chunks::<4>();
    let mut least = [f64::INFINITY; 4];
    for four in fours {
        for (least, number) in least.iter_mut().zip(four) {
            *least = less(*number, *least);
        }
    }
    least.iter().chain(rest).copied().fold(f64::INFINITY, less)
}
