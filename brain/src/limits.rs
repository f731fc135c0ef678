//! Limits of hosts: books and prices of every resource, fed each five minutes of the brain's time.
//!
//! What an interval used are its minutes' means; what the next one needs are the network's peaks. Hosts of which no network
//! tells, whose capacity is not known, or whose books are younger than a day have no limit here, and allocation reserves for
//! their forecasts' quantile. What books have learnt is stored once an hour and read back at the start (`limits/stored.rs`).

use std::collections::BTreeMap;

use limits::{Asked, Decision, Fleet, Needs, Settings, Used};
use shadow::{Resource, UnixMs};

use crate::{
    allocate::{HostInput, peaks},
    policy::{HOST_CLASS, Policy},
};

mod stored;

pub(crate) use stored::Waiting;

const MINUTE_MS: i64 = 60_000;
const INTERVAL_MS: i64 = 300_000;

/// Intervals in a host's books from which on it is limited by them: a day, of which they have forgotten a part.
const ENOUGH: f64 = 200.0;

/// The criticality at which a violation costs what it costs the fleet; by so much more it costs twice as much.
const USUAL: f64 = 50.0;
const TWICE: f64 = 25.0;

/// Fleets by resource, and what the interval that runs has used so far.
#[derive(Debug)]
pub(crate) struct Limits {
    fleets: [Fleet; 5],
    /// By resource, then by host: a share of the capacity a minute.
    samples: [BTreeMap<String, Vec<f64>>; 5],
    minute: Option<i64>,
    interval: Option<i64>,
    /// Whose turn it is to be stored, and until when their books are written.
    due: Option<(i64, UnixMs)>,
}

impl Limits {
    /// No book was begun. Books are held to `settings`, or to the default ones where these are none.
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            fleets: Resource::ALL.map(|_| Fleet::new(settings).unwrap_or_default()),
            samples: Resource::ALL.map(|_| BTreeMap::new()),
            minute: None,
            interval: None,
            due: None,
        }
    }

    /// Time was set back: the interval that runs is left out.
    pub(crate) fn rewind(&mut self) {
        (self.minute, self.interval) = (None, None);
        self.samples.iter_mut().for_each(BTreeMap::clear);
    }

    /// What is decided for a host in the interval that runs, in the order of [`Resource::ALL`].
    pub(crate) fn standing(&self, host: &str) -> [Option<Decision>; 5] {
        self.fleets.each_ref().map(|fleet| {
            let standing = fleet.standing(host).copied();
            standing.filter(|decision| Some(decision.at) == self.interval && fleet.booked(host) >= ENOUGH)
        })
    }

    /// Takes in what was used up to `end_ms`, once a minute; where an interval ends, its books are written and the limits of
    /// the next one decided.
    pub(crate) fn row(&mut self, end_ms: UnixMs, policy: &Policy, hosts: &BTreeMap<String, HostInput>) {
        let minute = end_ms.div_euclid(MINUTE_MS);
        if self.minute.is_some_and(|before| minute <= before) {
            return;
        }
        self.minute = Some(minute);
        let interval = end_ms.div_euclid(INTERVAL_MS);
        let before = self.interval.replace(interval);
        if before != Some(interval) {
            self.due = Some((interval, end_ms));
        }
        for (resource, (fleet, samples)) in Resource::ALL
            .into_iter()
            .zip(self.fleets.iter_mut().zip(&mut self.samples))
        {
            for (name, host) in hosts {
                if let Some(share) = used(host, resource) {
                    samples.entry(name.clone()).or_default().push(share);
                }
            }
            if before == Some(interval) {
                continue;
            }
            if let Some(before) = before.filter(|before| before + 1 == interval) {
                let used = samples.iter().map(|(host, samples)| Used { host, samples });
                fleet.observe(before, &used.collect::<Vec<_>>());
            }
            fleet.retain(|host| hosts.contains_key(host));
            let (_, class) = policy.class(HOST_CLASS);
            let asked = hosts.iter().filter_map(|(name, host)| {
                let newest = samples.get(name).map_or(&[][..], Vec::as_slice);
                Some(Asked {
                    host: name,
                    needs: needs(host, resource, newest, end_ms)?,
                    lowest: class.floor.of(resource),
                    highest: class.ceiling.of(resource),
                    weight: weight(host),
                })
            });
            fleet.decide(interval, &asked.collect::<Vec<_>>());
            samples.clear();
        }
    }
}

/// What of its capacity a host uses now.
fn used(host: &HostInput, resource: Resource) -> Option<f64> {
    let (value, capacity) = (
        host.present.get(resource.index()).copied().flatten()?,
        host.capacity.of(resource)?,
    );
    let share = value * per_unit(resource, capacity);
    share.is_finite().then_some(share.max(0.0))
}

/// What a value of `resource` is multiplied with to be a share.
fn per_unit(resource: Resource, capacity: f64) -> f64 {
    match resource {
        Resource::Cpu | Resource::Memory => 1.0,
        Resource::Network | Resource::Disk | Resource::Power => 1.0 / capacity,
    }
}

/// The peaks of each hold as shares of the capacity; `None` where one is missing or too old.
fn needs(host: &HostInput, resource: Resource, newest: &[f64], end_ms: UnixMs) -> Option<Needs> {
    let by = per_unit(resource, host.capacity.of(resource)?);
    let peaks = peaks::fresh(&host.peaks, resource, end_ms)?.map(|quantiles| quantiles.map(|value| value * by));
    let last = newest
        .iter()
        .copied()
        .reduce(f64::max)
        .or_else(|| used(host, resource))?;
    Some(Needs { peaks, last }).filter(Needs::are_sound)
}

/// How many times as dear a violation is as elsewhere: by the most critical workload.
fn weight(host: &HostInput) -> f64 {
    let highest = host
        .workloads
        .values()
        .map(|workload| workload.criticality.min(100))
        .max();
    highest.map_or(1.0, |criticality| ((f64::from(criticality) - USUAL) / TWICE).exp2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::host_with_peaks as host;

    #[test]
    fn each_interval_is_booked_and_the_next_decided() {
        let policy = Policy::built_in();
        let mut limits = Limits::new(policy.limits);
        for row in 0..60 * 30 {
            let end_ms = 60_000 * row;
            let busy = 0.3 + 0.1 * f64::from(u8::from(row / 15 % 2 == 0));
            let hosts = BTreeMap::from([("a".to_owned(), host(busy, end_ms, None))]);
            limits.row(end_ms, &policy, &hosts);
            let [cpu, _, network, ..] = limits.standing("a");
            assert_eq!(cpu, None, "no peak of it is told");
            let Some(network) = network else {
                assert!(row < 60 * 25, "no decision after {row} minutes");
                continue;
            };
            assert!(row >= 60 * 20, "a decision after {row} minutes");
            assert_eq!(network.at, end_ms / 300_000);
            assert!((0.3..0.8).contains(&network.limit), "{network}");
        }
        let [.., network, _, _] = limits.standing("a");
        let book = network.unwrap().chosen.book;
        assert!(book.slack > 0.0 && book.violations < 0.05, "{book:?}");
        assert!(limits.fleets[2].booked("a") > 240.0, "an interval was left out");
        limits.rewind();
        assert_eq!(limits.standing("a"), [None; 5]);
        limits.row(0, &policy, &BTreeMap::from([("b".to_owned(), host(0.2, 0, None))]));
        let kept: Vec<&str> = limits.fleets[2].hosts().collect();
        assert_eq!(kept, ["b"], "a host that is gone has no book");
    }

    #[test]
    fn the_most_critical_workload_sets_what_a_violation_is_worth() {
        let weight_of = |criticality| weight(&host(0.1, 0, criticality));
        assert_eq!(
            [None, Some(50), Some(100), Some(0)].map(weight_of),
            [1.0, 1.0, 4.0, 0.25]
        );
    }
}
