//! The books of one series: what each rule would have done and cost, and the fleet's sums of them.

use serde::{Deserialize, Serialize};

use crate::{
    need::Largest,
    react::{self, SLACK},
    rule::{BASES, HELD, MULTIPLES, RULES},
};

/// What is left of a book after another interval: the half is forgotten in two days.
pub(crate) const KEEP: f64 = 0.998_797_343_250_181_2;

/// A limit that moves by no more than this has not changed.
pub(crate) const MOVED: f64 = 0.005;

/// The lowest limit.
pub(crate) const LOWEST: f64 = 0.005;

/// Rules that are moved and booked together: those of one base.
const TOGETHER: usize = RULES / BASES;

/// How far a limit of each of them must lie above what is needed before it is lowered.
#[allow(
    clippy::indexing_slicing,
    reason = "places are below both lengths, and it is done when this is compiled"
)]
const BANDS: [f64; TOGETHER] = {
    let (mut bands, mut place) = ([0.0; TOGETHER], 0);
    while place < TOGETHER {
        bands[place] = HELD[place % HELD.len()].band;
        place += 1;
    }
    bands
};

/// A number of each rule, in the order of the table.
pub(crate) type Each = [f64; RULES];

/// What each rule's limit is, and forgetting sums of what it has cost: 14 KB in one piece, for a fleet's books are larger than
/// any cache and every interval goes through all of them. Limits are below 0 before the first one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Books {
    pub(crate) limits: Each,
    pub(crate) sums: Sums,
    /// Whether the limit moved at the last decision.
    pub(crate) moved: [bool; RULES],
    /// Intervals that are in the sums.
    pub(crate) weight: f64,
}

/// Sums of what each rule has cost.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums {
    pub(crate) slack: Each,
    pub(crate) violations: Each,
    pub(crate) excess: Each,
    pub(crate) changes: Each,
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
        slack: [0.0; RULES],
        violations: [0.0; RULES],
        excess: [0.0; RULES],
        changes: [0.0; RULES],
    };

    /// Adds what is in other sums.
    pub(crate) fn add(&mut self, other: &Self) {
        add(&mut self.slack, &other.slack);
        add(&mut self.violations, &other.violations);
        add(&mut self.excess, &other.excess);
        add(&mut self.changes, &other.changes);
    }

    /// What they cost, times `by`.
    pub(crate) fn costs(&self, rates: Rates, by: f64) -> Costs {
        let mut costs = Costs {
            calm: self.slack,
            bad: self.violations,
        };
        for (calm, changes) in costs.calm.iter_mut().zip(&self.changes) {
            *calm = by * (*calm + rates.change * changes);
        }
        for (bad, excess) in costs.bad.iter_mut().zip(&self.excess) {
            *bad = by * (*bad + rates.excess * excess);
        }
        costs
    }
}

fn add(sums: &mut Each, other: &Each) {
    for (sum, other) in sums.iter_mut().zip(other) {
        *sum += other;
    }
}

impl Books {
    pub(crate) const NEW: Self = Self {
        limits: [-1.0; RULES],
        sums: Sums::NONE,
        moved: [false; RULES],
        weight: 0.0,
    };

    /// The limits begin anew with the next need; what they have cost stays.
    pub(crate) fn begin_anew(&mut self) {
        self.limits.fill(-1.0);
        self.moved.fill(false);
    }

    /// Moves every rule's limit to what it makes of the needs: up at once, down only when that pays, within `lowest` and
    /// `highest`.
    #[allow(
        clippy::needless_bitwise_bool,
        reason = "without a branch the rules of a block are moved at once"
    )]
    pub(crate) fn decide(&mut self, largest: &Largest, (lowest, highest): (f64, f64)) {
        let rules = blocks(&mut self.limits).zip(self.moved.as_chunks_mut::<TOGETHER>().0);
        for (base, (limits, moved)) in rules.enumerate() {
            let largest = largest.each_ref().map(|bases| bases.get(base).copied().unwrap_or(0.0));
            let [now, ..] = largest;
            let (mut needs, mut holds) = ([0.0; TOGETHER], [0.0; TOGETHER]);
            let each = needs.as_chunks_mut().0.iter_mut().zip(holds.as_chunks_mut().0);
            for (multiple, (needs, holds)) in MULTIPLES.into_iter().zip(each) {
                *needs = [now * multiple; HELD.len()];
                // Not below what is needed now with its head-room: every window holds this moment.
                *holds = HELD.map(|held| largest.get(held.window).copied().unwrap_or(now) * multiple * held.room);
            }
            let old = *limits;
            for (((limit, need), hold), band) in limits.iter_mut().zip(needs).zip(holds).zip(BANDS) {
                let stays = (need <= *limit) & (*limit - hold <= band);
                *limit = (if stays { *limit } else { hold }).max(lowest).min(highest);
            }
            for ((moved, limit), old) in moved.iter_mut().zip(limits).zip(old) {
                *moved = (old >= 0.0) & ((*limit - old).abs() > MOVED);
            }
        }
    }

    /// Books an interval: what each limit left over and what it did not cover. With a reaction limits rise within it.
    pub(crate) fn observe(&mut self, samples: &[f64], reacts: bool) {
        let a_sample = 1.0 / samples.len() as f64;
        let highest = samples.iter().copied().fold(0.0, f64::max);
        let mean = samples.iter().sum::<f64>() * a_sample;
        let sums = &mut self.sums;
        let limits = self.limits.as_chunks_mut::<TOGETHER>().0.iter_mut();
        let moved = self.moved.as_chunks::<TOGETHER>().0;
        let calm = blocks(&mut sums.slack).zip(blocks(&mut sums.changes));
        let bad = blocks(&mut sums.violations).zip(blocks(&mut sums.excess));
        for (((limits, moved), (slack, changes)), (violations, excess)) in limits.zip(moved).zip(calm).zip(bad) {
            if limits.iter().all(|limit| *limit >= highest) {
                // As it mostly is: nothing is violated, and nothing reacts.
                book(slack, &limits.map(|limit| limit - mean), 1.0);
                fade(violations);
                fade(excess);
                fade(changes);
            } else {
                let came = Block::of(limits, samples, reacts);
                book(slack, &came.spare, a_sample);
                book(violations, &came.over, a_sample);
                book(excess, &came.above, a_sample);
                book(changes, &came.raised, 1.0);
            }
            for (changes, moved) in changes.iter_mut().zip(moved) {
                *changes += f64::from(u8::from(*moved));
            }
        }
        self.weight = self.weight * KEEP + 1.0;
    }

    /// What each rule costs, in the order of the table: own sums, with `prior`, which is of the fleet.
    pub(crate) fn costs(&self, prior: &Costs, price: f64, rates: Rates) -> Each {
        let mut costs = [0.0; RULES];
        let own = self.sums.slack.iter().zip(&self.sums.changes);
        let own = own.zip(self.sums.violations.iter().zip(&self.sums.excess));
        let lent = prior.calm.iter().zip(&prior.bad);
        for ((cost, ((slack, changes), (violations, excess))), (calm, bad)) in costs.iter_mut().zip(own).zip(lent) {
            *cost =
                (slack + rates.change * changes) + price * (violations + rates.excess * excess) + (calm + price * bad);
        }
        costs
    }

    /// What the rule at `place` has cost, an interval.
    pub(crate) fn of(&self, place: usize) -> Book {
        let mean = |sums: &Each| sums.get(place).copied().unwrap_or(0.0) / self.weight.max(1e-9);
        Book {
            slack: mean(&self.sums.slack),
            violations: mean(&self.sums.violations),
            excess: mean(&self.sums.excess),
            changes: mean(&self.sums.changes),
        }
    }

    /// The limit of the rule at `place`.
    pub(crate) fn limit(&self, place: usize) -> f64 {
        self.limits.get(place).copied().unwrap_or(1.0)
    }
}

/// What an interval came to with each of a few rules.
struct Block {
    spare: [f64; TOGETHER],
    over: [f64; TOGETHER],
    above: [f64; TOGETHER],
    raised: [f64; TOGETHER],
}

impl Block {
    /// Sums over `samples`; `limits` are left as the last of them leaves them.
    fn of(limits: &mut [f64; TOGETHER], samples: &[f64], reacts: bool) -> Self {
        let mut came = Self {
            spare: [0.0; TOGETHER],
            over: [0.0; TOGETHER],
            above: [0.0; TOGETHER],
            raised: [0.0; TOGETHER],
        };
        for (place, used) in samples.iter().enumerate() {
            let sums = came.spare.iter_mut().zip(&mut came.over).zip(&mut came.above);
            for (limit, ((spare, over), above)) in limits.iter().zip(sums) {
                let left = limit - used;
                *spare += left.max(0.0);
                *above += (-left).max(0.0);
                *over += if left < -SLACK { 1.0 } else { 0.0 };
            }
            if !reacts {
                continue;
            }
            for (limit, raised) in limits.iter_mut().zip(&mut came.raised) {
                let next = react::after(*limit, *used);
                let counts = place + 1 < samples.len() && (next - *limit).abs() > MOVED;
                *raised += if counts { 1.0 } else { 0.0 };
                *limit = next;
            }
        }
        came
    }
}

fn blocks(each: &mut Each) -> impl Iterator<Item = &mut [f64; TOGETHER]> {
    each.as_chunks_mut::<TOGETHER>().0.iter_mut()
}

/// Forgets a little of the sums.
fn fade(sums: &mut [f64; TOGETHER]) {
    for sum in sums {
        *sum *= KEEP;
    }
}

/// Forgets a little of the sums and adds what came.
fn book(sums: &mut [f64; TOGETHER], came: &[f64; TOGETHER], by: f64) {
    for (sum, came) in sums.iter_mut().zip(came) {
        *sum = *sum * KEEP + came * by;
    }
}
