//! Two actors that carry out one command, and answer as one: files are quick, and what asks a program or a BMC is slow.
//! Pure but for a lock.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use shadow::{Outcome, OutcomeState};

use crate::guard::Ruling;

/// Commands that both have a part of and that are remembered, the newest.
const KEPT: usize = 64;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Quick,
    Slow,
}

/// The rulings for `lane`, where `is_slow` tells of a lever which one has it: those of the other are refused without a word.
pub(crate) fn part(rulings: &[Ruling], lane: Lane, is_slow: impl Fn(&str) -> bool) -> Vec<Ruling> {
    let of = |ruling: &Ruling| {
        let refused = || (lane_of(ruling, &is_slow) != lane).then(String::new);
        Ruling {
            refused: ruling.refused.clone().or_else(refused),
            ..ruling.clone()
        }
    };
    rulings.iter().map(of).collect()
}

/// Whether anything of it is to be done.
pub(crate) fn is_asked(rulings: &[Ruling]) -> bool {
    rulings.iter().any(|ruling| ruling.refused.is_none())
}

fn lane_of(ruling: &Ruling, is_slow: impl Fn(&str) -> bool) -> Lane {
    if is_slow(&ruling.lever) {
        Lane::Slow
    } else {
        Lane::Quick
    }
}

/// A command of both.
#[derive(Debug)]
struct Shared {
    id: String,
    /// Of the rulings, changes first.
    lanes: Vec<Lane>,
    /// The newest that each has said.
    said: [Option<Outcome>; 2],
}

impl Shared {
    fn of(&mut self, lane: Lane) -> Option<&mut Option<Outcome>> {
        self.said.get_mut(lane as usize)
    }

    /// The rows of both under what `newest` says of the command; nothing while one of them has said nothing.
    fn merged(&self, newest: &Outcome) -> Option<Outcome> {
        let [Some(quick), Some(slow)] = &self.said else {
            return None;
        };
        let of = |lane: &Lane| match lane {
            Lane::Quick => quick,
            Lane::Slow => slow,
        };
        let changes = self.lanes.iter().enumerate();
        let changes = changes.filter_map(|(at, lane)| of(lane).changes.get(at).cloned());
        let actions = self.lanes.iter().skip(newest.changes.len()).enumerate();
        let actions = actions.filter_map(|(at, lane)| of(lane).actions.get(at).cloned());
        Some(Outcome {
            changes: changes.collect(),
            actions: actions.collect(),
            ..newest.clone()
        })
    }
}

/// What both have said of commands that they share.
#[derive(Debug, Default)]
pub(crate) struct Desk(Mutex<VecDeque<Shared>>);

impl Desk {
    fn shared(&self) -> MutexGuard<'_, VecDeque<Shared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command `id` goes to both.
    pub(crate) fn begin(&self, id: &str, rulings: &[Ruling], is_slow: impl Fn(&str) -> bool) {
        let mut shared = self.shared();
        if shared.len() >= KEPT {
            shared.pop_front();
        }
        shared.push_back(Shared {
            id: id.to_owned(),
            lanes: rulings.iter().map(|ruling| lane_of(ruling, &is_slow)).collect(),
            said: [None, None],
        });
    }

    /// Both have answered it: applied, where one of them has applied anything; failed, where one has.
    pub(crate) fn answer(&self, quick: Outcome, slow: Outcome) -> Outcome {
        let of = |state| [&quick, &slow].into_iter().find(|outcome| outcome.state == state);
        let newest = of(OutcomeState::Applied)
            .or_else(|| of(OutcomeState::Failed))
            .unwrap_or(&quick);
        let newest = newest.clone();
        let mut shared = self.shared();
        let Some(known) = shared.iter_mut().rev().find(|known| known.id == quick.command_id) else {
            return quick;
        };
        // What one has said since, while the other was at work, is newer than its answer.
        for (lane, outcome) in [(Lane::Quick, quick), (Lane::Slow, slow)] {
            if let Some(said) = known.of(lane) {
                said.get_or_insert(outcome);
            }
        }
        known.merged(&newest).unwrap_or(newest)
    }

    /// What `lane` says of a command behind its answer, with the other's rows beside; nothing while that is at work.
    pub(crate) fn told(&self, lane: Lane, outcome: Outcome) -> Option<Outcome> {
        let mut shared = self.shared();
        let Some(known) = shared.iter_mut().rev().find(|known| known.id == outcome.command_id) else {
            return Some(outcome);
        };
        if let Some(said) = known.of(lane) {
            *said = Some(outcome.clone());
        }
        known.merged(&outcome)
    }
}

#[cfg(test)]
mod tests {
    use shadow::{ActionKind, Effect, Resource};

    use super::*;
    use crate::act::{
        Quantity,
        answer::{Row, outcome},
    };

    fn ruling(lever: &str, quantity: Quantity) -> Ruling {
        Ruling {
            workload: "web".to_owned(),
            quantity,
            amount: 1.0,
            ceiling: None,
            is_protected: false,
            lever: lever.to_owned(),
            refused: None,
            note: String::new(),
        }
    }

    fn is_slow(lever: &str) -> bool {
        lever == "tc"
    }

    /// What an actor says of the rulings that it was given.
    fn said(rulings: &[Ruling], state: OutcomeState, note: &str) -> Outcome {
        let row = |ruling: &Ruling| Row {
            effect: if ruling.refused.is_some() {
                Effect::NotDone
            } else {
                Effect::None
            },
            ..Row::not_done(
                "web",
                ruling.quantity,
                ruling.refused.clone().unwrap_or_else(|| note.to_owned()),
            )
        };
        outcome("c", state, note, 5, &rulings.iter().map(row).collect::<Vec<_>>())
    }

    fn notes(outcome: &Outcome) -> Vec<&str> {
        let changes = outcome.changes.iter().map(|row| row.note.as_str());
        changes
            .chain(outcome.actions.iter().map(|row| row.note.as_str()))
            .collect()
    }

    #[test]
    fn each_row_is_told_by_whose_it_is() {
        let mut rulings = vec![
            ruling("cpu.max", Quantity::Cpu),
            ruling("tc", Quantity::Network),
            ruling("", Quantity::Memory),
            ruling("pids.max", Quantity::Tasks),
        ];
        rulings[2].refused = Some("no".to_owned());
        let [quick, slow] = [Lane::Quick, Lane::Slow].map(|lane| part(&rulings, lane, is_slow));
        assert!(is_asked(&quick) && is_asked(&slow));
        let desk = Desk::default();
        desk.begin("c", &rulings, is_slow);
        let raised = said(&quick, OutcomeState::Raised, "raised");
        assert_eq!(desk.told(Lane::Quick, raised), None, "the other is at work");
        let answer = desk.answer(
            said(&quick, OutcomeState::Applied, "quick"),
            said(&slow, OutcomeState::Failed, "slow"),
        );
        assert_eq!(answer.state, OutcomeState::Applied);
        assert_eq!(notes(&answer), ["raised", "slow", "no", "raised"]);
        assert_eq!(answer.actions[0].kind, ActionKind::LimitTasks);
        assert_eq!(answer.changes[1].resource, Resource::Network);
        let over = desk
            .told(Lane::Slow, said(&slow, OutcomeState::Expired, "over"))
            .unwrap();
        assert_eq!(over.state, OutcomeState::Expired);
        assert_eq!(notes(&over), ["raised", "over", "no", "raised"]);
        let other = Outcome {
            command_id: "d".to_owned(),
            ..over
        };
        assert_eq!(desk.told(Lane::Slow, other.clone()), Some(other), "of one alone");
    }

    #[test]
    fn what_neither_has_done_has_failed_where_one_tried() {
        let rulings = [ruling("cpu.max", Quantity::Cpu), ruling("tc", Quantity::Network)];
        for (states, expected) in [
            ([OutcomeState::Refused, OutcomeState::Failed], OutcomeState::Failed),
            ([OutcomeState::Refused, OutcomeState::Refused], OutcomeState::Refused),
            ([OutcomeState::Failed, OutcomeState::Applied], OutcomeState::Applied),
        ] {
            let desk = Desk::default();
            desk.begin("c", &rulings, is_slow);
            let [quick, slow] = states.map(|state| said(&rulings, state, ""));
            assert_eq!(desk.answer(quick, slow).state, expected);
        }
    }
}
