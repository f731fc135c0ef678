//! What can be given: accounts that always add up, of each host and, above them, of the cell.

use std::collections::BTreeMap;

use serde::Serialize;
use shadow::Resource;

use crate::policy::CellLimits;

use super::{HostInput, state::Key, walk::Walk};

/// One account of the pool: a resource of a host, or of the cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// The host; `None` is the cell, whose accounts bound all hosts together.
    pub host: Option<String>,
    /// Of what.
    pub resource: Resource,
    /// What there is at most, in cores, bytes, bytes/s or watts.
    pub capacity: f64,
    /// What is reserved of it.
    pub reserved: f64,
    /// What of that its holders do not ask for and may be taken back from them.
    pub reclaimable: f64,
    /// What was taken back and may still be held until its agents have answered: of accounts of the cell.
    pub coming: f64,
    /// What of what is reserved is for open proposals.
    pub proposed: f64,
    /// Requests that wait for it.
    pub queued: u32,
}

impl Account {
    /// What can be given, 0 or more: `reserved + coming + free() = capacity`, unless more is reserved than there is.
    pub fn free(&self) -> f64 {
        (self.capacity - self.reserved - self.coming).max(0.0)
    }

    /// What is reserved beyond the capacity, 0 or more (a host lost cores, or a limit was tightened).
    pub fn excess(&self) -> f64 {
        (self.reserved - self.capacity).max(0.0)
    }

    /// Changes what is reserved by `amount`.
    pub(super) fn reserve(&mut self, amount: f64) {
        self.reserved = (self.reserved + amount).max(0.0);
    }
}

/// Every account of a cell.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    /// Of each host, in the order of [`Resource::ALL`].
    hosts: BTreeMap<String, [Option<Account>; 5]>,
    cell: BTreeMap<Resource, Account>,
}

impl Pool {
    /// The accounts of every resource whose capacity is known, with nothing reserved.
    pub(super) fn new(hosts: &BTreeMap<String, HostInput>, cell: &CellLimits) -> Self {
        let account = |host: Option<&str>, resource, capacity| Account {
            host: host.map(str::to_owned),
            resource,
            capacity,
            reserved: 0.0,
            reclaimable: 0.0,
            coming: 0.0,
            proposed: 0.0,
            queued: 0,
        };
        let mut pool = Self::default();
        for resource in Resource::ALL {
            if let Some(limit) = cell.of(resource) {
                pool.cell.insert(resource, account(None, resource, limit));
            }
        }
        let of_host = |(name, host): (&String, &HostInput)| {
            let own = |resource| Some(account(Some(name), resource, capacity(host, resource)?));
            (name.clone(), Resource::ALL.map(own))
        };
        pool.hosts = hosts.iter().map(of_host).collect();
        pool
    }

    /// What may be given to `key` without taking from others: what is free on its host and in the cell.
    pub(super) fn free(&self, key: &Key) -> f64 {
        let host = self.host(key).map_or(0.0, Account::free);
        let cell = self.cell.get(&key.resource).map_or(f64::INFINITY, Account::free);
        host.min(cell)
    }

    /// What is free on the host of `key` alone.
    pub(super) fn free_on_host(&self, key: &Key) -> f64 {
        self.host(key).map_or(0.0, Account::free)
    }

    /// Forgets everything that is reserved.
    pub(super) fn clear(&mut self) {
        let of_hosts = self.hosts.values_mut().flatten().flatten();
        for account in of_hosts.chain(self.cell.values_mut()) {
            account.reserved = 0.0;
            account.coming = 0.0;
        }
    }

    /// Does `with` the accounts behind each of `amounts`, which are in the order of their keys, and the amount.
    pub(super) fn each<'k>(&mut self, amounts: impl Iterator<Item = (&'k Key, f64)>, with: impl Fn(&mut Account, f64)) {
        let mut hosts = Walk::new(self.hosts.iter_mut().map(|(host, accounts)| (host.as_str(), accounts)));
        for (key, amount) in amounts {
            let of_host = hosts.find(&key.host);
            let host = of_host.and_then(|accounts| accounts.get_mut(key.resource.index())?.as_mut());
            for account in host.into_iter().chain(self.cell.get_mut(&key.resource)) {
                with(account, amount);
            }
        }
    }

    /// Whether the cell shares `resource` among its hosts.
    pub(super) fn is_shared(&self, resource: Resource) -> bool {
        self.cell.contains_key(&resource)
    }

    /// What is on its way back of the cell's `resource`.
    pub(super) fn coming(&self, resource: Resource) -> f64 {
        self.cell.get(&resource).map_or(0.0, |account| account.coming)
    }

    /// Changes what is on its way back of the cell's `resource` by `amount`.
    pub(super) fn shift_coming(&mut self, resource: Resource, amount: f64) {
        if let Some(account) = self.cell.get_mut(&resource) {
            account.coming = (account.coming + amount).max(0.0);
        }
    }

    /// What of `resource` is free in the cell; infinite where it has no limit.
    pub(super) fn free_in_cell(&self, resource: Resource) -> f64 {
        self.cell.get(&resource).map_or(f64::INFINITY, Account::free)
    }

    /// Changes what is reserved for `key` by `amount`, on its host and in the cell.
    pub(super) fn shift(&mut self, key: &Key, amount: f64) {
        self.behind(key).for_each(|account| account.reserve(amount));
    }

    /// Notes that `amount` of what `key` reserves is for its proposal.
    pub(super) fn propose(&mut self, key: &Key, amount: f64) {
        for account in self.behind(key) {
            account.proposed += amount;
        }
    }

    /// Counts a request for `key` that waits.
    pub(super) fn enqueue(&mut self, key: &Key) {
        for account in self.behind(key) {
            account.queued = account.queued.saturating_add(1);
        }
    }

    /// The accounts: hosts by name, then the cell's.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.hosts.values().flatten().flatten().chain(self.cell.values())
    }

    /// Likewise, when all is done.
    pub(super) fn into_accounts(self) -> Vec<Account> {
        let of_hosts = self.hosts.into_values().flatten().flatten();
        of_hosts.chain(self.cell.into_values()).collect()
    }

    fn host(&self, key: &Key) -> Option<&Account> {
        self.hosts.get(&key.host)?.get(key.resource.index())?.as_ref()
    }

    /// The accounts that bear what is reserved for `key`: its host's and the cell's.
    fn behind(&mut self, key: &Key) -> impl Iterator<Item = &mut Account> {
        let of_host = self.hosts.get_mut(&key.host);
        let host = of_host.and_then(|accounts| accounts.get_mut(key.resource.index())?.as_mut());
        host.into_iter().chain(self.cell.get_mut(&key.resource))
    }
}

/// What `host` has of `resource`; `None` where it is not known or nothing.
pub(super) fn capacity(host: &HostInput, resource: Resource) -> Option<f64> {
    let told = host.capacity.of(resource);
    told.filter(|capacity| capacity.is_finite() && *capacity > 0.0)
}
