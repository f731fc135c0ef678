//! What the brain makes itself and waits to become durable: about how much memory it takes, and what goes when a store is
//! away for so long that it is too much.
//!
//! Nobody else holds it, as agents hold frames. What has a key waits once, as it is newest: savings, detectors, books, single
//! values. Of what is a record each the oldest go first, kind by kind.

use std::{collections::BTreeMap, sync::Arc};

use anomaly::Incident;
use shadow::{Command, Explanation, Forecast, Outcome, UnixMs};

use crate::store::{Batch, PlanRow, SavingRow};

/// About what a record takes besides its texts, and a part of one.
const RECORD: usize = 256;
const PART: usize = 128;

/// Records of one kind that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    /// As the metric has it.
    pub(super) kind: &'static str,
    /// How many.
    pub(super) count: usize,
}

/// Leaves out some of a kind that weigh so much, if there are; tells how many, and what they weigh.
type Leave = fn(&mut Batch, usize) -> (usize, usize);

/// In this order: first what is made anew within minutes or hours, then what only tells of the past, last what was said to
/// agents and what they answered.
const KINDS: [(&str, Leave); 9] = [
    ("workload_forecasts", |batch, much| {
        oldest(&mut batch.workload_forecasts, much, |_| of_workload())
    }),
    ("forecasts", |batch, much| {
        oldest(&mut batch.forecasts, much, |_| of_host())
    }),
    ("detectors", |batch, much| {
        of_map(
            &mut batch.detectors,
            much,
            |_, (ms, _)| *ms,
            |(_, body)| RECORD + body.len(),
        )
    }),
    ("books", |batch, much| {
        of_map(
            &mut batch.books,
            much,
            |_, (ms, _)| *ms,
            |(_, body)| RECORD + body.len(),
        )
    }),
    ("plans", |batch, much| oldest(&mut batch.plans, much, plan)),
    ("anomalies", |batch, much| {
        of_map(
            &mut batch.anomalies,
            much,
            |key, _| key.2,
            |row| RECORD + row.evidence.len(),
        )
    }),
    ("incidents", |batch, much| {
        of_map(&mut batch.incidents, much, |key, _| key.1, |(told, _)| incident(told))
    }),
    ("outcomes", |batch, much| oldest(&mut batch.outcomes, much, outcome)),
    ("commands", |batch, much| oldest(&mut batch.commands, much, command)),
];

/// About how many bytes the brain's own records in a batch have.
pub(super) fn weight(batch: &Batch) -> usize {
    let bodies = batch.detectors.values().map(|(_, body)| body);
    let bodies = bodies.chain(batch.books.values().map(|(_, body)| body));
    let anomalies = batch.anomalies.values().map(|row| RECORD + row.evidence.len());
    let meta = batch.meta.values().map(|value| PART + value.len());
    of_workload() * batch.workload_forecasts.len()
        + of_host() * batch.forecasts.len()
        + bodies.map(|body| RECORD + body.len()).sum::<usize>()
        + batch.plans.iter().map(plan).sum::<usize>()
        + anomalies.sum::<usize>()
        + batch.incidents.values().map(|(told, _)| incident(told)).sum::<usize>()
        + batch.outcomes.iter().map(outcome).sum::<usize>()
        + batch.commands.iter().map(command).sum::<usize>()
        + (PART + size_of::<SavingRow>()) * batch.savings.len()
        + PART * batch.hosts.len()
        + 2 * RECORD * batch.models.len()
        + meta.sum::<usize>()
}

/// Leaves out what is past `most` bytes, and an eighth of these besides, so that it is done seldom.
pub(super) fn bound(batch: &mut Batch, most: usize) -> Vec<Dropped> {
    let all = weight(batch);
    let mut dropped = Vec::new();
    if all <= most {
        return dropped;
    }
    let mut much = all - (most - most / 8);
    for (kind, leave) in KINDS {
        if much == 0 {
            break;
        }
        let (count, freed) = leave(batch, much);
        much = much.saturating_sub(freed);
        if count > 0 {
            dropped.push(Dropped { kind, count });
        }
    }
    dropped
}

const fn of_host() -> usize {
    size_of::<(Arc<str>, Forecast)>()
}

const fn of_workload() -> usize {
    // Its name is a text of its own.
    size_of::<(Arc<str>, String, Forecast)>() + 32
}

fn plan(row: &PlanRow) -> usize {
    RECORD + row.pool.len() + row.queue.len() + row.words.len()
}

fn command(told: &Command) -> usize {
    let texts = |why: &Explanation| PART + why.text.len() + why.rejected.len();
    let changes = told.changes.iter().map(|change| RECORD + texts(&change.explanation));
    let actions = told.actions.iter().map(|action| PART + texts(&action.explanation));
    RECORD + changes.chain(actions).sum::<usize>()
}

fn outcome(told: &Outcome) -> usize {
    RECORD + told.reason.len() + PART * (told.changes.len() + told.actions.len())
}

fn incident(told: &Incident) -> usize {
    let signals = told.signals.iter().map(|signal| PART + signal.evidence.len());
    RECORD + signals.sum::<usize>()
}

/// The first of a list.
fn oldest<T>(all: &mut Vec<T>, much: usize, weight: impl Fn(&T) -> usize) -> (usize, usize) {
    let (mut count, mut freed) = (0, 0);
    for record in &*all {
        if freed >= much {
            break;
        }
        (count, freed) = (count + 1, freed + weight(record));
    }
    all.drain(..count);
    (count, freed)
}

/// The first of a map by their time.
fn of_map<K: Ord + Clone, V>(
    all: &mut BTreeMap<K, V>,
    much: usize,
    time: impl Fn(&K, &V) -> UnixMs,
    weight: impl Fn(&V) -> usize,
) -> (usize, usize) {
    let mut by_time: Vec<_> = all.iter().map(|(key, value)| (time(key, value), key.clone())).collect();
    by_time.sort_unstable();
    let (mut count, mut freed) = (0, 0);
    for (_, key) in by_time {
        if freed >= much {
            break;
        }
        if let Some(value) = all.remove(&key) {
            (count, freed) = (count + 1, freed + weight(&value));
        }
    }
    (count, freed)
}

#[cfg(test)]
mod tests {
    use shadow::Resource;

    use super::*;
    use crate::store::AnomalyRow;

    /// A plan of each of the first `plans` minutes, and an anomaly of each.
    fn batch(plans: i64) -> Batch {
        let plan = |minute: i64| PlanRow {
            time_ms: minute * 60_000,
            words: "x".repeat(1_000),
            ..PlanRow::default()
        };
        let anomaly = |minute: i64| {
            let row = AnomalyRow {
                until_ms: minute * 60_000,
                score: 3.0,
                evidence: "x".repeat(1_000),
            };
            // By their hosts they are in another order than by their time.
            let host = Arc::from(format!("host-{}", plans - minute));
            ((host, Resource::Cpu, minute * 60_000), row)
        };
        Batch {
            plans: (0..plans).map(plan).collect(),
            anomalies: (0..plans).map(anomaly).collect(),
            ..Batch::default()
        }
    }

    #[test]
    fn what_fits_stays() {
        let mut all = batch(100);
        let most = weight(&all);
        assert_eq!(bound(&mut all, most), []);
        assert_eq!((all.plans.len(), all.anomalies.len()), (100, 100));
    }

    #[test]
    fn the_oldest_of_the_least_dear_go_first() {
        let mut all = batch(100);
        let most = weight(&all) - 1;
        let dropped = bound(&mut all, most);
        let [Dropped { kind: "plans", count }] = dropped[..] else {
            panic!("{dropped:?}")
        };
        assert!((25..=30).contains(&count), "an eighth of all: {count}");
        assert_eq!(all.plans[0].time_ms, 60_000 * i64::try_from(count).unwrap());
        assert_eq!(all.anomalies.len(), 100);
        assert!(weight(&all) <= most - most / 8);
        // Of the next kind, once there is none of the first.
        let most = weight(&batch(20));
        let dropped = bound(&mut all, most);
        assert_eq!(
            dropped.iter().map(|told| told.kind).collect::<Vec<_>>(),
            ["plans", "anomalies"]
        );
        assert!(all.plans.is_empty() && !all.anomalies.is_empty());
        let oldest = all.anomalies.keys().map(|key| key.2).min().unwrap();
        assert_eq!(oldest, 60_000 * (100 - i64::try_from(all.anomalies.len()).unwrap()));
        assert!(weight(&all) <= most);
    }

    /// Of every kind that is not dropped by itself something stays, whatever the bound.
    #[test]
    fn what_waits_once_is_counted_and_stays() {
        let mut all = Batch::default();
        all.meta.insert("a", "x".repeat(1_000));
        all.savings.insert(("a".into(), 0, Resource::Cpu), SavingRow::default());
        let before = weight(&all);
        assert!(before > 1_000 + size_of::<SavingRow>());
        assert_eq!(bound(&mut all, 10), []);
        assert_eq!(weight(&all), before);
    }
}
