//! What a round of allocation came to, for people.

use serde::Serialize;
use shadow::{Resource, UnixMs};
use utoipa::ToSchema;

/// What one round of allocation came to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PlanView {
    /// When it was made.
    pub time_ms: UnixMs,
    /// `recommend-only`, `recommend`, `acting` or `frozen`.
    pub mode: String,
    /// Hosts that were planned for.
    pub hosts: u64,
    /// Reservations that were raised, or made for the first time.
    pub raised: u64,
    /// Reservations that were lowered.
    pub lowered: u64,
    /// Changes that were only recommended.
    pub told: u64,
    /// The most changes on one host in any minute.
    pub host_budget: u32,
    /// The most changes in the whole cell in any minute.
    pub cell_budget: u32,
    /// Changes that the cell could still have made in this minute.
    pub cell_budget_left: u32,
    /// Where commands are carried out, as the policy says it: pattern of hosts, resources.
    pub acting: Vec<(String, Vec<Resource>)>,
    /// Requests that wait, all of them.
    pub queued: u64,
    /// The first of them, first in line first.
    pub queue: Vec<RequestView>,
    /// Workloads that had to give, all of them.
    pub throttled: u64,
    /// Spare hosts that were asked to wake, in words.
    pub wakes: Vec<String>,
    /// Needs that cannot be met, in words; some of them where they are many.
    pub unmet: Vec<String>,
    /// What the cell has, and what its hosts have together.
    pub sums: Vec<SumView>,
}

/// What was reserved of one resource of a host from a moment on, in cores, bytes, bytes/s or watts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct HeldStep {
    /// Since when.
    pub time_ms: UnixMs,
    /// Of what.
    pub resource: Resource,
    /// How much, by all workloads together (recommended, in recommend-only mode).
    pub amount: f64,
}

/// A request that waits for the pool.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RequestView {
    /// On which host.
    pub host: String,
    /// Whose.
    pub workload: String,
    /// Of what.
    pub resource: Resource,
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

/// An account of the cell, or the sum of those of its hosts, in cores, bytes, bytes/s or watts.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SumView {
    /// `cell` or `hosts`.
    pub of: &'static str,
    /// Of what.
    pub resource: Resource,
    /// What can be given at most.
    pub capacity: f64,
    /// What is reserved of it.
    pub reserved: f64,
    /// What of that may be taken back.
    pub reclaimable: f64,
    /// What was taken back, and may still be held.
    pub coming: f64,
    /// Requests that wait.
    pub queued: u32,
}
