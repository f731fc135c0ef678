//! Is a command for us, still valid, not a repeat, and within what this host allows? Pure.
//!
//! The network is not believed: whatever the brain asks for, floors and ceilings of the local
//! configuration and the host's capacity hold, and what is not understood is refused with a reason.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use shadow::{Birth, Capacity, Change, Command, Outcome, Resource, UnixMs};

use crate::pattern::matches;

/// The name under which the host as a whole has reservations.
pub const HOST_WORKLOAD: &str = "host";

/// How far the brain's clock may be off before a fresh command looks old.
const CLOCK_TOLERANCE_MS: i64 = 30_000;

/// Outcomes that are kept to answer a command that comes twice.
const KEPT_OUTCOMES: usize = 64;

/// A floor and a ceiling that no command gets past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Which workloads: a name, with `*` for any characters.
    pub workload: String,
    /// Of what.
    pub resource: Resource,
    /// The least that they keep, in cores, bytes, bytes/s or watts.
    #[serde(default)]
    pub floor: Option<f64>,
    /// The most that they get.
    #[serde(default)]
    pub ceiling: Option<f64>,
}

/// What is to be done with a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Carry out the changes, in this order; refused ones are among them.
    Act(Vec<Ruling>),
    /// It was answered before: say the same again.
    Repeat(Outcome),
    /// Do nothing, for this reason.
    Refuse(String),
}

/// What is to be done with one change.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// What was asked, with the target that is allowed.
    pub change: Change,
    /// Why it must not be done; `None` when it may.
    pub refused: Option<String>,
    /// The bound that moved the target, in words, or empty.
    pub note: String,
}

/// What one host lets happen to itself.
#[derive(Debug)]
pub struct Guard {
    host: String,
    limits: Vec<Limit>,
    capacity: Capacity,
    workloads: Vec<String>,
    issuer_epoch: u64,
    sequence: u64,
    outcomes: VecDeque<Outcome>,
}

impl Guard {
    /// A guard of `host`.
    pub fn new(host: &str, limits: Vec<Limit>) -> Self {
        Self {
            host: host.to_owned(),
            limits,
            capacity: Capacity::default(),
            workloads: Vec::new(),
            issuer_epoch: 0,
            sequence: 0,
            outcomes: VecDeque::new(),
        }
    }

    /// Takes note of what the host has now.
    pub fn host_is(&mut self, birth: &Birth) {
        self.capacity = birth.capacity;
        self.workloads = birth.workloads.iter().map(|w| w.name.clone()).collect();
    }

    /// Decides about `command`, which came at `now_ms`, and takes note of its number.
    pub fn check(&mut self, command: &Command, now_ms: UnixMs) -> Verdict {
        if let Some(known) = self.outcomes.iter().find(|outcome| outcome.command_id == command.id) {
            return Verdict::Repeat(known.clone());
        }
        if let Some(reason) = self.objection(command, now_ms) {
            return Verdict::Refuse(reason);
        }
        self.issuer_epoch = command.issuer_epoch;
        self.sequence = command.sequence;
        Verdict::Act(command.changes.iter().map(|change| self.rule(change)).collect())
    }

    /// Remembers the answer to a command.
    pub fn answered(&mut self, outcome: Outcome) {
        if self.outcomes.len() >= KEPT_OUTCOMES {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(outcome);
    }

    fn objection(&self, command: &Command, now_ms: UnixMs) -> Option<String> {
        let Command {
            issuer_epoch, sequence, ..
        } = *command;
        if command.host != self.host {
            return Some(format!("it is for {}, this is {}", command.host, self.host));
        }
        if issuer_epoch < self.issuer_epoch {
            return Some(format!(
                "its issuer epoch {issuer_epoch} is over: {} has begun",
                self.issuer_epoch
            ));
        }
        if issuer_epoch == self.issuer_epoch && sequence <= self.sequence {
            return Some(format!("its sequence {sequence} is not after {}", self.sequence));
        }
        if command.ttl_ms == 0 {
            return Some("it has no time to live".to_owned());
        }
        let age_ms = now_ms.saturating_sub(command.issued_ms);
        let ttl_ms = i64::try_from(command.ttl_ms).unwrap_or(i64::MAX);
        if age_ms > ttl_ms.saturating_add(CLOCK_TOLERANCE_MS) {
            return Some(format!(
                "it was issued {} s ago and holds {} s",
                age_ms / 1_000,
                ttl_ms / 1_000
            ));
        }
        if !command.dry_run {
            return Some("acting is not switched on for this host".to_owned());
        }
        None
    }

    fn rule(&self, change: &Change) -> Ruling {
        let (target, note) = self.bounded(change);
        Ruling {
            refused: self.fault(change),
            change: Change {
                target,
                ..change.clone()
            },
            note,
        }
    }

    fn fault(&self, change: &Change) -> Option<String> {
        let name = &change.workload;
        if name != HOST_WORKLOAD && !self.workloads.contains(name) {
            return Some(format!("refused: no workload called {name:?} here"));
        }
        if !change.target.is_finite() || change.target < 0.0 {
            return Some(format!("refused: a target of {} is none", change.target));
        }
        None
    }

    /// The target within capacity, ceiling and floor, and which of them moved it. The floor has the last word.
    fn bounded(&self, change: &Change) -> (f64, String) {
        let (mut target, mut note) = (change.target, String::new());
        let limits = || {
            let all = self.limits.iter();
            all.filter(|l| l.resource == change.resource && matches(&l.workload, &change.workload))
        };
        let ceilings = limits().filter_map(|l| l.ceiling).map(|c| ("the local ceiling", c));
        let capacity = self.capacity.of(change.resource).map(|c| ("the host's capacity", c));
        for (what, ceiling) in capacity.into_iter().chain(ceilings) {
            if target > ceiling {
                target = ceiling;
                note = format!("held at {what} of {ceiling}");
            }
        }
        for floor in limits().filter_map(|l| l.floor) {
            if target < floor {
                target = floor;
                note = format!("held at the local floor of {floor}");
            }
        }
        (target, note)
    }
}
