//! Allocation: from forecasts, state, pool, policy and time to a plan. Pure: the same inputs always give the
//! same plan, in whatever order they came.
//!
//! The loop, as the specification tells it, for each host, each workload on it and each resource:
//!
//! 1. **Required against available.** The need is what the workload's own forecast says, or, where it has none, what it uses
//!    now, grown as the host's forecast grows ([`need`]). The strategies of its class say for which forecast to reserve ([`preemptive`], [`dynamic`],
//!    [`priority`]), and the bounds of its class say what may be reserved ([`bounds`]).
//! 2. **Where it lacks, acquire from the [`pool`]**: what is unreserved first, then what others hold and do not
//!    need, the least critical first ([`contention`]).
//! 3. **Where the pool cannot give, handle the contention**: the more critical is served first, then who waits
//!    longest; a class with `priority` throttles the less critical, never below their floors; what is still
//!    missing is queued, and the plan says in words which need is not met and why.
//! 4. **What is spare goes back**, slowly, and never on the word of a stale shadow or a brain that has just started.
//! 5. **Adjust.** What the agents answer and what is used afterwards moves the margins of the next plan
//!    ([`crate::feedback`]).
//!
//! # What is accounted where
//! CPU and memory belong to workloads. Network, disk and power are not measured by workload: one reservation, of
//! the workload named [`HOST_WORKLOAD`], stands for the host as a whole and is ruled by the policy's class `host`.
//! A host that tells no workload is reserved for as a whole in CPU and memory too.
//! Where the policy limits a resource for the whole cell (uplink, rack power), hosts compete for it as workloads
//! compete for a host, each with the criticality of its most critical workload.
//! A resource whose capacity is not known has no account, and nothing of it is reserved.
//!
//! # By somebody's word
//! A class in mode `recommend` is planned for twice in a round: once as if everybody agreed, which gives the proposals
//! ([`proposals`]), and once with what it holds as it stands, which gives the commands of the others. In the latter an open
//! proposal reserves what it would raise, so that nobody else is given it, and gives back nothing ([`consent`]).
//!
//! # Recommend-only
//! A plan is a proposal. Reservations in [`State`] are what was recommended; whether an agent writes them is
//! decided by the command's `dry_run` and the agent's own guard, and comes back through [`State::settle`].

use std::collections::{BTreeMap, BTreeSet};

use limits::Decision;
use serde::Serialize;
use shadow::{Capacity, Change, Forecast, HOST_WORKLOAD, Peak, Resource, UnixMs};

use self::round::Round;
use crate::{feedback::Feedback, policy::Policy};

pub use self::{
    consent::{Asking, admit},
    explain::amount,
    pool::Account,
    spare::Wake,
    state::{Key, Reservation, State, Waking},
};

mod ask;
mod bounds;
mod budget;
mod claim;
mod consent;
mod contention;
mod draft;
mod dynamic;
mod explain;
mod need;
pub(crate) mod pairs;
pub(crate) mod peaks;
mod pool;
mod preemptive;
mod priority;
pub mod proposals;
mod report;
mod round;
mod spare;
mod state;
mod walk;

/// All that a plan rests on.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The moment of the plan.
    pub now_ms: UnixMs,
    /// When the brain started.
    pub started_ms: UnixMs,
    /// What rules.
    pub policy: &'a Policy,
    /// What was learnt from earlier plans.
    pub feedback: &'a Feedback,
    /// What earlier plans left: reservations, requests that wait, changes of the last minute.
    pub state: &'a State,
    /// The hosts by name. A host that is not named keeps what it has, and is not planned for.
    pub hosts: &'a BTreeMap<String, HostInput>,
    /// What is changed by somebody's word alone stays as it is, but that raises up to these targets are reserved: those of
    /// open proposals. `None`: as if everybody agreed, which is what is to be proposed.
    pub proposed: Option<&'a BTreeMap<Key, f64>>,
}

/// One host, as its shadow tells it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostInput {
    /// What it has at most.
    pub capacity: Capacity,
    /// The mean of each resource over the newest minute of closed rows, in the resource's own unit (cpu and memory:
    /// shares), in the order of [`shadow::Resource::ALL`]; `None` when it is not measured.
    pub present: [Option<f64>; 5],
    /// Age of its newest sample, in milliseconds; `None` when there is no sample at all.
    pub age_ms: Option<u64>,
    /// How much history its forecasts rest on, in milliseconds.
    pub history_ms: u64,
    /// Its forecasts, in any order, in the resource's own unit.
    pub forecasts: Vec<Forecast>,
    /// The highest values that are expected, in any order, likewise; none where no network knows.
    pub peaks: Vec<Peak>,
    /// What is decided for each resource by the books of its rules, in the order of [`shadow::Resource::ALL`].
    pub limits: [Option<Decision>; 5],
    /// Its workloads by name.
    pub workloads: BTreeMap<String, WorkloadInput>,
}

impl HostInput {
    /// The resources that are reserved for the host as a whole.
    pub(crate) fn as_a_whole(&self) -> &'static [Resource] {
        use Resource::{Cpu, Disk, Memory, Network, Power};
        if self.workloads.is_empty() {
            &[Cpu, Memory, Network, Disk, Power]
        } else {
            &[Network, Disk, Power]
        }
    }

    /// What `workload` uses of `resource`, in cores, bytes, bytes/s or watts; `None` when it is not measured.
    pub(crate) fn used(&self, workload: &str, resource: Resource) -> Option<f64> {
        if workload == HOST_WORKLOAD && self.as_a_whole().contains(&resource) {
            let value = need::present(self, resource)?;
            return Some(value * need::to_amount(resource, self.capacity.of(resource)?));
        }
        let own = self.workloads.get(workload)?;
        match resource {
            Resource::Cpu => own.cpu_cores,
            Resource::Memory => own.memory_bytes,
            Resource::Network | Resource::Disk | Resource::Power => None,
        }
    }
}

/// One workload.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkloadInput {
    /// 0 (may be stopped) to 100 (the host is pointless without it).
    pub criticality: u8,
    /// The policy class that rules it.
    pub class: String,
    /// Cores busy lately; `None` when it is not measured.
    pub cpu_cores: Option<f64>,
    /// Bytes in use lately; `None` when it is not measured.
    pub memory_bytes: Option<f64>,
    /// Its own forecasts of cpu and memory, in any order, in cores and bytes; none of what is not forecast.
    pub forecasts: Vec<Forecast>,
    /// The highest use within a time, likewise.
    pub peaks: Vec<Peak>,
}

/// What is to be done, and why.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The moment it was made for.
    pub time_ms: UnixMs,
    /// The changes by host, each host's in the order of workload and resource. Hosts without one are left out.
    pub changes: BTreeMap<String, Vec<Change>>,
    /// Those that must only be told, even where the policy acts: what is not limited is not limited in doubt.
    pub only_told: BTreeSet<Key>,
    /// What is reserved and not in force, though the policy acts there, and why.
    pub held_back: BTreeMap<Key, String>,
    /// What of the changes is made by somebody's word alone, where everybody is taken to agree.
    pub asking: Asking,
    /// Changes that the cell could still have made in this minute.
    pub changes_left: u32,
    /// Spare hosts to wake, in this order.
    pub wakes: Vec<Wake>,
    /// Requests that wait for the pool, first in line first.
    pub queue: Vec<Request>,
    /// Workloads that hold less than they ask for, because others are more critical.
    pub throttled: Vec<Throttled>,
    /// Needs that cannot be met, in words.
    pub unmet: Vec<Unmet>,
    /// Every account after the plan: hosts by name, then the cell's.
    pub pool: Vec<Account>,
    /// What the next plan starts from, as if every change came true.
    pub state: State,
}

/// A request that waits for the pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// Whose, and of what.
    pub key: Key,
    /// 0 to 100; the more critical is served first.
    pub criticality: u8,
    /// Since when it waits.
    pub since_ms: UnixMs,
    /// When it is overdue.
    pub deadline_ms: UnixMs,
    /// What is asked for in all, in cores, bytes, bytes/s or watts.
    pub wanted: f64,
    /// What of it is reserved.
    pub held: f64,
}

/// A workload that had to give.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Throttled {
    /// Whose, and of what.
    pub key: Key,
    /// What it held before.
    pub before: f64,
    /// What it holds now, not below its floor.
    pub after: f64,
    /// What it asks for.
    pub wanted: f64,
    /// For whom, in the order in which they took.
    pub by: Vec<String>,
}

/// A need that cannot be met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unmet {
    /// Whose, and of what.
    pub key: Key,
    /// What is needed, in cores, bytes, bytes/s or watts.
    pub needed: f64,
    /// What is reserved.
    pub held: f64,
    /// What lacks, why, and what would help.
    pub text: String,
}

/// Makes the plan of one round.
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let mut round = Round::open(inputs);
    round.correct();
    round.raise();
    round.lower();
    round.adopt();
    round.wake();
    round.close()
}

/// Reservations that would be raised by a plan of this moment, were there enough for all.
pub(crate) fn short<'a>(inputs: &Inputs<'a>) -> impl Iterator<Item = &'a Key> {
    let held = inputs.state.reservations();
    held.filter(|(key, held)| !inputs.state.waits(key) && claim::is_short(inputs, key, held) == Some(true))
        .map(|(key, _)| key)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenarios;
