//! `foreshadow proposals`, `approve` and `decline`: what a brain would change, and somebody's word on it.

use brain::allocate::{
    amount,
    proposals::{Fate, Proposal},
};
use clap::Args;
use runtime::output::print;
use serde_json::json;
use shadow::UnixMs;

use crate::client::{
    Page,
    words::{age, harmless},
};

const LIST_STATUS: &str = "\
Exit status: 0 when the brain has answered, whether anything is proposed or not; 1 when no brain can be asked.";

const DECIDE_STATUS: &str = "\
Exit status: 0 when it is decided so, now or before; 1 when it is not: there is none of this name, it has lapsed or was
decided otherwise, or it cannot be made now, and then why.";

/// Arguments of `foreshadow proposals`.
#[derive(Debug, Args)]
#[command(after_help = LIST_STATUS)]
pub(crate) struct ProposalsArgs {
    #[command(flatten)]
    page: Page,
    /// Also those that were decided or have lapsed, the newest first
    #[arg(long)]
    all: bool,
    /// As one JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `foreshadow approve`.
#[derive(Debug, Args)]
#[command(after_help = DECIDE_STATUS)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    verdict: VerdictArgs,
}

/// Arguments of `foreshadow decline`.
#[derive(Debug, Args)]
#[command(after_help = DECIDE_STATUS)]
pub(crate) struct DeclineArgs {
    #[command(flatten)]
    verdict: VerdictArgs,
    /// Why not, in a line; it is told with the next proposal of the same
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(Debug, Args)]
struct VerdictArgs {
    #[command(flatten)]
    page: Page,
    /// The proposal's name, as `foreshadow proposals` tells it
    #[arg(value_name = "ID")]
    id: String,
    /// Who decides: it stands in the audit log. The user's name where it is not said
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// What became of it, as one JSON object
    #[arg(long)]
    json: bool,
}

/// A page's answer.
#[derive(Debug, serde::Deserialize)]
struct Answer {
    time_ms: UnixMs,
    rows: Vec<Proposal>,
}

/// Lists proposals.
///
/// # Errors
/// When no brain can be asked, or the output cannot be written.
pub(crate) async fn list(arguments: &ProposalsArgs) -> anyhow::Result<()> {
    let Answer { time_ms, mut rows } = arguments.page.get("/api/v1/proposals").await?;
    rows.retain(|proposal| arguments.all || proposal.fate == Fate::Open);
    let text = if arguments.json {
        serde_json::to_string_pretty(&rows)? + "\n"
    } else {
        table(&rows, time_ms)
    };
    Ok(print(&text)?)
}

/// Approves a proposal.
///
/// # Errors
/// Why it is not made, or when no brain can be asked.
pub(crate) async fn approve(arguments: &ApproveArgs) -> anyhow::Result<()> {
    arguments.verdict.tell("approve", None).await
}

/// Declines a proposal.
///
/// # Errors
/// Why it is not declined, or when no brain can be asked.
pub(crate) async fn decline(arguments: &DeclineArgs) -> anyhow::Result<()> {
    arguments.verdict.tell("decline", Some(&arguments.reason)).await
}

impl VerdictArgs {
    async fn tell(&self, word: &str, reason: Option<&String>) -> anyhow::Result<()> {
        let by = self.page.actor(self.by.as_deref())?;
        let body = match reason {
            Some(reason) => json!({"by": by, "reason": reason}),
            None => json!({"by": by}),
        };
        let id: String = self.id.chars().map(escaped).collect();
        let path = format!("/api/v1/proposals/{id}/{word}");
        let proposal: Proposal = self.page.post(&path, &body).await?;
        let text = if self.json {
            serde_json::to_string_pretty(&proposal)?
        } else {
            said(&proposal)
        };
        Ok(print(&(text + "\n"))?)
    }
}

/// As it stands in a path.
fn escaped(letter: char) -> String {
    if letter.is_ascii_alphanumeric() || "-._".contains(letter) {
        return letter.to_string();
    }
    let mut bytes = [0; 4];
    let bytes = letter.encode_utf8(&mut bytes).bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

fn said(proposal: &Proposal) -> String {
    let told = harmless(&proposal.told());
    match &proposal.command_id {
        Some(id) => format!("{told}: it is the command {id} (`foreshadow explain {id}`)"),
        None => told,
    }
}

/// A line and its reason each.
fn table(rows: &[Proposal], now_ms: UnixMs) -> String {
    if rows.is_empty() {
        return "Nothing waits for approval.\n".to_owned();
    }
    let cells: Vec<[String; 5]> = rows.iter().map(|proposal| cells(proposal, now_ms)).collect();
    let head = ["ID", "WHAT", "FROM", "TO", "STANDS"].map(str::to_owned);
    let width = |at: usize| {
        let all = cells.iter().chain([&head]);
        all.filter_map(|cells| cells.get(at))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let line = |cells: &[String; 5]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&head);
    for (cells, proposal) in cells.iter().zip(rows) {
        let reason = harmless(&proposal.change.explanation.text);
        text.extend([&*line(cells), "    ", &reason, "\n"]);
    }
    text
}

fn cells(proposal: &Proposal, now_ms: UnixMs) -> [String; 5] {
    let change = &proposal.change;
    let said = |value: f64| amount(change.resource, value);
    let stands = match (proposal.fate, &proposal.outcome) {
        (Fate::Open, _) => format!("open for {}", age(proposal.expires_ms.saturating_sub(now_ms))),
        (Fate::Approved, Some(outcome)) => format!("{}: {}", proposal.told(), outcome.state.as_str()),
        (Fate::Approved, None) => format!("{}: no answer yet", proposal.told()),
        (Fate::Declined | Fate::Lapsed, _) => proposal.told(),
    };
    [
        proposal.id.clone(),
        format!("{} of {} on {}", change.resource, change.workload, proposal.host),
        change.before.map_or_else(|| "none".to_owned(), said),
        said(change.target),
        stands,
    ]
    .map(|cell| harmless(&cell))
}

#[cfg(test)]
mod tests {
    use shadow::{Change, Explanation, Resource};

    use super::*;

    fn proposal(fate: Fate, reason: &str) -> Proposal {
        Proposal {
            id: "7-a-p1".to_owned(),
            host: "a".to_owned(),
            made_ms: 0,
            expires_ms: 900_000,
            change: Change {
                workload: "web\u{1b}[2J".to_owned(),
                resource: Resource::Cpu,
                before: Some(2.0),
                target: 3.0,
                ceiling: None,
                explanation: Explanation {
                    text: "p95 for 5 min ahead is 2.7 cores".to_owned(),
                    ..Explanation::default()
                },
            },
            fate,
            decided_ms: None,
            by: if reason.is_empty() { "" } else { "ann" }.to_owned(),
            reason: reason.to_owned(),
            command_id: None,
            outcome: None,
        }
    }

    #[test]
    fn proposals_are_told_in_columns_with_their_reasons_and_steer_no_terminal() {
        let rows = [proposal(Fate::Open, ""), proposal(Fate::Declined, "too much")];
        let lines = [
            "ID      WHAT                 FROM     TO       STANDS",
            "7-a-p1  cpu of web [2J on a  2 cores  3 cores  open for 14 min",
            "    p95 for 5 min ahead is 2.7 cores",
            "7-a-p1  cpu of web [2J on a  2 cores  3 cores  declined by ann: too much",
            "    p95 for 5 min ahead is 2.7 cores",
        ];
        assert_eq!(table(&rows, 60_000).lines().collect::<Vec<_>>(), lines);
        assert_eq!(table(&[], 0), "Nothing waits for approval.\n");
    }

    #[test]
    fn a_name_stays_within_its_part_of_the_path() {
        let id: String = "7-a-p1/../../freeze?x=ä".chars().map(escaped).collect();
        assert_eq!(id, "7-a-p1%2F..%2F..%2Ffreeze%3Fx%3D%C3%A4");
    }
}
