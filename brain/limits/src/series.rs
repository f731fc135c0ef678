//! One series: its books, its own price of a violation, and which rule it uses.

use crate::{
    books::{Books, LOWEST, MOVED},
    decision::{Decision, Standing},
    fleet::Asked,
    need::Recent,
    prices, react,
    rule::Rule,
    settings::Settings,
    sums::{Costs, Each, Rates, Sums, least},
};

/// Intervals that the fleet's costs count as beside a series' own, of which full books hold 416: a quarter of what is known of
/// a rule is the fleet's.
pub(crate) const PRIOR: f64 = 144.0;

/// How much cheaper another rule must be to be taken.
const STICK: f64 = 0.03;

/// Where a change costs nothing, all rules that cost at most so much more than the cheapest have a say.
const NEAR: f64 = 0.1;

/// One series, some 20 KB whatever its past.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) books: Box<Books>,
    pub(crate) recent: Box<Recent>,
    pub(crate) price: f64,
    /// By which power of e the own violations of the last hours raise the price.
    pub(crate) lately: f64,
    /// Which is in use.
    pub(crate) rule: Option<Rule>,
    pub(crate) standing: Option<Decision>,
    /// Whether the use of the standing decision's interval is still to come.
    pub(crate) open: bool,
    /// The limit of the last sample.
    pub(crate) last: Option<f64>,
    /// How many times as dear a violation is as elsewhere.
    pub(crate) weight: f64,
}

/// What came of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Came {
    /// Share of samples above the limit.
    pub(crate) violated: f64,
    /// Moves of the limit; `None` of the first interval.
    pub(crate) changes: Option<f64>,
}

/// What all series of a fleet are decided with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ground<'a> {
    /// What each rule costs an interval, mean over the fleet.
    pub(crate) prior: &'a Costs,
    pub(crate) rates: Rates,
}

impl Series {
    pub(crate) fn new(price: f64) -> Self {
        Self {
            books: Box::new(Books::NEW),
            recent: Box::default(),
            price,
            lately: 0.0,
            rule: None,
            standing: None,
            open: false,
            last: None,
            weight: 1.0,
        }
    }

    /// Moves the rules to what is needed now and decides. An interval that is not later than the last one changes nothing.
    pub(crate) fn decide(&mut self, at: i64, asked: &Asked<'_>, ground: &Ground<'_>) -> Option<Decision> {
        let before = self.standing.map(|standing| standing.at);
        if before.is_some_and(|before| at <= before) || !asked.needs.are_sound() {
            return self.standing;
        }
        if before.is_some_and(|before| at - before > 1) {
            self.recent.clear();
            self.books.begin_anew();
            self.last = None;
        }
        self.weight = asked.weight;
        let largest = self.recent.push(&asked.needs);
        let (lowest, highest) = (asked.lowest.max(LOWEST), asked.highest.max(LOWEST));
        self.books.decide(&largest, (lowest.min(highest), highest));
        let decision = self.choose(at, ground);
        self.rule = decision.map(|decision| decision.chosen.rule).or(self.rule);
        self.standing = decision;
        self.open = decision.is_some();
        decision
    }

    /// The cheapest rule, or the one in use where none is much cheaper, and its limit; where a change costs nothing, the mean of
    /// the limits of all rules that cost nearly as little. They miss at different times, and the mean moves whenever one does.
    fn choose(&self, at: i64, ground: &Ground<'_>) -> Option<Decision> {
        let price = prices::moved(self.price, self.lately) * self.weight;
        let costs = self.books.costs(ground.prior, price, ground.rates);
        let [best, second] = cheapest(&costs);
        let kept = self.rule.map(|rule| (rule.of(&costs), Some(rule)));
        let (chosen, other) = match kept {
            Some(kept) if kept.1 == best.1 => (best, second),
            Some(kept) if best.0 < kept.0 * (1.0 - STICK) => (best, second),
            Some(kept) => (kept, best),
            None => (best, second),
        };
        let standing = |(cost, rule): (f64, Option<Rule>)| {
            let rule = rule?;
            Some(Standing {
                rule,
                limit: self.books.limit(rule),
                cost: cost / (self.books.weight + PRIOR),
                book: self.books.book(rule),
            })
        };
        let chosen = standing(chosen)?;
        let (limit, averaged) = if ground.rates.change > 0.0 {
            (chosen.limit, 1)
        } else {
            self.books.mean_limit(&costs, best.0 + NEAR * best.0.abs())
        };
        Some(Decision {
            at,
            limit,
            averaged,
            chosen,
            runner_up: standing(other)?,
            price_of_violation: price,
            price_of_change: ground.rates.change,
        })
    }

    /// Books the use of the interval that was decided for, to `fleet` as well. `None` where it is another one, or none of it is
    /// known.
    pub(crate) fn observe(&mut self, at: i64, samples: &[f64], settings: &Settings, fleet: &mut Sums) -> Option<Came> {
        let decision = self.standing.filter(|standing| self.open && standing.at == at)?;
        if samples.is_empty() || !samples.iter().all(|used| used.is_finite()) {
            return None;
        }
        self.open = false;
        self.books.observe(samples, settings.reacts, fleet);
        let (mut over, mut within) = (0, 0);
        let (mut before, mut limit) = (decision.limit, decision.limit);
        for used in samples {
            let now = react::step(&mut limit, *used, settings.reacts);
            over += u32::from(*used > now + react::SLACK);
            within += u32::from((now - before).abs() > MOVED);
            before = now;
        }
        let moved = |last: f64| u32::from((last - decision.limit).abs() > MOVED);
        let changes = self.last.map(|last| f64::from(moved(last) + within));
        self.last = Some(before);
        Some(Came {
            violated: f64::from(over) / samples.len() as f64,
            changes,
        })
    }

    /// Moves the own price: by the own violations, the more the more of it is `own`, and by the fleet's. What own violations
    /// add for some hours is beside it.
    pub(crate) fn learn(&mut self, settings: &Settings, pace: f64, (own, fleet): (f64, f64)) {
        let by = settings.own * prices::off(settings, own) + (1.0 - settings.own) * pace * prices::off(settings, fleet);
        self.price = prices::moved(self.price, by);
        self.lately = prices::lately(settings, self.lately, own);
    }
}

/// The cheapest rule and the next; of equals the one that the table has first.
fn cheapest(costs: &Each) -> [(f64, Option<Rule>); 2] {
    let (mut best, mut second) = ((f64::INFINITY, None), (f64::INFINITY, None));
    for (way, costs) in costs.iter().enumerate() {
        // The least of a row says whether any of it has to be looked at.
        if least(costs) > second.0 {
            continue;
        }
        for (base, cost) in costs.iter().enumerate() {
            let found = (*cost, Rule::made(way, base));
            if found < best {
                second = best;
                best = found;
            } else if found < second {
                second = found;
            }
        }
    }
    [best, second]
}
