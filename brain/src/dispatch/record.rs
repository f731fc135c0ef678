//! What is kept of each round: a row of the table of plans, and the sums of what is saved.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use shadow::{Resource, UnixMs};

use super::{Dispatch, savings::Highs};
use crate::{
    allocate::{Account, Key, Plan, Request},
    snapshot::{PlanView, RequestView, SumView},
    store::{PlanRow, SavingRow},
};

/// How many requests, and lines of words, are kept of a plan.
const MOST: usize = 50;
/// Plans that wait for the store: a day of them.
const MAX_WAITING: usize = 1_440;

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
        let sums = sums(&plan.pool);
        self.plan = Some(Arc::new(self.plan_view(
            plan,
            hosts,
            (raised, lowered, told),
            sums.clone(),
        )));
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
            pool: json(&sums),
            queue: json(&plan.queue.iter().take(MOST).collect::<Vec<_>>()),
            words: words.get(..words.len().min(MOST)).unwrap_or_default().join("\n"),
        };
        if self.plans.len() >= MAX_WAITING {
            self.plans.remove(0);
        }
        self.plans.push(row);
    }

    fn plan_view(
        &self,
        plan: &Plan,
        hosts: usize,
        (raised, lowered, told): (u64, u64, usize),
        sums: Vec<SumView>,
    ) -> PlanView {
        PlanView {
            time_ms: plan.time_ms,
            mode: self.mode().to_owned(),
            hosts: hosts as u64,
            raised,
            lowered,
            told: told as u64,
            host_budget: self.policy.budget.host_per_minute,
            cell_budget: self.policy.budget.cell_per_minute,
            cell_budget_left: plan.changes_left,
            acting: self.policy.act.rules().to_vec(),
            queued: plan.queue.len() as u64,
            queue: plan.queue.iter().take(MOST).map(request_view).collect(),
            throttled: plan.throttled.len() as u64,
            wakes: plan.wakes.iter().map(|wake| wake.text.clone()).collect(),
            unmet: plan.unmet.iter().take(MOST).map(|unmet| unmet.text.clone()).collect(),
            sums,
        }
    }

    /// The newest plan; `None` before the first.
    pub(crate) fn plan(&self) -> Option<Arc<PlanView>> {
        self.plan.clone()
    }

    /// How commands are meant: `recommend-only`, `recommend`, `acting` or `frozen`.
    pub(crate) fn mode(&self) -> &'static str {
        if self.freeze.is_some() {
            "frozen"
        } else if self.policy.act.is_any() && self.policy.asks_always() {
            "recommend"
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

fn request_view(request: &Request) -> RequestView {
    let Key {
        host,
        workload,
        resource,
    } = request.key.clone();
    RequestView {
        host,
        workload,
        resource,
        criticality: request.criticality,
        since_ms: request.since_ms,
        deadline_ms: request.deadline_ms,
        wanted: request.wanted,
        held: request.held,
    }
}

fn sums(accounts: &[Account]) -> Vec<SumView> {
    let of = |what: &'static str, is_cell: bool| {
        let each = Resource::ALL.map(|resource| {
            let own = |account: &&Account| account.resource == resource && account.host.is_none() == is_cell;
            let mut sum = SumView {
                of: what,
                resource,
                capacity: 0.0,
                reserved: 0.0,
                reclaimable: 0.0,
                coming: 0.0,
                queued: 0,
            };
            for account in accounts.iter().filter(own) {
                sum.capacity += account.capacity;
                sum.reserved += account.reserved;
                sum.reclaimable += account.reclaimable;
                sum.coming += account.coming;
                sum.queued = sum.queued.saturating_add(account.queued);
            }
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
