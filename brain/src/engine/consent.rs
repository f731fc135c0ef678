//! Somebody decides on a proposal.

use trust::audit::{Entry, What};

use super::{Engine, intake::At};
use crate::{
    allocate::proposals::{Proposal, Refusal},
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
        let decided = if approves {
            self.approve(&id, &by, at)
        } else {
            self.dispatch.decline(&id, (&by, &reason), at.now_ms)
        };
        let word = match (approves, decided.is_ok()) {
            (true, true) => "approved",
            (true, false) => "not approved",
            (false, true) => "declined",
            (false, false) => "not declined",
        };
        let entry = Entry::new(at.now_ms, What::Approval, word, &by)
            .with("proposal", &id)
            .with("reason", &reason);
        let entry = match &decided {
            Ok(proposal) => entry.with("command", proposal.command_id.as_deref().unwrap_or_default()),
            Err(refusal) => entry.with("refused", format!("{refusal:?}")),
        };
        tracing::info!(id, by, reason, "a proposal is {word}");
        self.audit.approve(entry, at.monotonic_ns);
        self.note_proposals();
        self.snapshot = self.picture().into();
        // Nobody waits any more when this fails.
        done.send(decided).unwrap_or_default();
    }

    fn approve(&mut self, id: &str, by: &str, at: At) -> Result<Proposal, Refusal> {
        if !self.connected {
            let why = "the broker is away, so no agent would hear of it";
            return Err(Refusal::Unfit(why.to_owned()));
        }
        let hosts = self.host_inputs(at.now_ms);
        let (proposal, command) = self.dispatch.approve((id, by), at.now_ms, &hosts)?;
        if let Some(command) = command {
            self.send(command, at);
            self.remember_allocation();
        }
        Ok(proposal)
    }

    /// Counts what has become of proposals, and notes them for the next start where something has.
    pub(super) fn note_proposals(&mut self) {
        for fate in self.dispatch.ended_proposals() {
            self.figures.proposals_ended.with(fate.as_str()).inc();
        }
        self.figures.proposals_open.set(self.dispatch.open_proposals() as f64);
        if let Some(proposals) = self.dispatch.new_proposals() {
            let json = serde_json::to_string(proposals);
            self.remember_json(meta::PROPOSALS, json);
        }
    }
}
