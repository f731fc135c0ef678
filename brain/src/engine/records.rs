//! What the brain makes itself and waits to become durable: about how much memory it takes.
//!
//! Nobody else holds it, as agents hold frames. What has a key waits once, as it is newest: savings, detectors, books, single
//! values.

use std::sync::Arc;

use anomaly::Incident;
use shadow::{Command, Explanation, Forecast, Outcome};

use crate::{
    allocate::proposals::Proposal,
    store::{Batch, PlanRow, SavingRow},
};

/// About what a record takes besides its texts, and a part of one.
const RECORD: usize = 256;
const PART: usize = 128;

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
        + batch.proposals.values().map(proposal).sum::<usize>()
        + (PART + size_of::<SavingRow>()) * batch.savings.len()
        + PART * batch.hosts.len()
        + 2 * RECORD * batch.models.len()
        + meta.sum::<usize>()
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
    let changes = told.changes.iter().map(|change| RECORD + texts(&change.explanation));
    let actions = told.actions.iter().map(|action| PART + texts(&action.explanation));
    RECORD + changes.chain(actions).sum::<usize>()
}

fn proposal(told: &Proposal) -> usize {
    3 * RECORD + texts(&told.change.explanation) + told.reason.len()
}

const fn texts(why: &Explanation) -> usize {
    PART + why.text.len() + why.rejected.len()
}

fn outcome(told: &Outcome) -> usize {
    RECORD + told.reason.len() + PART * (told.changes.len() + told.actions.len())
}

fn incident(told: &Incident) -> usize {
    let signals = told.signals.iter().map(|signal| PART + signal.evidence.len());
    RECORD + signals.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::full_batch;

    /// Each kind of record adds to what all weigh, each text its length.
    #[test]
    fn every_kind_of_record_is_counted() {
        let full = full_batch();
        let weighs = |change: fn(&mut Batch)| {
            let mut less = full.clone();
            change(&mut less);
            weight(&full) - weight(&less)
        };
        let kinds: [fn(&mut Batch); 13] = [
            |batch| batch.workload_forecasts.clear(),
            |batch| batch.forecasts.clear(),
            |batch| batch.detectors.clear(),
            |batch| batch.books.clear(),
            |batch| batch.plans.clear(),
            |batch| batch.anomalies.clear(),
            |batch| batch.incidents.clear(),
            |batch| batch.outcomes.clear(),
            |batch| batch.commands.clear(),
            |batch| batch.proposals.clear(),
            |batch| batch.savings.clear(),
            |batch| batch.models.clear(),
            |batch| batch.meta.clear(),
        ];
        for (at, kind) in kinds.into_iter().enumerate() {
            assert!(weighs(kind) >= PART, "kind {at}");
        }
        let mut longer = full.clone();
        longer.plans[0].words.push_str(&"x".repeat(1_000));
        assert_eq!(weight(&longer) - weight(&full), 1_000);
    }
}
