//! Somebody decides on a proposal.

use std::collections::BTreeMap;

use trust::audit::{Entry, What};

use super::{Engine, intake::At};
use crate::{
    allocate::proposals::{Fate, Proposal, Refusal},
    dispatch::Verdict,
    store::meta,
};

impl Engine {
    /// Somebody decides on a proposal. It is durable with the next flush.
    pub(super) fn decided(&mut self, verdict: Verdict, at: At) {
        let Verdict {
            id,
            approves,
            by,
            reason,
            done,
        } = verdict;
        let was_open = self.dispatch.is_open(&id);
        let decided = if approves {
            self.approve(&id, &by, at)
        } else {
            self.dispatch.decline(&id, (&by, &reason), at.now_ms)
        };
        let word = match (approves, decided.is_ok(), was_open) {
            (true, true, true) => "approved",
            (true, true, false) => "approved before",
            (true, false, _) => "not approved",
            (false, true, true) => "declined",
            (false, true, false) => "declined before",
            (false, false, _) => "not declined",
        };
        tracing::info!(id, by, reason, "a proposal is {word}");
        let entry = told(
            Entry::new(at.now_ms, What::Approval, word, &by),
            (&id, &reason),
            &decided,
        );
        if was_open && decided.is_ok() {
            self.audit.record(entry);
            self.note_proposals();
            self.snapshot = self.picture().into();
        } else {
            self.audit.approve(entry, at.monotonic_ns);
            self.note_proposals();
        }
        // Nobody waits any more when this fails.
        done.send(decided).unwrap_or_default();
    }

    fn approve(&mut self, id: &str, by: &str, at: At) -> Result<Proposal, Refusal> {
        if !self.connected {
            let why = "the broker is away, so no agent would hear of it";
            return Err(Refusal::Unfit(why.to_owned()));
        }
        if self
            .trust
            .as_ref()
            .is_some_and(|trust| trust.good_until_ms(at.now_ms).is_none())
        {
            let why = "the brain has no certificate that is good now, so no agent would believe it";
            return Err(Refusal::Unfit(why.to_owned()));
        }
        if !self.has_room() {
            let why = "the store is away, and there is no room to note a command until it is back";
            return Err(Refusal::Unfit(why.to_owned()));
        }
        // What is not open is answered without a look at the cell.
        let is_open = self.dispatch.is_open(id);
        let hosts = if is_open {
            self.host_inputs(at.now_ms)
        } else {
            BTreeMap::new()
        };
        let (proposal, command) = self.dispatch.approve((id, by), at.now_ms, &hosts)?;
        if let Some(command) = command {
            self.send(command, at);
            self.remember_allocation();
        }
        Ok(proposal)
    }

    /// Counts what has become of proposals, and notes them for whoever asks, and for the next start, where something has.
    pub(super) fn note_proposals(&mut self) {
        for proposal in self.dispatch.changed_proposals() {
            if proposal.fate != Fate::Open {
                self.figures.proposals_ended.with(proposal.fate.as_str()).inc();
            }
            self.batch.proposals.insert(proposal.id.clone(), proposal);
        }
        self.figures.proposals_open.set(self.dispatch.open_proposals() as f64);
        if let Some(proposals) = self.dispatch.new_proposals() {
            let json = serde_json::to_string(proposals);
            self.remember_json(meta::PROPOSALS, json);
        }
    }
}

/// What was decided on, and what came of it.
fn told(entry: Entry, (id, reason): (&str, &str), decided: &Result<Proposal, Refusal>) -> Entry {
    let entry = entry.with("proposal", id).with("reason", reason);
    match decided {
        Ok(proposal) => entry
            .with("host", &proposal.host)
            .with("workload", &proposal.change.workload)
            .with("resource", proposal.change.resource)
            .with("target", proposal.change.target)
            .with("command", proposal.command_id.as_deref().unwrap_or_default()),
        Err(refusal) => entry.with("refused", format!("{refusal:?}")),
    }
}
