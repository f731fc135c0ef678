//! A fleet: one resource of many hosts, with prices in common.

use std::collections::BTreeMap;

use crate::{
    books::{Costs, Rates},
    decision::Decision,
    need::Needs,
    prices::{A_DAY, Prices},
    series::{Came, Ground, PRIOR, Series},
    settings::{Fault, Settings},
};

/// What is asked for one series at the begin of an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked<'a> {
    /// Whose.
    pub host: &'a str,
    /// What is expected, in shares of the capacity.
    pub needs: Needs,
    /// The least that a limit may be, as a share of the capacity.
    pub lowest: f64,
    /// The most, likewise.
    pub highest: f64,
    /// How many times as dear a violation is as elsewhere, above 0.
    pub weight: f64,
}

/// What one series used in an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used<'a> {
    /// Whose.
    pub host: &'a str,
    /// Its samples, oldest first, in shares of the capacity.
    pub samples: &'a [f64],
}

/// Limits of one resource of a fleet, decided anew each five minutes.
///
/// [`Fleet::decide`] at the begin of an interval and [`Fleet::observe`] at its end take turns. With its prices and the books
/// of each host read back it goes on as if nothing had been.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    settings: Settings,
    prices: Prices,
    series: BTreeMap<String, Series>,
}

impl Fleet {
    /// A fleet that knows nothing yet.
    ///
    /// # Errors
    /// The setting that is out of its range.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let settings = settings.checked()?;
        Ok(Self {
            settings,
            prices: Prices::new(&settings),
            series: BTreeMap::new(),
        })
    }

    /// Holds the fleet to something else from now on; the prices will follow.
    ///
    /// # Errors
    /// The setting that is out of its range; then nothing has changed.
    pub fn hold_to(&mut self, settings: Settings) -> Result<(), Fault> {
        self.settings = settings.checked()?;
        Ok(())
    }

    /// The books of one host as bytes, to be stored; some 20 KB.
    pub fn stored(&self, host: &str) -> Option<Vec<u8>> {
        self.series.get(host).map(Series::bytes)
    }

    /// Goes on with books of one host that were stored. False, and nothing has changed, where they are not of this version or
    /// not whole.
    pub fn restore(&mut self, host: &str, stored: &[u8]) -> bool {
        let series = Series::restored(stored);
        let known = series.is_some();
        self.series.extend(series.map(|series| (host.to_owned(), series)));
        known
    }

    /// Goes on with prices that were stored, unless they are no prices.
    pub fn restore_prices(&mut self, prices: Prices) {
        if prices.are_sound() {
            self.prices = prices;
        }
    }

    /// The hosts, in the order of their names.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }

    /// What it is held to.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The prices as they are.
    pub const fn prices(&self) -> Prices {
        self.prices
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Forgets series that `keeps` says no to.
    pub fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        self.series.retain(|host, _| keeps(host));
    }

    /// What was decided last for a host.
    pub fn standing(&self, host: &str) -> Option<&Decision> {
        self.series.get(host)?.standing.as_ref()
    }

    /// The limits of the interval number `at`, in the order in which they are asked for; each host once. `None` where the
    /// needs are no numbers and nothing was decided before. After an interval that was left out rules begin anew with what
    /// is needed now, and keep their books.
    pub fn decide(&mut self, at: i64, asked: &[Asked<'_>]) -> Vec<Option<Decision>> {
        let prior = self.prior();
        let ground = Ground {
            prior: &prior,
            rates: self.rates(),
        };
        let first = self.prices.violation;
        let decide = |asked: &Asked<'_>| {
            if !self.series.contains_key(asked.host) {
                self.series.insert(asked.host.to_owned(), Series::new(first));
            }
            let series = self.series.get_mut(asked.host)?;
            series.decide(at, asked, &ground)
        };
        asked.iter().map(decide).collect()
    }

    /// Books what was used in the interval number `at`, and moves the prices. A host that is left out has no part in it.
    pub fn observe(&mut self, at: i64, used: &[Used<'_>]) {
        let mut came: Vec<(&str, Came)> = Vec::with_capacity(used.len());
        for used in used {
            let series = self.series.get_mut(used.host);
            let came_of = series.and_then(|series| series.observe(at, used.samples, &self.settings));
            came.extend(came_of.map(|came| (used.host, came)));
        }
        if came.is_empty() {
            return;
        }
        came.sort_by_key(|(host, _)| *host);
        let count = came.len() as f64;
        let violated = came.iter().map(|(_, came)| came.violated).sum::<f64>() / count;
        let as_asked = self.settings.changes_a_day.unwrap_or(0.0) / A_DAY;
        let changes = came
            .iter()
            .map(|(_, came)| came.changes.unwrap_or(as_asked))
            .sum::<f64>()
            / count;
        for (host, came) in came {
            if let Some(series) = self.series.get_mut(host) {
                series.learn(&self.settings, came.violated, violated);
            }
        }
        self.prices.learn(&self.settings, violated, changes);
    }

    #[cfg(test)]
    pub(crate) fn of(&self, host: &str) -> &Series {
        &self.series[host]
    }

    const fn rates(&self) -> Rates {
        Rates {
            change: self.prices.change,
            excess: self.settings.excess,
        }
    }

    /// What each rule costs an interval, mean over the fleet, with the weight of [`PRIOR`] intervals.
    fn prior(&self) -> Costs {
        let (mut sums, mut weight) = (Costs::default(), 0.0);
        for series in self.series.values() {
            series.books.add_to(&mut sums, self.rates());
            weight += series.books.weight;
        }
        let by = |value: &mut f64| *value = PRIOR * (*value / f64::max(weight, 1e-9));
        sums.calm.iter_mut().chain(&mut sums.bad).for_each(by);
        sums
    }
}
