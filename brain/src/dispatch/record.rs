//! What is kept of each round: a row of the table of plans, and the sums of what is saved.

use std::collections::BTreeMap;

use serde::Serialize;
use shadow::{Resource, UnixMs};

use super::{Dispatch, savings::Highs};
use crate::{
    allocate::{Account, Key, Plan},
    store::{PlanRow, SavingRow},
};

/// How many requests, and lines of words, are kept of a plan.
const MOST: usize = 50;
/// Plans that wait for the store: a day of them.
const MAX_WAITING: usize = 1_440;

/// An account of the cell, or the sum of those of its hosts.
#[derive(Debug, Default, Serialize)]
struct Sum {
    /// `cell` or `hosts`.
    of: &'static str,
    resource: &'static str,
    capacity: f64,
    reserved: f64,
    reclaimable: f64,
    coming: f64,
    queued: u32,
}

impl Sum {
    fn add(&mut self, account: &Account) {
        self.capacity += account.capacity;
        self.reserved += account.reserved;
        self.reclaimable += account.reclaimable;
        self.coming += account.coming;
        self.queued = self.queued.saturating_add(account.queued);
    }
}

impl Dispatch {
    /// Notes what a plan came to.
    pub(super) fn record(&mut self, plan: &Plan, hosts: usize, told: usize) {
        let changes = || plan.changes.values().flatten();
        let (mut raised, mut lowered) = (0_u64, 0_u64);
        if self.freeze.is_none() {
            for (host, changes) in &plan.changes {
                for change in changes {
                    let key = Key::new(host, &change.workload, change.resource);
                    self.savings.changed(&key, plan.time_ms);
                }
            }
            raised = count(changes().filter(|c| c.before.is_none_or(|before| c.target > before)));
            lowered = count(changes().filter(|c| c.before.is_some_and(|before| c.target < before)));
        }
        let words = plan.wakes.iter().map(|wake| &wake.text);
        let words: Vec<&str> = words
            .chain(plan.unmet.iter().map(|unmet| &unmet.text))
            .map(String::as_str)
            .collect();
        let row = PlanRow {
            time_ms: plan.time_ms,
            mode: self.mode().to_owned(),
            hosts: hosts as u64,
            raised,
            lowered,
            told: told as u64,
            changes_left: u64::from(plan.changes_left),
            queued: plan.queue.len() as u64,
            throttled: plan.throttled.len() as u64,
            unmet: plan.unmet.len() as u64,
            wakes: plan.wakes.len() as u64,
            renewed: std::mem::take(&mut self.renewed),
            pool: json(&sums(&plan.pool)),
            queue: json(&plan.queue.iter().take(MOST).collect::<Vec<_>>()),
            words: words.get(..words.len().min(MOST)).unwrap_or_default().join("\n"),
        };
        if self.plans.len() >= MAX_WAITING {
            self.plans.remove(0);
        }
        self.plans.push(row);
    }

    /// How commands are meant: `recommend-only`, `acting` or `frozen`.
    pub(crate) fn mode(&self) -> &'static str {
        if self.freeze.is_some() {
            "frozen"
        } else if self.policy.act.is_any() {
            "acting"
        } else {
            "recommend-only"
        }
    }

    /// Plans that are to be stored.
    pub(crate) fn take_plans(&mut self) -> Vec<PlanRow> {
        std::mem::take(&mut self.plans)
    }

    /// The highest reservations of the last days: to be stored.
    pub(crate) const fn highs(&self) -> &Highs {
        self.savings.highs()
    }

    /// Goes on with those of before a restart.
    pub(crate) fn restore_highs(&mut self, highs: Highs) {
        self.savings.restore(highs, self.started_ms);
    }

    /// What was saved, every ten minutes; `now` at once.
    pub(crate) fn take_savings(
        &mut self,
        time_ms: UnixMs,
        now: bool,
    ) -> BTreeMap<(String, UnixMs, Resource), SavingRow> {
        self.savings.take(time_ms, now)
    }
}

fn count<T>(all: impl Iterator<Item = T>) -> u64 {
    all.count() as u64
}

fn sums(accounts: &[Account]) -> Vec<Sum> {
    let of = |what: &'static str, is_cell: bool| {
        let each = Resource::ALL.map(|resource| {
            let own = |account: &&Account| account.resource == resource && account.host.is_none() == is_cell;
            let mut sum = Sum {
                of: what,
                resource: resource.as_str(),
                ..Sum::default()
            };
            accounts.iter().filter(own).for_each(|account| sum.add(account));
            sum
        });
        each.into_iter().filter(|sum| sum.capacity > 0.0)
    };
    of("cell", true).chain(of("hosts", false)).collect()
}

/// What cannot be told as JSON does not exist among these.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "[]".to_owned())
}
