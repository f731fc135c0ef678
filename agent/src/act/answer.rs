//! What became of what was asked, before it is told as an [`Outcome`]. Pure.

use shadow::{ActionKind, ActionOutcome, ChangeOutcome, Effect, Outcome, OutcomeState, UnixMs};

use super::Quantity;

/// What became of one change, or of one action.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// With which workload; empty for the host in an action.
    pub workload: String,
    /// Of what.
    pub quantity: Quantity,
    /// The value found.
    pub before: Option<f64>,
    /// The value now (in a dry run: what it would be).
    pub after: Option<f64>,
    /// What was, or would be, written.
    pub lever: String,
    /// A clamp, a refusal or a fault, in words.
    pub note: String,
    /// What the agent has done with it by itself.
    pub effect: Effect,
}

impl Row {
    /// One that was not done, for the reason `note`.
    pub(crate) fn not_done(workload: &str, quantity: Quantity, note: String) -> Self {
        Self {
            workload: workload.to_owned(),
            quantity,
            before: None,
            after: None,
            lever: String::new(),
            note,
            effect: Effect::NotDone,
        }
    }
}

/// The outcome of a command, whose `rows` are in its order: changes first, then actions.
pub(crate) fn outcome(command_id: &str, state: OutcomeState, reason: &str, time_ms: UnixMs, rows: &[Row]) -> Outcome {
    Outcome {
        command_id: command_id.to_owned(),
        state,
        reason: reason.to_owned(),
        time_ms,
        changes: rows.iter().filter_map(change).collect(),
        actions: rows.iter().filter_map(action).collect(),
    }
}

fn change(row: &Row) -> Option<ChangeOutcome> {
    Some(ChangeOutcome {
        workload: row.workload.clone(),
        resource: row.quantity.resource()?,
        before: row.before,
        after: row.after,
        lever: row.lever.clone(),
        note: row.note.clone(),
        effect: row.effect,
    })
}

fn action(row: &Row) -> Option<ActionOutcome> {
    let kind = match row.quantity {
        Quantity::Chassis => ActionKind::ChassisOn,
        Quantity::Tasks => ActionKind::LimitTasks,
        _ => return None,
    };
    Some(ActionOutcome {
        kind,
        workload: row.workload.clone(),
        before: row.before,
        after: row.after,
        lever: row.lever.clone(),
        note: row.note.clone(),
    })
}
