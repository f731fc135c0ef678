//! How many changes may still be made in this minute.

use std::collections::BTreeMap;

use shadow::UnixMs;

use crate::policy::BudgetPolicy;

/// The window of the budget, in milliseconds.
const MINUTE_MS: i64 = 60_000;

/// The changes that are left, by host and for the cell.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    policy: BudgetPolicy,
    hosts: BTreeMap<String, u32>,
    cell: u32,
}

impl Budget {
    /// The budget at `now_ms` after the changes that `changed` tells of.
    pub(super) fn new(policy: BudgetPolicy, changed: &BTreeMap<String, Vec<UnixMs>>, now_ms: UnixMs) -> Self {
        let spent = recent(changed, now_ms).into_iter();
        let hosts: BTreeMap<String, u32> = spent
            .map(|(host, times)| (host, u32::try_from(times.len()).unwrap_or(u32::MAX)))
            .collect();
        let cell = hosts.values().fold(0, |sum: u32, spent| sum.saturating_add(*spent));
        Self { policy, hosts, cell }
    }

    /// How many changes may still be made on `host`.
    pub(super) fn left(&self, host: &str) -> u32 {
        let spent = self.hosts.get(host).copied().unwrap_or(0);
        let host_left = self.policy.host_per_minute.saturating_sub(spent);
        host_left.min(self.policy.cell_per_minute.saturating_sub(self.cell))
    }

    /// How many changes may still be made in the cell.
    pub(super) const fn left_in_cell(&self) -> u32 {
        self.policy.cell_per_minute.saturating_sub(self.cell)
    }

    /// Counts a change on `host`.
    pub(super) fn spend(&mut self, host: &str) {
        let spent = self.hosts.entry(host.to_owned()).or_default();
        *spent = spent.saturating_add(1);
        self.cell = self.cell.saturating_add(1);
    }

    /// Takes back a change on `host` that was counted and not made.
    pub(super) fn refund(&mut self, host: &str) {
        if let Some(spent) = self.hosts.get_mut(host) {
            *spent = spent.saturating_sub(1);
            self.cell = self.cell.saturating_sub(1);
        }
    }
}

/// The changes of the last minute; times after `now_ms` (a clock that was set back) are forgotten.
pub(super) fn recent(changed: &BTreeMap<String, Vec<UnixMs>>, now_ms: UnixMs) -> BTreeMap<String, Vec<UnixMs>> {
    let counts = |time: &UnixMs| (0..MINUTE_MS).contains(&now_ms.saturating_sub(*time));
    let hosts = changed.iter().map(|(host, times)| {
        let times: Vec<UnixMs> = times.iter().copied().filter(counts).collect();
        (host.clone(), times)
    });
    hosts.filter(|(_, times)| !times.is_empty()).collect()
}
