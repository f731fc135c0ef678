//! [`Command`]s and [`Outcome`]s on the wire.

use std::{fmt::Arguments, ops::RangeInclusive};

use prost::Message;
use schemas::v1;

use super::{
    WireError,
    action::{action_from_wire, action_outcome_from_wire, action_outcome_to_wire, action_to_wire},
    check::Check,
    scan::{self, List},
};
use crate::{Change, ChangeOutcome, Command, Effect, Explanation, Outcome, OutcomeState, Resource, check_name};

/// The longest command.
pub const MAX_COMMAND_BYTES: usize = 256 << 10;

/// The longest outcome.
pub const MAX_OUTCOME_BYTES: usize = 256 << 10;

/// The most changes in a command, and so in an outcome.
pub const MAX_CHANGES: usize = 1_024;

/// The most actions in a command, and so in an outcome.
pub const MAX_ACTIONS: usize = 1_024;

/// The longest life of a command, in milliseconds: a week. A lease that outlives its brain by more
/// would be no lease.
pub const MAX_TTL_MS: u64 = 7 * 24 * 3_600_000;

pub(super) const COMMAND: Check = Check {
    message: "command",
    max_bytes: MAX_COMMAND_BYTES,
    lists: &[
        List {
            name: "changes",
            path: &[8],
            most: MAX_CHANGES,
        },
        List {
            name: "actions",
            path: &[ACTIONS],
            most: MAX_ACTIONS,
        },
    ],
};

pub(super) const OUTCOME: Check = Check {
    message: "outcome",
    max_bytes: MAX_OUTCOME_BYTES,
    lists: &[
        List {
            name: "changes",
            path: &[5],
            most: MAX_CHANGES,
        },
        List {
            name: "actions",
            path: &[6],
            most: MAX_ACTIONS,
        },
    ],
};

/// The field of a command's actions.
const ACTIONS: u64 = 64;

/// Fields that change what a command means: a reader that does not know one does not guess.
const CRITICAL: RangeInclusive<u64> = 64..=99;

/// Those that are known.
const KNOWN: &[u64] = &[ACTIONS];

/// What inside a command may have such fields: its changes, its actions and their explanations.
const CRITICAL_WITHIN: &[&[u64]] = &[&[8, 5], &[ACTIONS, 4]];

/// The bytes of `command`.
pub fn encode_command(command: &Command) -> Vec<u8> {
    let message = v1::Command {
        id: command.id.clone(),
        host: command.host.clone(),
        issuer_epoch: command.issuer_epoch,
        sequence: command.sequence,
        issued_ms: command.issued_ms,
        ttl_ms: command.ttl_ms,
        dry_run: command.dry_run,
        changes: command.changes.iter().map(change_to_wire).collect(),
        actions: command.actions.iter().map(action_to_wire).collect(),
    };
    message.encode_to_vec()
}

/// Reads a command. Whether it is meant for the reader, new and allowed is the guard's to say.
///
/// # Errors
/// [`WireError`] when it is too long, not protobuf, for no valid host name, of sequence 0, of a life of
/// 0 or more than [`MAX_TTL_MS`], has a number that is not finite or a negative target, or a critical field that is not
/// known here.
pub fn decode_command(bytes: &[u8]) -> Result<Command, WireError> {
    let message: v1::Command = COMMAND.decode(bytes)?;
    if let Some(number) = scan::find(bytes, &CRITICAL, KNOWN, CRITICAL_WITHIN) {
        let fault = "it changes what is meant and is not known here; a newer agent may know it";
        return Err(COMMAND.bad(format_args!("field {number}"), fault));
    }
    check_name(&message.host).map_err(|fault| COMMAND.bad(format_args!("host"), fault.to_string()))?;
    if message.sequence == 0 {
        return Err(COMMAND.bad(format_args!("sequence"), "0; they begin at 1"));
    }
    if message.ttl_ms == 0 || message.ttl_ms > MAX_TTL_MS {
        let fault = format!("{} ms is not from 1 to {MAX_TTL_MS}", message.ttl_ms);
        return Err(COMMAND.bad(format_args!("ttl_ms"), fault));
    }
    let changes = message.changes.into_iter().enumerate();
    let actions = message.actions.into_iter().enumerate();
    Ok(Command {
        id: COMMAND.name(format_args!("id"), message.id)?,
        host: message.host,
        issuer_epoch: COMMAND.number(format_args!("issuer_epoch"), message.issuer_epoch)?,
        sequence: COMMAND.number(format_args!("sequence"), message.sequence)?,
        issued_ms: COMMAND.time(format_args!("issued_ms"), message.issued_ms)?,
        ttl_ms: message.ttl_ms,
        dry_run: message.dry_run,
        changes: changes
            .map(|(i, change)| change_from_wire(i, change))
            .collect::<Result<_, _>>()?,
        actions: actions
            .map(|(i, action)| action_from_wire(i, action))
            .collect::<Result<_, _>>()?,
    })
}

/// The id of a command that cannot be read: too long, or with what is not known here. `None` where it has none either.
pub fn command_id(bytes: &[u8]) -> Option<String> {
    let ids = scan::fields(bytes).filter(|field| field.number == 1);
    let id = ids.filter_map(|field| field.content).last()?;
    let id = std::str::from_utf8(id).ok()?.to_owned();
    COMMAND.name(format_args!("id"), id).ok()
}

/// The bytes of `outcome`.
pub fn encode_outcome(outcome: &Outcome) -> Vec<u8> {
    let message = v1::Outcome {
        command_id: outcome.command_id.clone(),
        state: state_to_wire(outcome.state).into(),
        reason: outcome.reason.clone(),
        time_ms: outcome.time_ms,
        changes: outcome.changes.iter().map(change_outcome_to_wire).collect(),
        actions: outcome.actions.iter().map(action_outcome_to_wire).collect(),
    };
    message.encode_to_vec()
}

/// Reads an outcome.
///
/// # Errors
/// [`WireError`] when it is too long, not protobuf, of no known state, or has a number that is not finite.
pub fn decode_outcome(bytes: &[u8]) -> Result<Outcome, WireError> {
    let message: v1::Outcome = OUTCOME.decode(bytes)?;
    let changes = message.changes.into_iter().enumerate();
    let actions = message.actions.into_iter().enumerate();
    Ok(Outcome {
        command_id: OUTCOME.name(format_args!("command_id"), message.command_id)?,
        state: state_from_wire(message.state)?,
        reason: OUTCOME.text(format_args!("reason"), message.reason)?,
        time_ms: OUTCOME.time(format_args!("time_ms"), message.time_ms)?,
        changes: changes
            .map(|(i, change)| change_outcome_from_wire(i, change))
            .collect::<Result<_, _>>()?,
        actions: actions
            .map(|(i, action)| action_outcome_from_wire(i, action))
            .collect::<Result<_, _>>()?,
    })
}

fn change_to_wire(change: &Change) -> v1::Change {
    v1::Change {
        workload: change.workload.clone(),
        resource: resource_to_wire(change.resource).into(),
        before: change.before,
        target: change.target,
        ceiling: change.ceiling,
        explanation: Some(explanation_to_wire(&change.explanation)),
    }
}

fn change_from_wire(i: usize, change: v1::Change) -> Result<Change, WireError> {
    Ok(Change {
        workload: COMMAND.name(format_args!("changes[{i}].workload"), change.workload)?,
        resource: resource_from_wire(COMMAND, i, change.resource)?,
        before: COMMAND.maybe_amount(format_args!("changes[{i}].before"), change.before)?,
        target: COMMAND.amount(format_args!("changes[{i}].target"), change.target)?,
        ceiling: COMMAND.maybe_amount(format_args!("changes[{i}].ceiling"), change.ceiling)?,
        explanation: explanation_from_wire(format_args!("changes[{i}]"), change.explanation.unwrap_or_default())?,
    })
}

pub(super) fn explanation_to_wire(explanation: &Explanation) -> v1::Explanation {
    v1::Explanation {
        strategy: explanation.strategy.clone(),
        text: explanation.text.clone(),
        quantile: explanation.quantile,
        forecast: explanation.forecast,
        margin: explanation.margin,
        horizon_s: explanation.horizon_s,
        rung: explanation.rung.clone(),
        clamp: explanation.clamp.clone(),
        rejected: explanation.rejected.clone(),
        coverage: explanation.coverage,
        used: explanation.used,
        wanted: explanation.wanted,
        learnt: explanation.learnt,
        turns: explanation.turns,
    }
}

/// `of`: what it explains.
pub(super) fn explanation_from_wire(of: Arguments<'_>, explanation: v1::Explanation) -> Result<Explanation, WireError> {
    let text = |name: &str, text| COMMAND.text(format_args!("{of}.explanation.{name}"), text);
    let finite = |name: &str, value| COMMAND.finite(format_args!("{of}.explanation.{name}"), value);
    let maybe = |name: &str, value: Option<f64>| value.map(|value| finite(name, value)).transpose();
    Ok(Explanation {
        strategy: text("strategy", explanation.strategy)?,
        text: text("text", explanation.text)?,
        quantile: finite("quantile", explanation.quantile)?,
        forecast: finite("forecast", explanation.forecast)?,
        margin: finite("margin", explanation.margin)?,
        horizon_s: explanation.horizon_s,
        rung: text("rung", explanation.rung)?,
        clamp: text("clamp", explanation.clamp)?,
        rejected: text("rejected", explanation.rejected)?,
        coverage: maybe("coverage", explanation.coverage)?,
        used: maybe("used", explanation.used)?,
        wanted: maybe("wanted", explanation.wanted)?,
        learnt: finite("learnt", explanation.learnt)?,
        turns: explanation.turns,
    })
}

fn change_outcome_to_wire(change: &ChangeOutcome) -> v1::ChangeOutcome {
    v1::ChangeOutcome {
        workload: change.workload.clone(),
        resource: resource_to_wire(change.resource).into(),
        before: change.before,
        after: change.after,
        lever: change.lever.clone(),
        note: change.note.clone(),
        effect: match change.effect {
            Effect::None => v1::Effect::None,
            Effect::Raised => v1::Effect::Raised,
            Effect::Hurt => v1::Effect::Hurt,
            Effect::NotDone => v1::Effect::NotDone,
        }
        .into(),
    }
}

fn change_outcome_from_wire(i: usize, change: v1::ChangeOutcome) -> Result<ChangeOutcome, WireError> {
    Ok(ChangeOutcome {
        workload: OUTCOME.name(format_args!("changes[{i}].workload"), change.workload)?,
        resource: resource_from_wire(OUTCOME, i, change.resource)?,
        before: OUTCOME.maybe_amount(format_args!("changes[{i}].before"), change.before)?,
        after: OUTCOME.maybe_amount(format_args!("changes[{i}].after"), change.after)?,
        lever: OUTCOME.text(format_args!("changes[{i}].lever"), change.lever)?,
        note: OUTCOME.text(format_args!("changes[{i}].note"), change.note)?,
        effect: match v1::Effect::try_from(change.effect) {
            Ok(v1::Effect::None) => Effect::None,
            Ok(v1::Effect::Raised) => Effect::Raised,
            Ok(v1::Effect::Hurt) => Effect::Hurt,
            Ok(v1::Effect::NotDone) => Effect::NotDone,
            Err(_) => {
                let fault = format!("{} is not known", change.effect);
                return Err(OUTCOME.bad(format_args!("changes[{i}].effect"), fault));
            }
        },
    })
}

const fn resource_to_wire(resource: Resource) -> v1::Resource {
    match resource {
        Resource::Cpu => v1::Resource::Cpu,
        Resource::Memory => v1::Resource::Memory,
        Resource::Network => v1::Resource::Network,
        Resource::Disk => v1::Resource::Disk,
        Resource::Power => v1::Resource::Power,
    }
}

fn resource_from_wire(check: Check, i: usize, number: i32) -> Result<Resource, WireError> {
    match v1::Resource::try_from(number) {
        Ok(v1::Resource::Cpu) => Ok(Resource::Cpu),
        Ok(v1::Resource::Memory) => Ok(Resource::Memory),
        Ok(v1::Resource::Network) => Ok(Resource::Network),
        Ok(v1::Resource::Disk) => Ok(Resource::Disk),
        Ok(v1::Resource::Power) => Ok(Resource::Power),
        Ok(v1::Resource::Unspecified) | Err(_) => {
            Err(check.bad(format_args!("changes[{i}].resource"), format!("{number} is not known")))
        }
    }
}

const fn state_to_wire(state: OutcomeState) -> v1::outcome::State {
    match state {
        OutcomeState::Applied => v1::outcome::State::Applied,
        OutcomeState::DryRun => v1::outcome::State::DryRun,
        OutcomeState::Refused => v1::outcome::State::Refused,
        OutcomeState::Expired => v1::outcome::State::Expired,
        OutcomeState::Failed => v1::outcome::State::Failed,
        OutcomeState::Distrusted => v1::outcome::State::Distrusted,
        OutcomeState::Raised => v1::outcome::State::Raised,
        OutcomeState::Hurt => v1::outcome::State::Hurt,
    }
}

fn state_from_wire(number: i32) -> Result<OutcomeState, WireError> {
    match v1::outcome::State::try_from(number) {
        Ok(v1::outcome::State::Applied) => Ok(OutcomeState::Applied),
        Ok(v1::outcome::State::DryRun) => Ok(OutcomeState::DryRun),
        Ok(v1::outcome::State::Refused) => Ok(OutcomeState::Refused),
        Ok(v1::outcome::State::Expired) => Ok(OutcomeState::Expired),
        Ok(v1::outcome::State::Failed) => Ok(OutcomeState::Failed),
        Ok(v1::outcome::State::Distrusted) => Ok(OutcomeState::Distrusted),
        Ok(v1::outcome::State::Raised) => Ok(OutcomeState::Raised),
        Ok(v1::outcome::State::Hurt) => Ok(OutcomeState::Hurt),
        Ok(v1::outcome::State::Unspecified) | Err(_) => {
            Err(OUTCOME.bad(format_args!("state"), format!("{number} is not known")))
        }
    }
}
