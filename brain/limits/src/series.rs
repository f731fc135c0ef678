//! One series: its books, its own price of a violation, and which rule it uses.

use crate::{
    books::{Books, Costs, LOWEST, MOVED, Rates},
    decision::{Decision, Standing},
    fleet::Asked,
    need::Recent,
    prices, react,
    rule::Rule,
    settings::Settings,
};

/// Intervals that the fleet's costs count as beside a series' own.
pub(crate) const PRIOR: f64 = 288.0;

/// How much cheaper another rule must be to be taken.
const STICK: f64 = 0.03;

/// One series, some 20 KB whatever its past.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) books: Box<Books>,
    pub(crate) recent: Recent,
    pub(crate) price: f64,
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
            recent: Recent::default(),
            price,
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
        self.recent.push(&asked.needs);
        let bounds = (asked.lowest.max(LOWEST), asked.highest.max(LOWEST));
        self.books
            .decide(self.recent.largest(), (bounds.0.min(bounds.1), bounds.1));
        let decision = self.choose(at, ground);
        self.rule = decision.map(|decision| decision.chosen.rule).or(self.rule);
        self.standing = decision;
        self.open = decision.is_some();
        decision
    }

    /// The cheapest rule, or the one in use where none is much cheaper.
    fn choose(&self, at: i64, ground: &Ground<'_>) -> Option<Decision> {
        let price = self.price * self.weight;
        let used = self.rule;
        let (mut best, mut second) = ((f64::INFINITY, None), (f64::INFINITY, None));
        let costs = self.books.costs(ground.prior, price, ground.rates);
        for (place, cost) in costs.into_iter().enumerate() {
            if cost < best.0 {
                second = best;
                best = (cost, Rule::at(place));
            } else if cost < second.0 {
                second = (cost, Rule::at(place));
            }
        }
        let kept = used.and_then(|rule| Some((*costs.get(rule.place())?, Some(rule))));
        let (chosen, other) = match kept {
            Some(kept) if kept.1 == best.1 => (best, second),
            Some(kept) if best.0 < kept.0 * (1.0 - STICK) => (best, if second.1.is_some() { second } else { kept }),
            Some(kept) => (kept, best),
            None => (best, second),
        };
        let standing = |(cost, rule): (f64, Option<Rule>)| {
            let rule = rule?;
            Some(Standing {
                rule,
                limit: self.books.limit(rule.place()),
                cost: cost / (self.books.weight + PRIOR),
                book: self.books.of(rule.place()),
            })
        };
        let chosen = standing(chosen)?;
        Some(Decision {
            at,
            limit: chosen.limit,
            chosen,
            runner_up: standing(other)?,
            price_of_violation: price,
            price_of_change: ground.rates.change,
        })
    }

    /// Books the use of the interval that was decided for. `None` where it is another one, or none of it is known.
    pub(crate) fn observe(&mut self, at: i64, samples: &[f64], settings: &Settings) -> Option<Came> {
        let decision = self.standing.filter(|standing| self.open && standing.at == at)?;
        if samples.is_empty() || !samples.iter().all(|used| used.is_finite()) {
            return None;
        }
        self.open = false;
        let (path, _) = react::path(decision.limit, samples, settings.reacts);
        self.books.observe(samples, settings.reacts);
        let over = path
            .iter()
            .zip(samples)
            .filter(|(limit, used)| **used > **limit + react::SLACK);
        let violated = over.count() as f64 / samples.len() as f64;
        let move_ = |(one, other): (&f64, &f64)| if (one - other).abs() > MOVED { 1.0 } else { 0.0 };
        let within: f64 = path.iter().zip(path.iter().skip(1)).map(move_).sum();
        let changes = self.last.map(|last| move_((&last, &decision.limit)) + within);
        self.last = path.last().copied();
        Some(Came { violated, changes })
    }

    /// Moves the own price: by the own violations, the more the more of it is `own`, and by the fleet's.
    pub(crate) fn learn(&mut self, settings: &Settings, pace: f64, (own, fleet): (f64, f64)) {
        let by = settings.own * prices::off(settings, own) + (1.0 - settings.own) * pace * prices::off(settings, fleet);
        self.price = prices::moved(self.price, by);
    }
}
