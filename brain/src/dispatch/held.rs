//! What is reserved on each host over time: a step wherever a plan has changed it, for the page. Pure.
//!
//! It begins with the brain's first plan, and is no part of what plans rest on.

use std::{collections::BTreeMap, sync::Arc};

use shadow::{Resource, UnixMs};

use crate::{allocate::Account, snapshot::HeldStep};

/// Steps that are kept of a host: 3 KB.
const MOST: usize = 128;

/// Steps by host.
#[derive(Debug, Default)]
pub(super) struct Held {
    hosts: BTreeMap<String, Arc<Vec<HeldStep>>>,
}

impl Held {
    /// Notes what accounts of hosts have come to at `time_ms`. Hosts without one are forgotten.
    pub(super) fn note(&mut self, time_ms: UnixMs, accounts: &[Account]) {
        let mut before = std::mem::take(&mut self.hosts);
        for account in accounts {
            let Some(name) = &account.host else { continue };
            let known = before.remove(name);
            let steps = self
                .hosts
                .entry(name.clone())
                .or_insert_with(|| known.unwrap_or_default());
            if last(steps, account.resource) == Some(account.reserved) {
                continue;
            }
            // Whoever still shows the older steps keeps them.
            let steps = Arc::make_mut(steps);
            if steps.len() >= MOST {
                steps.remove(0);
            }
            steps.push(HeldStep {
                time_ms,
                resource: account.resource,
                amount: account.reserved,
            });
        }
    }

    /// The steps of a host, oldest first.
    pub(super) fn of(&self, host: &str) -> Arc<Vec<HeldStep>> {
        self.hosts.get(host).cloned().unwrap_or_default()
    }

    /// Time was set back: what comes after `now_ms` never was.
    pub(super) fn rewind(&mut self, now_ms: UnixMs) {
        for steps in self.hosts.values_mut() {
            if steps.last().is_some_and(|step| step.time_ms > now_ms) {
                Arc::make_mut(steps).retain(|step| step.time_ms <= now_ms);
            }
        }
    }
}

fn last(steps: &[HeldStep], resource: Resource) -> Option<f64> {
    let of = steps.iter().rev().find(|step| step.resource == resource);
    of.map(|step| step.amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(host: &str, resource: Resource, reserved: f64) -> Account {
        Account {
            host: Some(host.to_owned()),
            resource,
            capacity: 8.0,
            reserved,
            reclaimable: 0.0,
            coming: 0.0,
            proposed: 0.0,
            queued: 0,
        }
    }

    fn told(held: &Held, host: &str) -> Vec<(UnixMs, f64)> {
        held.of(host).iter().map(|step| (step.time_ms, step.amount)).collect()
    }

    #[test]
    fn a_step_is_noted_where_a_reservation_changes() {
        let mut held = Held::default();
        let two = |cpu, memory| [account("a", Resource::Cpu, cpu), account("a", Resource::Memory, memory)];
        held.note(1, &two(1.0, 5.0));
        held.note(2, &two(1.0, 5.0));
        held.note(3, &two(2.0, 5.0));
        assert_eq!(told(&held, "a"), [(1, 1.0), (1, 5.0), (3, 2.0)]);
        held.rewind(2);
        assert_eq!(told(&held, "a"), [(1, 1.0), (1, 5.0)]);
        held.note(4, &[account("b", Resource::Cpu, 3.0)]);
        assert_eq!(
            (told(&held, "a"), told(&held, "b")),
            (vec![], vec![(4, 3.0)]),
            "a is gone"
        );
    }

    #[test]
    fn the_newest_steps_stay() {
        let mut held = Held::default();
        for time_ms in 0..300 {
            held.note(time_ms, &[account("a", Resource::Cpu, time_ms as f64)]);
        }
        let told = told(&held, "a");
        assert_eq!((told.len(), told[0].0, told[127].0), (MOST, 172, 299));
    }
}
