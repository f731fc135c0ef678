//! A fleet: one resource of many hosts, with prices in common.

use std::{
    collections::{BTreeMap, btree_map},
    iter::Peekable,
};

use crate::{
    books::KEEP,
    decision::Decision,
    need::Needs,
    prices::{self, A_DAY, Prices},
    series::{Came, Ground, PRIOR, Series},
    settings::{Fault, Settings},
    sums::{Costs, Rates, Sums},
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
/// of each host read back it goes on as after an interval that was left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    settings: Settings,
    prices: Prices,
    series: BTreeMap<String, Series>,
    /// What all series have cost; `None` where some came or went that had books.
    summed: Option<Summed>,
}

impl Default for Fleet {
    /// Held to [`Settings::default`].
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            prices: Prices::new(&settings),
            settings,
            series: BTreeMap::new(),
            summed: None,
        }
    }
}

impl Fleet {
    /// A fleet that knows nothing yet.
    ///
    /// # Errors
    /// The setting that is out of its range.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let settings = settings.checked()?;
        Ok(Self {
            prices: Prices::new(&settings),
            settings,
            ..Self::default()
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

    /// What the books of one host have learnt, as bytes to be stored: 5.5 KB.
    pub fn stored(&self, host: &str) -> Option<Vec<u8>> {
        self.series.get(host).map(Series::bytes)
    }

    /// Goes on with books of one host that were stored: what rules have cost is known, and they begin anew with what is needed
    /// at the next decision. False, and nothing has changed, where they are not of this version or not whole.
    pub fn restore(&mut self, host: &str, stored: &[u8]) -> bool {
        let series = Series::restored(stored);
        let known = series.is_some();
        self.summed = None;
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
        let before = self.series.len();
        self.series.retain(|host, _| keeps(host));
        if self.series.len() < before {
            self.summed = None;
        }
    }

    /// How many intervals are in a host's books; older ones count less.
    pub fn booked(&self, host: &str) -> f64 {
        self.series.get(host).map_or(0.0, |series| series.books.weight)
    }

    /// What was decided last for a host.
    pub fn standing(&self, host: &str) -> Option<&Decision> {
        self.series.get(host)?.standing.as_ref()
    }

    /// The limits of the interval number `at`, in the order in which they are asked for; each host once. `None` where the
    /// needs are no numbers and nothing was decided before. After an interval that was left out rules begin anew with what
    /// is needed now, and keep their books.
    pub fn decide(&mut self, at: i64, asked: &[Asked<'_>]) -> Vec<Option<Decision>> {
        let rates = self.rates();
        let summed = self.summed.get_or_insert_with(|| Summed::of(self.series.values()));
        let prior = summed.prior(rates);
        let ground = Ground { prior: &prior, rates };
        let first = self.prices.violation;
        let mut decided = vec![None; asked.len()];
        let mut by_name: Vec<(&Asked<'_>, &mut Option<Decision>)> = asked.iter().zip(&mut decided).collect();
        by_name.sort_by_key(|(asked, _)| asked.host);
        self.begin(by_name.iter().map(|(asked, _)| asked.host), first);
        let mut series = self.series.iter_mut().peekable();
        for (asked, slot) in by_name {
            if let Some(series) = find(&mut series, asked.host) {
                *slot = series.decide(at, asked, &ground);
            }
        }
        decided
    }

    /// Books what was used in the interval number `at`, and moves the prices. A host that is left out has no part in it.
    pub fn observe(&mut self, at: i64, used: &[Used<'_>]) {
        let mut by_name: Vec<&Used<'_>> = used.iter().collect();
        by_name.sort_by_key(|used| used.host);
        let mut by_name = by_name.into_iter().peekable();
        let summed = self.summed.get_or_insert_with(|| Summed::of(self.series.values()));
        summed.fade();
        let mut came: Vec<(&mut Series, Came)> = Vec::with_capacity(used.len());
        let all = self.series.len() as f64;
        for (host, series) in &mut self.series {
            while by_name.next_if(|used| used.host < host.as_str()).is_some() {}
            let used = by_name.next_if(|used| used.host == host);
            let of_host = used.and_then(|used| series.observe(at, used.samples, &self.settings, &mut summed.sums));
            summed.weight += series.books.weight;
            if of_host.is_none() && series.books.weight > 0.0 {
                // Its books have not faded.
                summed.sums.add(&series.books.sums(), 1.0 - KEEP);
            }
            came.extend(of_host.map(|of_host| (series, of_host)));
        }
        if !came.is_empty() {
            let count = came.len() as f64;
            let violated = came.iter().map(|(_, came)| came.violated).sum::<f64>() / count;
            let as_asked = self.settings.changes_a_day.unwrap_or(0.0) / A_DAY;
            let changes = came.iter().map(|(_, came)| came.changes.unwrap_or(as_asked));
            let changes = changes.sum::<f64>() / count;
            let pace = prices::pace(summed.weight / all);
            for (series, came) in came {
                series.learn(&self.settings, pace, (came.violated, violated));
            }
            self.prices.learn(&self.settings, pace, violated, changes);
        }
    }

    /// Begins a series for each of `hosts` that has none; they are in the order of their names.
    fn begin<'a>(&mut self, hosts: impl Iterator<Item = &'a str>, violation: f64) {
        let mut known = self.series.keys().map(String::as_str).peekable();
        let is_new = |host: &&str| {
            while known.next_if(|name| name < host).is_some() {}
            known.peek() != Some(host)
        };
        let new: Vec<&str> = hosts.filter(is_new).collect();
        let new = new.into_iter().map(|host| (host.to_owned(), Series::new(violation)));
        self.series.extend(new);
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
}

/// The sums of all series. They are carried on from interval to interval: what rounding has made of them fades as they do.
#[derive(Debug, Clone, PartialEq)]
struct Summed {
    sums: Box<Sums>,
    weight: f64,
}

impl Default for Summed {
    fn default() -> Self {
        Self {
            sums: Box::new(Sums::NONE),
            weight: 0.0,
        }
    }
}

impl Summed {
    fn of<'a>(series: impl Iterator<Item = &'a Series>) -> Self {
        let mut summed = Self::default();
        for series in series {
            summed.sums.add(&series.books.sums(), 1.0);
            summed.weight += series.books.weight;
        }
        summed
    }

    /// Forgets a little, and the weight, which is summed up anew.
    fn fade(&mut self) {
        self.sums.times(KEEP);
        self.weight = 0.0;
    }

    /// What each rule costs an interval, mean over the fleet, with the weight of [`PRIOR`] intervals.
    fn prior(&self, rates: Rates) -> Costs {
        self.sums.costs(rates, PRIOR / self.weight.max(1e-9))
    }
}

/// The series of `host`, which is not before the one that was looked for last.
fn find<'b>(series: &'b mut Peekable<btree_map::IterMut<'_, String, Series>>, host: &str) -> Option<&'b mut Series> {
    while series.next_if(|(name, _)| name.as_str() < host).is_some() {}
    let (name, series) = series.peek_mut()?;
    (*name == host).then_some(&mut **series)
}
