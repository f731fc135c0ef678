//! Is a command for us, still valid, not a repeat, and within what this host allows? Pure.
//!
//! The network is not believed: whatever the brain asks for, floors and ceilings of the local
//! configuration and the host's capacity hold, and what is not understood is refused with a reason.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use shadow::{Action, Birth, Capacity, Change, Command, HOST_WORKLOAD, Outcome, Resource, UnixMs};

use crate::{act::Quantity, config::Act, pattern::matches};

/// How far the brain's clock may be off before a fresh command looks old, or not good yet.
const CLOCK_TOLERANCE_MS: i64 = 30_000;

/// Outcomes that are kept to answer a command that comes twice.
const KEPT_OUTCOMES: usize = 64;

/// How far an issuer epoch, which is a time in microseconds, may be ahead: who has the key of a brain for a while must not
/// fence off every brain that comes later.
const EPOCH_AHEAD_MS: i64 = 24 * 3_600_000;

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
    /// Do nothing, for this reason; and never later.
    Refuse(String),
    /// Do nothing, and say nothing of the command of this id: it may have been obeyed, and nobody remembers the answer.
    Doubt(String),
}

/// What is to be done with one change, or with one action.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// Whose share; `host` for the host as a whole.
    pub workload: String,
    /// Of what.
    pub quantity: Quantity,
    /// How much that is allowed, in its unit.
    pub amount: f64,
    /// Up to where the agent may raise it by itself.
    pub ceiling: Option<f64>,
    /// Whether throttling and pressure right after it mean that it hurts.
    pub is_protected: bool,
    /// The lever's name; empty where none is known.
    pub lever: String,
    /// Why it must not be done; `None` when it may.
    pub refused: Option<String>,
    /// The bound that moved the amount, in words, or empty.
    pub note: String,
}

/// How long a command still holds that was under way: its lease begins when it comes, but whoever keeps it back for
/// longer than clocks may differ does not make it hold for longer.
pub(crate) fn left_ms(command: &Command, now_ms: UnixMs) -> u64 {
    let kept_back_ms = now_ms
        .saturating_sub(command.issued_ms)
        .saturating_sub(CLOCK_TOLERANCE_MS);
    command.ttl_ms.saturating_sub(u64::try_from(kept_back_ms).unwrap_or(0))
}

/// What one host lets happen to itself.
#[derive(Debug)]
pub struct Guard {
    host: String,
    limits: Vec<Limit>,
    act: Act,
    capacity: Capacity,
    workloads: Vec<String>,
    issuer_epoch: u64,
    sequence: u64,
    outcomes: VecDeque<Outcome>,
}

impl Guard {
    /// A guard of `host`, which lets happen what `act` allows.
    pub fn new(host: &str, limits: Vec<Limit>, act: Act) -> Self {
        Self {
            host: host.to_owned(),
            limits,
            act,
            capacity: Capacity::default(),
            workloads: Vec::new(),
            issuer_epoch: 0,
            sequence: 0,
            outcomes: VecDeque::new(),
        }
    }

    /// Goes on from the newest command that was obeyed before a restart.
    #[must_use]
    pub fn after(mut self, issuer_epoch: u64, sequence: u64) -> Self {
        (self.issuer_epoch, self.sequence) = (issuer_epoch, sequence);
        self
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
        if command.host != self.host {
            return Verdict::Doubt(format!("it is for {}, this is {}", command.host, self.host));
        }
        if let Some(reason) = self.stale(command, now_ms) {
            return Verdict::Doubt(reason);
        }
        // What is refused now is not obeyed when it comes again, whatever the clock says then.
        self.issuer_epoch = command.issuer_epoch;
        self.sequence = command.sequence;
        if let Some(reason) = objection(command, now_ms) {
            return Verdict::Refuse(reason);
        }
        if !command.dry_run && !self.act.enabled {
            return Verdict::Refuse("acting is not switched on for this host".to_owned());
        }
        let changes = command.changes.iter().map(|change| self.rule(change));
        let actions = command.actions.iter().map(|action| self.rule_action(action));
        let rulings = changes
            .chain(actions)
            .map(|ruling| self.permitted(ruling, command.dry_run));
        Verdict::Act(rulings.collect())
    }

    /// Remembers the answer to a command that was obeyed.
    pub fn answered(&mut self, outcome: Outcome) {
        if self.outcomes.len() >= KEPT_OUTCOMES {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(outcome);
    }

    /// What is said of a command behind its first answer is said again, too.
    pub fn answered_since(&mut self, outcome: &Outcome) {
        let mut known = self.outcomes.iter_mut();
        if let Some(known) = known.find(|known| known.command_id == outcome.command_id) {
            known.clone_from(outcome);
        }
    }

    /// Why its number is none that may be obeyed.
    fn stale(&self, command: &Command, now_ms: UnixMs) -> Option<String> {
        let Command {
            issuer_epoch, sequence, ..
        } = *command;
        let latest_ms = now_ms.saturating_add(EPOCH_AHEAD_MS).max(0);
        if issuer_epoch / 1_000 > latest_ms.cast_unsigned() {
            return Some(format!(
                "its issuer epoch {issuer_epoch} is more than a day from now; are both clocks right?"
            ));
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
        None
    }

    fn rule(&self, change: &Change) -> Ruling {
        let (amount, note) = self.bounded(change);
        Ruling {
            workload: change.workload.clone(),
            quantity: change.resource.into(),
            amount,
            ceiling: change.ceiling.map(|ceiling| self.upper(change).fold(ceiling, f64::min)),
            is_protected: change.ceiling.is_some(),
            lever: String::new(),
            refused: self.fault(&change.workload, change.target),
            note,
        }
    }

    fn rule_action(&self, action: &Action) -> Ruling {
        let quantity = Quantity::from(action.kind);
        let of_host = quantity == Quantity::Chassis;
        let workload = if of_host && action.workload.is_empty() {
            HOST_WORKLOAD
        } else {
            &action.workload
        };
        let amount = if of_host { Some(1.0) } else { action.amount };
        let refused = match amount {
            None => Some("refused: it does not say how many".to_owned()),
            Some(_) if of_host && workload != HOST_WORKLOAD => Some("refused: only a host has a chassis".to_owned()),
            Some(amount) => self.fault(workload, amount),
        };
        Ruling {
            workload: workload.to_owned(),
            quantity,
            amount: amount.unwrap_or_default(),
            ceiling: None,
            is_protected: false,
            lever: String::new(),
            refused,
            note: String::new(),
        }
    }

    /// The ruling with its lever, as far as this host lets it be moved.
    fn permitted(&self, ruling: Ruling, is_dry: bool) -> Ruling {
        let Ruling { workload, quantity, .. } = &ruling;
        let Some(rule) = self.act.rule(workload, *quantity) else {
            let why = || {
                format!(
                    "refused: [act] does not allow {} of {workload:?} to be changed",
                    quantity.as_str()
                )
            };
            let refused = ruling.refused.clone().or_else(|| (!is_dry).then(why));
            return Ruling { refused, ..ruling };
        };
        let local = || {
            let resource = quantity.resource()?;
            let own = self.limits_of(workload, resource).filter_map(|limit| limit.ceiling);
            own.reduce(f64::min)
        };
        Ruling {
            ceiling: ruling.ceiling.or_else(|| local().filter(|_| rule.protect)),
            is_protected: ruling.is_protected || rule.protect,
            lever: rule.lever().to_owned(),
            ..ruling
        }
    }

    fn fault(&self, name: &str, amount: f64) -> Option<String> {
        if name != HOST_WORKLOAD && !self.workloads.iter().any(|known| known == name) {
            return Some(format!("refused: no workload called {name:?} here"));
        }
        if !amount.is_finite() || amount < 0.0 {
            return Some(format!("refused: a target of {amount} is none"));
        }
        None
    }

    fn limits_of(&self, workload: &str, resource: Resource) -> impl Iterator<Item = &Limit> {
        let all = self.limits.iter();
        all.filter(move |limit| limit.resource == resource && matches(&limit.workload, workload))
    }

    /// What no reservation like `change` gets past.
    fn upper(&self, change: &Change) -> impl Iterator<Item = f64> {
        let own = self
            .limits_of(&change.workload, change.resource)
            .filter_map(|limit| limit.ceiling);
        self.capacity.of(change.resource).into_iter().chain(own)
    }

    /// The target within capacity, ceiling and floor, and which of them moved it. The floor has the last word.
    fn bounded(&self, change: &Change) -> (f64, String) {
        let (mut target, mut note) = (change.target, String::new());
        let limits = || self.limits_of(&change.workload, change.resource);
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

/// Why a command of ours that is new must not be obeyed all the same.
fn objection(command: &Command, now_ms: UnixMs) -> Option<String> {
    if command.ttl_ms == 0 {
        return Some("it has no time to live".to_owned());
    }
    let age_ms = now_ms.saturating_sub(command.issued_ms);
    if age_ms < -CLOCK_TOLERANCE_MS {
        return Some(format!(
            "it is not to be obeyed before {} s from now; are both clocks right?",
            -age_ms / 1_000
        ));
    }
    let ttl_ms = i64::try_from(command.ttl_ms).unwrap_or(i64::MAX);
    if age_ms > ttl_ms.saturating_add(CLOCK_TOLERANCE_MS) {
        return Some(format!(
            "it was issued {} s ago and holds {} s",
            age_ms / 1_000,
            ttl_ms / 1_000
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use shadow::{Explanation, OutcomeState, Workload};

    use super::*;

    const NOW: UnixMs = 1_000_000;

    fn guard(limits: Vec<Limit>) -> Guard {
        let mut guard = Guard::new("web-1", limits, Act::default());
        let workload = Workload {
            name: "app.slice".to_owned(),
            criticality: 50,
            class: "default".to_owned(),
        };
        let capacity = Capacity {
            cpu_cores: Some(8.0),
            ..Capacity::default()
        };
        guard.host_is(&Birth {
            workloads: vec![workload],
            capacity,
            ..Birth::default()
        });
        guard
    }

    fn change(workload: &str, resource: Resource, target: f64) -> Change {
        Change {
            workload: workload.to_owned(),
            resource,
            before: None,
            target,
            explanation: Explanation::default(),
            ceiling: None,
        }
    }

    fn command(issuer_epoch: u64, sequence: u64) -> Command {
        Command {
            id: format!("{issuer_epoch}.web-1.{sequence}"),
            host: "web-1".to_owned(),
            issuer_epoch,
            sequence,
            issued_ms: NOW,
            ttl_ms: 60_000,
            dry_run: true,
            changes: vec![change("app.slice", Resource::Cpu, 2.0)],
            actions: Vec::new(),
        }
    }

    fn check_refused(command: &Command, expected: &str) {
        match guard(Vec::new()).check(command, NOW) {
            Verdict::Refuse(reason) => assert_eq!(reason, expected),
            Verdict::Doubt(reason) if command.host != "web-1" => assert_eq!(reason, expected),
            other => panic!("{other:?}, not {expected:?}"),
        }
    }

    #[test]
    fn commands_that_are_not_for_us_now_are_refused_with_a_reason() {
        let base = command(5, 1);
        check_refused(
            &Command {
                host: "web-2".to_owned(),
                ..base.clone()
            },
            "it is for web-2, this is web-1",
        );
        check_refused(
            &Command {
                ttl_ms: 0,
                ..base.clone()
            },
            "it has no time to live",
        );
        check_refused(
            &Command {
                issued_ms: NOW - 90_001,
                ..base.clone()
            },
            "it was issued 90 s ago and holds 60 s",
        );
        check_refused(
            &Command {
                dry_run: false,
                ..base.clone()
            },
            "acting is not switched on for this host",
        );
        check_refused(
            &Command {
                issued_ms: NOW + 31_000,
                ..base.clone()
            },
            "it is not to be obeyed before 31 s from now; are both clocks right?",
        );
        let ahead = Command {
            issued_ms: NOW + 30_000,
            ttl_ms: u64::MAX,
            ..base
        };
        assert!(
            matches!(guard(Vec::new()).check(&ahead, NOW), Verdict::Act(_)),
            "the brain's clock may be a little ahead"
        );
    }

    #[test]
    fn older_issuers_and_numbers_are_fenced_off() {
        let mut guard = guard(Vec::new());
        let mut refused = |issuer, sequence| match guard.check(&command(issuer, sequence), NOW) {
            Verdict::Doubt(reason) => Some(reason),
            Verdict::Refuse(reason) => panic!("a statement about what may have been obeyed: {reason}"),
            _ => None,
        };
        assert_eq!(refused(5, 3), None);
        assert_eq!(refused(5, 2).as_deref(), Some("its sequence 2 is not after 3"));
        assert_eq!(refused(5, 3).as_deref(), Some("its sequence 3 is not after 3"));
        assert_eq!(refused(5, 9), None);
        assert_eq!(refused(6, 1), None, "a new issuer begins anew");
        assert_eq!(
            refused(5, 10).as_deref(),
            Some("its issuer epoch 5 is over: 6 has begun")
        );
    }

    #[test]
    fn an_issuer_epoch_far_ahead_fences_nobody_off() {
        let mut guard = guard(Vec::new());
        let now_us = NOW.cast_unsigned() * 1_000;
        let day_us = 24 * 3_600_000_000;
        for poison in [now_us + day_us + 1_000, u64::MAX, i64::MAX.cast_unsigned()] {
            match guard.check(&command(poison, 1), NOW) {
                Verdict::Doubt(reason) => assert!(reason.contains("more than a day from now"), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
        let mut acts = |epoch| matches!(guard.check(&command(epoch, 1), NOW), Verdict::Act(_));
        assert!(acts(now_us) && acts(now_us + day_us), "clocks may differ by a day");
    }

    #[test]
    fn what_was_refused_is_not_obeyed_later() {
        let mut guard = guard(Vec::new());
        let early = Command {
            issued_ms: NOW + 31_000,
            ..command(5, 1)
        };
        assert!(matches!(guard.check(&early, NOW), Verdict::Refuse(_)));
        assert!(matches!(guard.check(&early, NOW + 31_000), Verdict::Doubt(_)));
        // One for another host says nothing of our numbers.
        let foreign = Command {
            host: "web-2".to_owned(),
            ..command(9, 9)
        };
        assert!(matches!(guard.check(&foreign, NOW), Verdict::Doubt(_)));
        assert!(matches!(guard.check(&command(5, 2), NOW), Verdict::Act(_)));
    }

    #[test]
    fn a_restart_forgets_no_number() {
        let mut guard = guard(Vec::new()).after(5, 3);
        let mut acts = |issuer, sequence| matches!(guard.check(&command(issuer, sequence), NOW), Verdict::Act(_));
        assert!(!acts(5, 3) && !acts(4, 9));
        assert!(acts(5, 4) && acts(6, 1));
    }

    #[test]
    fn a_command_that_is_kept_back_holds_no_longer() {
        let left = |came_ms| left_ms(&command(5, 1), came_ms);
        assert_eq!(left(NOW), 60_000);
        assert_eq!(left(NOW - 10_000), 60_000);
        assert_eq!(left(NOW + 30_000), 60_000, "clocks may differ");
        assert_eq!(left(NOW + 50_000), 40_000);
        assert_eq!(left(NOW + 500_000), 0);
    }

    #[test]
    fn a_command_that_comes_twice_gets_the_same_answer() {
        let mut guard = guard(Vec::new());
        assert!(matches!(guard.check(&command(5, 1), NOW), Verdict::Act(_)));
        let outcome = Outcome {
            command_id: command(5, 1).id,
            state: OutcomeState::DryRun,
            reason: String::new(),
            time_ms: NOW,
            changes: Vec::new(),
            actions: Vec::new(),
        };
        guard.answered(outcome.clone());
        assert_eq!(guard.check(&command(5, 1), NOW + 5), Verdict::Repeat(outcome));
        for sequence in 2..200 {
            let command_id = command(5, sequence).id;
            guard.answered(Outcome {
                command_id,
                state: OutcomeState::Failed,
                reason: String::new(),
                time_ms: NOW,
                changes: Vec::new(),
                actions: Vec::new(),
            });
        }
        assert_eq!(guard.outcomes.len(), KEPT_OUTCOMES);
        // Nobody remembers what became of it, and nothing is said of it.
        assert!(matches!(guard.check(&command(5, 1), NOW + 9), Verdict::Doubt(_)));
    }

    #[test]
    fn targets_are_held_within_local_bounds() {
        let limit = |workload: &str, floor, ceiling| Limit {
            workload: workload.to_owned(),
            resource: Resource::Cpu,
            floor,
            ceiling,
        };
        let check = |limits: &[Limit], target: f64, expected: f64, note: &str| {
            let ruling = guard(limits.to_vec()).rule(&change("app.slice", Resource::Cpu, target));
            assert_eq!((ruling.amount, ruling.note.as_str()), (expected, note));
            assert_eq!(ruling.refused, None);
        };
        check(&[], 3.0, 3.0, "");
        check(&[], 9.0, 8.0, "held at the host's capacity of 8");
        check(
            &[limit("app*", Some(1.0), Some(4.0))],
            9.0,
            4.0,
            "held at the local ceiling of 4",
        );
        check(
            &[limit("app*", Some(1.0), Some(4.0))],
            0.5,
            1.0,
            "held at the local floor of 1",
        );
        check(&[limit("db*", Some(1.0), Some(4.0))], 0.5, 0.5, "");
    }

    #[test]
    fn changes_that_make_no_sense_are_refused_one_by_one() {
        let guard = guard(Vec::new());
        let refused = |workload: &str, target| guard.rule(&change(workload, Resource::Cpu, target)).refused;
        assert_eq!(refused("app.slice", 1.0), None);
        assert_eq!(refused(HOST_WORKLOAD, 1.0), None);
        assert_eq!(
            refused("ghost", 1.0).as_deref(),
            Some("refused: no workload called \"ghost\" here")
        );
        for target in [-1.0, f64::NAN, f64::INFINITY] {
            let reason = refused("app.slice", target);
            assert!(reason.is_some_and(|reason| reason.contains("target")), "{target}");
        }
    }
}
