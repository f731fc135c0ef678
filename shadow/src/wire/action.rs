//! [`Action`]s and what became of them, on the wire.

use schemas::v1;

use super::{
    WireError,
    check::Check,
    command::{COMMAND, OUTCOME, explanation_from_wire, explanation_to_wire},
};
use crate::{Action, ActionKind, ActionOutcome};

pub(super) fn action_to_wire(action: &Action) -> v1::Action {
    v1::Action {
        kind: kind_to_wire(action.kind).into(),
        workload: action.workload.clone(),
        amount: action.amount,
        explanation: Some(explanation_to_wire(&action.explanation)),
    }
}

pub(super) fn action_from_wire(i: usize, action: v1::Action) -> Result<Action, WireError> {
    Ok(Action {
        kind: kind_from_wire(COMMAND, i, action.kind)?,
        workload: workload(COMMAND, i, action.workload)?,
        amount: COMMAND.maybe_amount(format_args!("actions[{i}].amount"), action.amount)?,
        explanation: explanation_from_wire(format_args!("actions[{i}]"), action.explanation.unwrap_or_default())?,
    })
}

pub(super) fn action_outcome_to_wire(action: &ActionOutcome) -> v1::ActionOutcome {
    v1::ActionOutcome {
        kind: kind_to_wire(action.kind).into(),
        workload: action.workload.clone(),
        before: action.before,
        after: action.after,
        lever: action.lever.clone(),
        note: action.note.clone(),
    }
}

pub(super) fn action_outcome_from_wire(i: usize, action: v1::ActionOutcome) -> Result<ActionOutcome, WireError> {
    Ok(ActionOutcome {
        kind: kind_from_wire(OUTCOME, i, action.kind)?,
        workload: workload(OUTCOME, i, action.workload)?,
        before: OUTCOME.maybe_amount(format_args!("actions[{i}].before"), action.before)?,
        after: OUTCOME.maybe_amount(format_args!("actions[{i}].after"), action.after)?,
        lever: OUTCOME.text(format_args!("actions[{i}].lever"), action.lever)?,
        note: OUTCOME.text(format_args!("actions[{i}].note"), action.note)?,
    })
}

/// Empty for the host as a whole.
fn workload(check: Check, i: usize, name: String) -> Result<String, WireError> {
    if name.is_empty() {
        return Ok(name);
    }
    check.name(format_args!("actions[{i}].workload"), name)
}

const fn kind_to_wire(kind: ActionKind) -> v1::action::Kind {
    match kind {
        ActionKind::ChassisOn => v1::action::Kind::ChassisOn,
        ActionKind::LimitTasks => v1::action::Kind::LimitTasks,
    }
}

fn kind_from_wire(check: Check, i: usize, number: i32) -> Result<ActionKind, WireError> {
    match v1::action::Kind::try_from(number) {
        Ok(v1::action::Kind::ChassisOn) => Ok(ActionKind::ChassisOn),
        Ok(v1::action::Kind::LimitTasks) => Ok(ActionKind::LimitTasks),
        Ok(v1::action::Kind::Unspecified) | Err(_) => {
            Err(check.bad(format_args!("actions[{i}].kind"), format!("{number} is not known")))
        }
    }
}
