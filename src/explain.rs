//! `foreshadow explain`: one command or proposal in words: what it rests on, what bound it, and what came of it.

use anyhow::bail;
use brain::{
    allocate::{amount, proposals::Proposal},
    history::{CommandStory, History, Uses, rfc3339},
};
use clap::Args;
use runtime::output::print;
use shadow::{Change, Command, Explanation, HOST_WORKLOAD, LEASE, Outcome, Resource, UnixMs};

use crate::query::place::Place;

/// How long after a command is looked at what was used, in milliseconds.
const AFTER_MS: i64 = 3_600_000;

const EXIT_STATUS: &str = "\
Exit status: 0 when the command or proposal is known; 1 when it is not, or the database cannot be read; 64 for bad usage.
IDs are told by the page, by `foreshadow query commands` and by the view `allocation` of a host.";

/// Arguments of `foreshadow explain`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    place: Place,
    /// The command's name, or the proposal's
    #[arg(value_name = "ID")]
    id: String,
}

/// Explains one command or proposal.
///
/// # Errors
/// A database that cannot be read, a command that is not known, or an output that cannot be written.
pub(crate) async fn main(arguments: &ExplainArgs) -> anyhow::Result<()> {
    let mut history = History::open(&arguments.place.database()?).await?;
    let id = &arguments.id;
    let proposal = history.proposal(id).await?;
    let command = proposal.as_ref().and_then(|proposal| proposal.command_id.as_ref());
    let story = history.story(command.unwrap_or(id), AFTER_MS).await?;
    history.close().await?;
    match (&proposal, &story) {
        (proposal, Some(story)) => {
            let approved = proposal.as_ref().map(approval).unwrap_or_default();
            Ok(print(&(approved + &told(story)))?)
        }
        (Some(proposal), None) => Ok(print(&proposed(proposal))?),
        (None, None) => bail!(
            "no command or proposal called {id:?} is kept; `foreshadow query commands` and `foreshadow proposals --all` list them"
        ),
    }
}

/// When it was proposed, and what became of that.
fn approval(proposal: &Proposal) -> String {
    let Proposal { id, host, made_ms, .. } = proposal;
    let (made, told) = (rfc3339(*made_ms), proposal.told());
    let stands = match proposal.decided_ms {
        Some(decided_ms) => format!("{told}, {}", rfc3339(decided_ms)),
        None => format!("it waits for approval until {}", rfc3339(proposal.expires_ms)),
    };
    format!("{id} for {host}, proposed {made}; {stands}.\n")
}

/// A proposal that was not made.
fn proposed(proposal: &Proposal) -> String {
    let change = &proposal.change;
    let mut lines = vec![format!("{}\n{}.", approval(proposal), change.explanation.text)];
    lines.extend(basis(change));
    lines.join("\n") + "\n"
}

fn told(story: &CommandStory) -> String {
    let Command {
        id,
        host,
        issued_ms,
        ttl_ms,
        dry_run,
        ..
    } = &story.command;
    let meant = if *dry_run {
        "a recommendation: nothing is written"
    } else {
        "to be carried out"
    };
    let mut lines = vec![format!(
        "{id} for {host}, issued {}, {meant}; it holds {} s unless it is told again.",
        rfc3339(*issued_ms),
        ttl_ms / 1_000
    )];
    lines.extend(story.outcomes.iter().map(|outcome| {
        let (time, state) = (rfc3339(outcome.time_ms), outcome.state.as_str());
        format!("  {time}: {state}{}", reason(&outcome.reason))
    }));
    if story.outcomes.is_empty() {
        lines.push("  Its agent has not answered.".to_owned());
    }
    for (at, change) in story.command.changes.iter().enumerate() {
        let uses = story.uses.get(at).map(Vec::as_slice).unwrap_or_default();
        lines.push(format!("\n{}.", change.explanation.text));
        lines.extend(of_change(story, (at, change), uses));
    }
    lines.extend(story.command.actions.iter().map(|action| {
        let what = action.kind.as_str().replace('_', " ");
        format!("\n{what}: {}.", action.explanation.text)
    }));
    lines.join("\n") + "\n"
}

fn reason(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(", {reason}")
    }
}

fn of_change(story: &CommandStory, (at, change): (usize, &Change), uses: &[Uses]) -> Vec<String> {
    let mut lines = basis(change);
    if change.explanation.strategy == LEASE {
        return lines;
    }
    for outcome in &story.outcomes {
        if let Some(written) = written(outcome, (at, change)) {
            lines.push(line("written", &written));
        }
    }
    let next = next(story, change);
    let after = after(story.command.issued_ms, change, uses, next);
    lines.extend(after.iter().map(|after| line("after", after)));
    lines
}

fn line(name: &str, what: &str) -> String {
    format!("  {name:<12}{what}")
}

/// What a change rests on, and what bound it.
fn basis(change: &Change) -> Vec<String> {
    let why = &change.explanation;
    let amount = |value: f64| amount(change.resource, value);
    let mut lines = Vec::new();
    let mut line = |name: &str, what: String| lines.push(line(name, &what));
    let before = change.before.map_or_else(|| "nothing".to_owned(), amount);
    line(
        "change",
        format!("{} from {before} to {}", subject(change), amount(change.target)),
    );
    if why.strategy == LEASE {
        return lines;
    }
    line("strategy", why.strategy.clone());
    line("forecast", forecast(why, change.resource));
    line("calibration", calibration(why));
    line("margin", margin(why));
    if let Some(used) = why.used {
        line("used then", amount(used));
    }
    if let Some(wanted) = why.wanted {
        line("asked for", amount(wanted));
    }
    line("bound", bound(&why.clamp).to_owned());
    if why.turns > 0 {
        line(
            "to and fro",
            format!(
                "{} fall(s) after a rise lately: each makes the next wait longer",
                why.turns
            ),
        );
    }
    if let Some(ceiling) = change.ceiling {
        line(
            "ceiling",
            format!("under pressure its agent may raise it to {}", amount(ceiling)),
        );
    }
    let rejected = if why.rejected.is_empty() {
        "nothing else"
    } else {
        &why.rejected
    };
    line("considered", rejected.to_owned());
    lines
}

fn subject(change: &Change) -> String {
    if change.workload == HOST_WORKLOAD {
        format!("{} of the host", change.resource)
    } else {
        format!("{} of {}", change.resource, change.workload)
    }
}

fn forecast(why: &Explanation, resource: Resource) -> String {
    let value = amount(resource, why.forecast);
    if why.quantile <= 0.0 {
        return format!("none: {value} is what was used");
    }
    let minutes = f64::from(why.horizon_s) / 60.0;
    if why.rung == "books" {
        let held = why.quantile * 100.0;
        return format!(
            "{value} by the books of its rules for {minutes:.0} min: the rule in use held {held:.1} % of the time lately"
        );
    }
    format!(
        "p{:.0} for {minutes:.0} min ahead is {value}, by {}",
        why.quantile * 100.0,
        why.rung
    )
}

fn calibration(why: &Explanation) -> String {
    match why.coverage {
        Some(coverage) => format!("the p95 held {:.1} % of the values lately", coverage * 100.0),
        None => "not known yet, so nothing is lowered on its word".to_owned(),
    }
}

fn margin(why: &Explanation) -> String {
    let all = why.margin * 100.0;
    if why.learnt > 0.0 {
        let learnt = why.learnt * 100.0;
        format!("{all:.0} % on top, {learnt:.0} % of it learnt from what came of earlier changes")
    } else {
        format!("{all:.0} % on top")
    }
}

fn bound(clamp: &str) -> &str {
    match clamp {
        "" => "none",
        "capacity" => "what the host has",
        "floor" => "the floor of its class",
        "ceiling" => "the ceiling of its class",
        "slew" => "the step that one change may take",
        "pool" => "what could be given",
        "hurt" => "what was held before a lowering hurt",
        other => other,
    }
}

/// What the agent says of the change.
fn written(outcome: &Outcome, (at, change): (usize, &Change)) -> Option<String> {
    let told = outcome.changes.get(at)?;
    let amount =
        |value: Option<f64>| value.map_or_else(|| "no limit".to_owned(), |value| amount(change.resource, value));
    let lever = if told.lever.is_empty() { "no lever" } else { &told.lever };
    let note = reason(&told.note);
    Some(format!(
        "{}: {lever}, {} before, {} now{note}",
        outcome.state.as_str(),
        amount(told.before),
        amount(told.after)
    ))
}

/// The next change of the same reservation.
fn next<'s>(story: &'s CommandStory, change: &Change) -> Option<(&'s Command, &'s Change)> {
    let same = |other: &&Change| (&other.workload, other.resource) == (&change.workload, change.resource);
    let mut later = story.later.iter();
    later.find_map(|command| Some((command, command.changes.iter().find(same)?)))
}

/// What was used after it, until the next change, and what that was.
fn after(issued_ms: UnixMs, change: &Change, uses: &[Uses], next: Option<(&Command, &Change)>) -> Vec<String> {
    let until_ms = next.map_or(UnixMs::MAX, |(command, _)| command.issued_ms);
    let value = |uses: &Uses| match change.resource {
        Resource::Cpu => uses.cpu_cores,
        Resource::Memory => uses.memory_bytes,
        Resource::Network | Resource::Disk | Resource::Power => None,
    };
    let within = uses
        .iter()
        .filter(|uses| (issued_ms..until_ms).contains(&uses.begin_ms));
    let values: Vec<f64> = within.filter_map(value).collect();
    let mut told = Vec::new();
    if let Some(most) = values.iter().copied().reduce(f64::max) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let over = values.iter().filter(|value| **value > change.target).count();
        told.push(format!(
            "in {} min it used {} on average and {} at most; {over} min were over the reservation",
            values.len(),
            amount(change.resource, mean),
            amount(change.resource, most)
        ));
    } else {
        told.push("what was used afterwards is not kept by minute".to_owned());
    }
    match next {
        Some((command, next)) => told.push(format!(
            "{} by {}: {}",
            rfc3339(command.issued_ms),
            command.id,
            next.explanation.text
        )),
        None => told.push(format!("no other change within {} min", AFTER_MS / 60_000)),
    }
    told
}

#[cfg(test)]
mod tests {
    use shadow::{ChangeOutcome, Effect, OutcomeState};

    use super::*;

    fn change(target: f64) -> Change {
        Change {
            workload: "web".to_owned(),
            resource: Resource::Cpu,
            before: Some(2.0),
            target,
            ceiling: Some(3.0),
            explanation: Explanation {
                strategy: "preemptive".to_owned(),
                text: "cpu of web on a from 2 cores to 1.5 cores: because".to_owned(),
                quantile: 0.95,
                forecast: 1.2,
                margin: 0.15,
                learnt: 0.05,
                horizon_s: 900,
                rung: "lstm".to_owned(),
                clamp: "slew".to_owned(),
                rejected: "lowering to 1 core at once".to_owned(),
                coverage: Some(0.948),
                used: Some(1.0),
                wanted: Some(1.38),
                turns: 2,
            },
        }
    }

    fn command(id: &str, issued_ms: UnixMs, target: f64) -> Command {
        Command {
            id: id.to_owned(),
            host: "a".to_owned(),
            issuer_epoch: 1,
            sequence: 1,
            issued_ms,
            ttl_ms: 300_000,
            dry_run: false,
            changes: vec![change(target)],
            actions: Vec::new(),
        }
    }

    #[test]
    fn a_command_is_told_with_what_it_rests_on_and_what_came_of_it() {
        let outcome = Outcome {
            command_id: "1-a-1".to_owned(),
            state: OutcomeState::Applied,
            reason: String::new(),
            time_ms: 50,
            changes: vec![ChangeOutcome {
                workload: "web".to_owned(),
                resource: Resource::Cpu,
                before: None,
                after: Some(1.5),
                lever: "cpu.max".to_owned(),
                note: String::new(),
                effect: Effect::None,
            }],
            actions: Vec::new(),
        };
        let minute = |at: i64, cores: f64| Uses {
            begin_ms: at * 60_000,
            cpu_cores: Some(cores),
            memory_bytes: None,
        };
        let story = CommandStory {
            command: command("1-a-1", 0, 1.5),
            outcomes: vec![outcome],
            later: vec![command("1-a-2", 180_000, 2.0)],
            uses: vec![vec![minute(0, 1.0), minute(1, 1.4), minute(2, 1.6), minute(3, 9.0)]],
        };
        let text = told(&story);
        for line in [
            "1-a-1 for a, issued 1970-01-01T00:00:00.000Z, to be carried out; it holds 300 s unless it is told again.",
            "  1970-01-01T00:00:00.050Z: applied",
            "  change      cpu of web from 2 cores to 1.5 cores",
            "  forecast    p95 for 15 min ahead is 1.2 cores, by lstm",
            "  calibration the p95 held 94.8 % of the values lately",
            "  margin      15 % on top, 5 % of it learnt from what came of earlier changes",
            "  asked for   1.38 cores",
            "  bound       the step that one change may take",
            "  to and fro  2 fall(s) after a rise lately: each makes the next wait longer",
            "  ceiling     under pressure its agent may raise it to 3 cores",
            "  considered  lowering to 1 core at once",
            "  written     applied: cpu.max, no limit before, 1.5 cores now",
            "  after       in 3 min it used 1.33 cores on average and 1.6 cores at most; 1 min were over the reservation",
        ] {
            assert!(text.lines().any(|told| told == line), "{line:?} is not in\n{text}");
        }
        assert!(text.contains("by 1-a-2: cpu of web"), "{text}");
    }
}
