//! What one plan leaves to the next: reservations, requests that wait, and changes lately.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shadow::{Change, ChangeOutcome, Command, Effect, Outcome, OutcomeState, Resource, UnixMs};

use super::pairs;

mod lease;
mod turn;

pub(super) use self::{
    lease::Lease,
    turn::{Damping, Turn},
};

/// Whose reservation of what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The host.
    pub host: String,
    /// The workload on it.
    pub workload: String,
    /// Of what.
    pub resource: Resource,
}

impl Key {
    /// The key of `resource` of `workload` on `host`.
    pub fn new(host: &str, workload: &str, resource: Resource) -> Self {
        Self {
            host: host.to_owned(),
            workload: workload.to_owned(),
            resource,
        }
    }
}

/// What a workload holds of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    /// Cores, bytes, bytes/s or watts.
    pub amount: f64,
    /// When it last changed.
    pub since_ms: UnixMs,
}

/// What the next plan starts from. It can be stored as JSON, and is empty in the beginning.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    #[serde(with = "pairs")]
    pub(super) reservations: BTreeMap<Key, Reservation>,
    /// Since when each unmet request waits.
    #[serde(with = "pairs")]
    pub(super) waiting: BTreeMap<Key, UnixMs>,
    /// When changes were made lately, by host.
    pub(super) changed: BTreeMap<String, Vec<UnixMs>>,
    /// Which way reservations go, and when they turned.
    #[serde(default, with = "pairs")]
    pub(super) turns: BTreeMap<Key, Turn>,
    /// What was lowered and is not known to be: until its agent has answered, so much may still be held of what the cell
    /// shares.
    #[serde(default, with = "pairs")]
    pub(super) pending: BTreeMap<Key, Reservation>,
    /// What agents really hold.
    #[serde(default, with = "pairs")]
    pub(super) leases: BTreeMap<Key, Lease>,
    /// Spare hosts that are on their way.
    #[serde(default)]
    pub(super) waking: BTreeMap<String, Waking>,
}

/// A spare host that was asked to wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waking {
    /// When it was asked last.
    pub asked_ms: UnixMs,
    /// How often, 1 or more.
    pub times: u32,
}

impl State {
    /// What `workload` on `host` holds of `resource`.
    pub fn reservation(&self, host: &str, workload: &str, resource: Resource) -> Option<Reservation> {
        self.reservations.get(&Key::new(host, workload, resource)).copied()
    }

    /// All reservations, in the order of host, workload and resource.
    pub fn reservations(&self) -> impl Iterator<Item = (&Key, &Reservation)> {
        self.reservations.iter()
    }

    /// Takes in what an agent did with `command`.
    ///
    /// What was not done is undone here: the reservation goes back to what it was before. A change that was bounded by the
    /// agent's own guard leaves what the agent wrote. What has run out leaves the promise, without its lease. A reservation
    /// that a later plan has moved on is left alone.
    pub fn settle(&mut self, command: &Command, outcome: &Outcome) {
        if !command.dry_run {
            self.lease_answered(command, outcome);
        }
        for (at, change) in command.changes.iter().enumerate() {
            let key = Key::new(&command.host, &change.workload, change.resource);
            let Some(held) = self
                .reservations
                .get_mut(&key)
                .filter(|held| is_same(held.amount, change.target))
            else {
                continue;
            };
            let told = outcome.changes.get(at).filter(|told| told.workload == change.workload);
            // Who refuses holds what it held, and that may be more than what a command before this one asked for.
            let done = told.is_none_or(|told| matches!(told.effect, Effect::None | Effect::Raised));
            if done && matches!(outcome.state, OutcomeState::Applied | OutcomeState::DryRun) {
                self.pending.remove(&key);
            }
            match settled(outcome.state, change, told) {
                Some(amount) => held.amount = amount,
                None => {
                    self.reservations.remove(&key);
                }
            }
        }
    }

    /// The clock was set back to `now_ms`: nothing was decided later than that.
    pub fn rewind(&mut self, now_ms: UnixMs) {
        let times = self.reservations.values_mut().map(|held| &mut held.since_ms);
        let pending = self.pending.values_mut().map(|held| &mut held.since_ms);
        let waking = self.waking.values_mut().map(|waking| &mut waking.asked_ms);
        for time_ms in times.chain(self.waiting.values_mut()).chain(pending).chain(waking) {
            *time_ms = (*time_ms).min(now_ms);
        }
        for turn in self.turns.values_mut() {
            turn.rewind(now_ms);
        }
    }

    /// Whether a request for `key` waits for the pool.
    pub fn waits(&self, key: &Key) -> bool {
        self.waiting.contains_key(key)
    }
}

/// The largest page that Linux has, in bytes: limits of memory are in force in whole ones.
const PAGE: f64 = 65_536.0;

/// What is booked of what a lever has in force: where it was only rounded to whole pages, what was asked for. Booked as rounded up,
/// a full host would have promised more than it has, and be told each round to give the rest of a page back.
fn booked(change: &Change, after: f64) -> f64 {
    let is_rounded = change.resource == Resource::Memory && (after - change.target).abs() < PAGE;
    if is_rounded { change.target } else { after }
}

/// What is held after an answer; `None` when nothing is.
fn settled(state: OutcomeState, change: &Change, told: Option<&ChangeOutcome>) -> Option<f64> {
    let after = told
        .and_then(|told| told.after)
        .filter(|amount| amount.is_finite() && *amount >= 0.0);
    let effect = told.map_or(Effect::None, |told| told.effect);
    match state {
        OutcomeState::Applied | OutcomeState::DryRun | OutcomeState::Raised | OutcomeState::Hurt => match effect {
            Effect::None | Effect::Raised => Some(after.map_or(change.target, |after| booked(change, after))),
            Effect::Hurt | Effect::NotDone => after.or(change.before),
        },
        // Of another command: it is not asked for. What has run out was done, and is promised on: its lease has ended.
        OutcomeState::Distrusted | OutcomeState::Expired => Some(change.target),
        OutcomeState::Refused | OutcomeState::Failed => change.before,
    }
}

/// Whether two amounts are the same but for the last digits, which a stored text may lose.
pub(super) fn is_same(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-12 * one.abs().max(other.abs())
}

#[cfg(test)]
mod tests;
