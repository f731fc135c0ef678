//! The books of one series: what each rule's limit is and what it has cost.

use serde::{Deserialize, Serialize};

use crate::{
    need::Largest,
    react::{self, SLACK},
    rule::{BASES, Rule, WAYS, Way},
    sums::{Costs, Each, NOTHING, Rates, Row, Sums, add, least},
};

/// What is left of a book after another interval: the half is forgotten in a day.
pub(crate) const KEEP: f64 = 0.997_596_132_883_620_3;

/// A limit that moves by no more than this has not changed.
pub(crate) const MOVED: f64 = 0.005;

/// The lowest limit.
pub(crate) const LOWEST: f64 = 0.005;

/// What an interval may count for until sums are made small again: forty half-lives, which are forty days.
const MOST_SCALE: f64 = (1_u64 << 40) as f64;

/// What each rule's limit is, and what it has cost: 14 KB in one piece.
///
/// A fleet's books are larger than any cache and every interval goes through all of them, so what stays as it is, is not
/// written, and read only where it is asked for:
/// - Sums do not fade. What comes counts for more instead, for `scale`, and they are divided by that where they are read.
/// - What a limit leaves over is not added up while it stands: it is the limit as often as there are intervals, less what these
///   have used. So a rule's slack is `rest / scale + limit x weight - used`, and its `rest`, which `sums` has in place of the
///   slack, changes where the limit moves or is violated alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Books {
    /// Intervals that were booked, faded.
    pub(crate) weight: f64,
    /// Their mean uses summed up, faded.
    used: f64,
    /// What the newest of them counts for in `sums`.
    scale: f64,
    /// Whether the limit moved at the last decision.
    moved: [[bool; BASES]; WAYS.len()],
    /// 0 before the first decision.
    limits: Each,
    sums: Sums,
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

impl Books {
    pub(crate) const NEW: Self = Self {
        weight: 0.0,
        used: 0.0,
        scale: 1.0,
        moved: [[false; BASES]; WAYS.len()],
        limits: NOTHING,
        sums: Sums::NONE,
    };

    /// Books without limits that have cost `sums` in so many intervals.
    pub(crate) const fn of(weight: f64, sums: Sums) -> Self {
        Self {
            weight,
            sums,
            ..Self::NEW
        }
    }

    /// The limits begin anew with the next need; what they have cost stays.
    pub(crate) fn begin_anew(&mut self) {
        let worth = self.weight * self.scale;
        for (rests, limits) in self.sums.slack.iter_mut().zip(&self.limits) {
            add(rests, limits, worth);
        }
        self.limits = NOTHING;
        self.moved = Self::NEW.moved;
    }

    /// Moves every rule's limit to what it makes of the needs: up at once, down only when that pays, within the lowest and the
    /// highest of `bounds`.
    pub(crate) fn decide(&mut self, largest: &Largest, bounds: (f64, f64)) {
        let worth = self.weight * self.scale;
        let rules = self.limits.iter_mut().zip(&mut self.sums.slack);
        for (way, ((limits, rests), moved)) in WAYS.iter().zip(rules.zip(&mut self.moved)) {
            let new = next(limits, way, largest, bounds);
            *moved = [false; BASES];
            if any(new.iter().zip(&*limits).map(|(new, old)| new != old)) {
                for (((old, new), rest), moved) in limits.iter_mut().zip(new).zip(rests).zip(moved) {
                    *moved = (*old > 0.0) & ((new - *old).abs() > MOVED);
                    *rest += (*old - new) * worth;
                    *old = new;
                }
            }
        }
    }

    /// Books an interval: what each limit left over and what it did not cover. With a reaction limits rise within it. What is
    /// booked is added to `fleet` as well, whose sums fade.
    pub(crate) fn observe(&mut self, samples: &[f64], reacts: bool, fleet: &mut Sums) {
        let highest = samples.iter().copied().fold(0.0, f64::max);
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        let faded = self.weight * KEEP;
        self.weight = faded + 1.0;
        self.used = self.used * KEEP + mean;
        self.scale /= KEEP;
        if self.scale > MOST_SCALE {
            self.sums.times(1.0 / self.scale);
            self.scale = 1.0;
        }
        let rules = self.limits.iter_mut().zip(&self.moved);
        for ((limits, moved), (own, fleet)) in rules.zip(self.sums.ways_mut().zip(fleet.ways_mut())) {
            // Of most ways no rule is violated, and nothing reacts.
            let lowest = least(limits);
            if lowest < highest {
                let missed = Missed::by(limits, samples, reacts, lowest);
                add(own.violations, &missed.over, self.scale);
                add(own.excess, &missed.above, self.scale);
                add(own.changes, &missed.raised, self.scale);
                add(own.slack, &missed.spare, self.scale);
                add(own.slack, &missed.rise, -self.scale * faded);
                add(fleet.violations, &missed.over, 1.0);
                add(fleet.excess, &missed.above, 1.0);
                add(fleet.changes, &missed.raised, 1.0);
                add(fleet.slack, &missed.spare, 1.0);
            }
            for (slack, limit) in fleet.slack.iter_mut().zip(limits) {
                *slack += *limit - mean;
            }
            if any(moved.iter().copied()) {
                for ((own, fleet), moved) in own.changes.iter_mut().zip(fleet.changes).zip(moved) {
                    let moved = f64::from(u8::from(*moved));
                    *own += self.scale * moved;
                    *fleet += moved;
                }
            }
        }
    }

    /// What each rule costs: own sums, with `prior`, which is of the fleet.
    pub(crate) fn costs(&self, prior: &Costs, price: f64, rates: Rates) -> Each {
        let (mut costs, by) = (NOTHING, 1.0 / self.scale);
        let own = self.limits.iter().zip(&self.sums.slack).zip(&self.sums.changes);
        let own = own.zip(&self.sums.violations).zip(&self.sums.excess);
        let lent = prior.calm.iter().zip(&prior.bad);
        for (costs, (((((limits, rests), changes), violations), excess), (calm, bad))) in
            costs.iter_mut().zip(own.zip(lent))
        {
            let each = costs.iter_mut().zip(limits).zip(rests).zip(changes).zip(violations);
            for (((((cost, limit), rest), changes), violations), (calm, bad)) in each.zip(calm.iter().zip(bad)) {
                let own = (rest + rates.change * changes) + price * violations;
                *cost = (limit * self.weight - self.used) + by * own + (calm + price * bad);
            }
            // Where nothing is paid for it, it is not even looked at.
            if rates.excess > 0.0 {
                add(costs, excess, by * price * rates.excess);
            }
        }
        costs
    }

    /// What the rules have cost, summed up and faded.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = self.sums.clone();
        sums.times(1.0 / self.scale);
        for (slack, limit) in sums.slack.as_flattened_mut().iter_mut().zip(self.limits.as_flattened()) {
            // Rounding may leave a little less than nothing.
            *slack = (*slack + limit * self.weight - self.used).max(0.0);
        }
        sums
    }

    /// What a rule has cost, an interval.
    pub(crate) fn book(&self, rule: Rule) -> Book {
        let weight = self.weight.max(1e-9);
        let mean = |sums: &Each| rule.of(sums) / self.scale / weight;
        Book {
            slack: (mean(&self.sums.slack) + (self.limit(rule) * self.weight - self.used) / weight).max(0.0),
            violations: mean(&self.sums.violations),
            excess: mean(&self.sums.excess),
            changes: mean(&self.sums.changes),
        }
    }

    /// Mean of the limits of all rules that cost at most `most`, and how many they are.
    pub(crate) fn mean_limit(&self, costs: &Each, most: f64) -> (f64, u16) {
        let rules = costs.as_flattened().iter().zip(self.limits.as_flattened());
        let (sum, of) = rules
            .filter(|(cost, _)| **cost <= most)
            .fold((0.0, 0), |(sum, of), (_, limit)| (sum + limit, of + 1));
        (sum / f64::from(of), of)
    }

    /// The limit of a rule.
    pub(crate) fn limit(&self, rule: Rule) -> f64 {
        rule.of(&self.limits)
    }
}

/// What `limits` are moved to.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without a branch the rules of a row are moved at once"
)]
fn next(limits: &Row, way: &Way, largest: &Largest, (lowest, highest): (f64, f64)) -> Row {
    let [now, ..] = largest;
    let within = largest.get(way.window).unwrap_or(now);
    let mut new = *limits;
    for ((limit, now), within) in new.iter_mut().zip(now).zip(within) {
        let need = now * way.multiple + way.added;
        // Not below what is needed now with its head-room: every window holds this moment.
        let hold = (within * way.multiple + way.added) * way.room;
        let stays = (need <= *limit) & (*limit - hold <= way.band);
        let limit_ = if stays { *limit } else { hold };
        let limit_ = if limit_ < lowest { lowest } else { limit_ };
        *limit = if limit_ > highest { highest } else { limit_ };
    }
    new
}

/// Whether one of them is true, without a branch at each.
fn any(each: impl Iterator<Item = bool>) -> bool {
    each.fold(false, |any, is| any | is)
}

/// What an interval came to with rules some of which did not cover it.
struct Missed {
    /// Share of samples above the limit.
    over: Row,
    /// Mean of use less limit, where that is above 0.
    above: Row,
    /// What was left over beyond the last limit less the mean use.
    spare: Row,
    /// How often a reaction has moved the limit within the interval.
    raised: Row,
    /// By how much in all.
    rise: Row,
}

impl Missed {
    /// By `limits`, the least of which is `lowest`; they are left as the last of `samples` leaves them.
    fn by(limits: &mut Row, samples: &[f64], reacts: bool, lowest: f64) -> Self {
        let mut missed = Self {
            over: [0.0; BASES],
            above: [0.0; BASES],
            spare: [0.0; BASES],
            raised: [0.0; BASES],
            rise: [0.0; BASES],
        };
        let a_sample = 1.0 / samples.len() as f64;
        for (place, used) in samples.iter().enumerate().filter(|(_, used)| **used > lowest) {
            for ((limit, over), above) in limits.iter().zip(&mut missed.over).zip(&mut missed.above) {
                let lacks = used - limit;
                *above += a_sample * if lacks > 0.0 { lacks } else { 0.0 };
                *over += if lacks > SLACK { a_sample } else { 0.0 };
            }
            if reacts {
                missed.react(limits, *used, (place + 1, samples.len()));
            }
        }
        for (spare, above) in missed.spare.iter_mut().zip(&missed.above) {
            *spare += above;
        }
        missed
    }

    /// Raises limits by a reaction to the sample that is the `count`-th of `all`.
    fn react(&mut self, limits: &mut Row, used: f64, (count, all): (usize, usize)) {
        let came = count as f64 / all as f64;
        let each = self.spare.iter_mut().zip(&mut self.raised).zip(&mut self.rise);
        for (limit, ((spare, raised), rise)) in limits.iter_mut().zip(each) {
            let next = react::after(*limit, used);
            let by = next - *limit;
            *raised += if count < all && by > MOVED { 1.0 } else { 0.0 };
            // So far the last limit did not stand yet.
            *spare -= by * came;
            *rise += by;
            *limit = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{need::Recent, tests::Numbers};

    /// Slack, violations, excess and changes of a rule, booked one by one, and its limit.
    #[derive(Default)]
    struct Plain {
        limit: f64,
        sums: [f64; 4],
    }

    impl Plain {
        fn book(&mut self, decided: f64, samples: &[f64], reacts: bool) {
            let (path, after) = react::path(decided, samples, reacts);
            let is_move = |(one, other): (f64, f64)| f64::from(u8::from((other - one).abs() > MOVED));
            let began = self.limit > 0.0;
            let mut came = [0.0, 0.0, 0.0, if began { is_move((self.limit, decided)) } else { 0.0 }];
            for (limit, used) in path.iter().zip(samples) {
                came[0] += (limit - used).max(0.0) / samples.len() as f64;
                came[1] += f64::from(u8::from(used - limit > SLACK)) / samples.len() as f64;
                came[2] += (used - limit).max(0.0) / samples.len() as f64;
            }
            came[3] += path.windows(2).map(|pair| is_move((pair[0], pair[1]))).sum::<f64>();
            for (sum, came) in self.sums.iter_mut().zip(came) {
                *sum = *sum * KEEP + came;
            }
            self.limit = after;
        }
    }

    #[test]
    fn a_mean_is_that_of_the_rules_which_cost_little_enough() {
        let (mut books, mut numbers) = (Box::new(Books::NEW), Numbers(3));
        let needs = crate::Needs {
            peaks: std::array::from_fn(|_| std::array::from_fn(|_| 0.5 * numbers.next())),
            last: 0.1,
        };
        books.decide(&Recent::default().push(&needs), (LOWEST, 1.0));
        let mut costs = NOTHING;
        costs.as_flattened_mut().fill(1.2);
        let cheap = [0, 77, 200].map(|place| Rule::at(place).unwrap());
        for (rule, cost) in cheap.into_iter().zip([1.0, 1.05, 1.1]) {
            *rule.of_mut(&mut costs).unwrap() = cost;
        }
        let limits = cheap.map(|rule| books.limit(rule));
        assert!(limits[0] != limits[1] && limits[1] != limits[2]);
        assert_eq!(books.mean_limit(&costs, 1.1), (limits.iter().sum::<f64>() / 3.0, 3));
        assert_eq!(books.mean_limit(&costs, 1.0), (limits[0], 1));
    }

    #[test]
    fn what_is_not_written_is_as_if_it_were() {
        for reacts in [false, true] {
            let (mut numbers, mut books, mut recent) = (Numbers(1), Box::new(Books::NEW), Recent::default());
            // Sums are made small again on the way.
            books.scale = 0.9 * MOST_SCALE;
            let mut plain: Vec<Plain> = Rule::all().map(|_| Plain::default()).collect();
            let mut fleet = Sums::NONE;
            for interval in 0..400 {
                if interval == 300 {
                    books.begin_anew();
                    recent.clear();
                    for plain in &mut plain {
                        plain.limit = 0.0;
                    }
                }
                let level = 0.2 + 0.3 * numbers.next();
                let needs = crate::Needs {
                    peaks: std::array::from_fn(|_| std::array::from_fn(|_| level + 0.1 * numbers.next())),
                    last: level,
                };
                let samples = [(); 5].map(|()| level + 0.1 * numbers.next());
                books.decide(&recent.push(&needs), (LOWEST, 0.45));
                for (plain, rule) in plain.iter_mut().zip(Rule::all()) {
                    plain.book(books.limit(rule), &samples, reacts);
                }
                fleet.times(KEEP);
                books.observe(&samples, reacts, &mut fleet);
            }
            assert!(books.scale < MOST_SCALE / 1e6, "sums were not made small");
            let sums = books.sums();
            for (plain, rule) in plain.iter().zip(Rule::all()) {
                assert!((books.limit(rule) - plain.limit).abs() < 1e-12, "{rule}");
                for ((found, fleet), expected) in sums.all().into_iter().zip(fleet.all()).zip(plain.sums) {
                    for found in [rule.of(found), rule.of(fleet)] {
                        let off = (found - expected).abs();
                        assert!(off < 1e-10 * (1.0 + expected), "{rule}: {found} is not {expected}");
                    }
                }
            }
        }
    }
}
