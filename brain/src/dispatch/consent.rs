//! Changes by somebody's word: proposals are made of a plan, and commands of those that are approved.

use std::{collections::BTreeMap, sync::Arc};

use shadow::{Command, Outcome, OutcomeState, UnixMs};
use tokio::sync::oneshot;

use super::Dispatch;
use crate::{
    allocate::{
        self, HostInput, Key,
        proposals::{Fate, Proposal, Proposals, Refusal},
    },
    snapshot::CommandView,
};

/// Somebody decides on a proposal.
#[derive(Debug)]
pub struct Verdict {
    /// On which.
    pub id: String,
    /// Yes or no.
    pub approves: bool,
    /// Who, by their own word.
    pub by: String,
    /// Why not, in their words, or empty.
    pub reason: String,
    /// Told what became of it once that is durable. Where nobody waits for it any more, nothing does.
    pub done: oneshot::Sender<Result<Proposal, Refusal>>,
}

impl Dispatch {
    /// Makes proposals of a plan that takes everybody to agree, and tells what those that are open reserve. Of a frozen
    /// cell nothing is proposed.
    pub(super) fn propose(&mut self, now_ms: UnixMs, hosts: &BTreeMap<String, HostInput>) -> BTreeMap<Key, f64> {
        self.proposals.expire(now_ms);
        if self.freeze.is_none() && (self.policy.asks_any() || self.proposals.open() > 0) {
            let plan = allocate::plan(&self.inputs((now_ms, hosts), None));
            self.proposals.round(&plan, self.policy.proposals, self.issuer_epoch);
        }
        self.proposals.targets()
    }

    /// Somebody, `by` their own word, approves the proposal called `id`: the command that was shown, unless it was made of
    /// it before.
    ///
    /// # Errors
    /// [`Refusal`], with what holds it back now.
    pub(crate) fn approve(
        &mut self,
        (id, by): (&str, &str),
        now_ms: UnixMs,
        hosts: &BTreeMap<String, HostInput>,
    ) -> Result<(Proposal, Option<Command>), Refusal> {
        let proposal = self.proposals.find(id, Fate::Approved, now_ms)?.clone();
        if proposal.fate == Fate::Approved {
            return Ok((proposal, None));
        }
        if let Some(freeze) = &self.freeze {
            return Err(Refusal::Unfit(format!("the cell is frozen by {}", freeze.by)));
        }
        let inputs = self.inputs((now_ms, hosts), None);
        let state = allocate::admit(&inputs, &proposal.host, &proposal.change).map_err(Refusal::Unfit)?;
        self.state = state;
        let command = self.command(now_ms, &proposal.host, vec![proposal.change.clone()], false);
        self.state.sent(&command);
        self.sent.push(CommandView {
            command: command.clone(),
            outcome: None,
        });
        self.shown = None;
        let approved = self.proposals.approved(proposal, (by, &command.id), now_ms);
        Ok((approved, Some(command)))
    }

    /// Somebody, `by` their own word, says no to the proposal called `id`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn decline(&mut self, id: &str, why: (&str, &str), now_ms: UnixMs) -> Result<Proposal, Refusal> {
        self.proposals.decline(id, why, now_ms)
    }

    /// What was approved is on its way.
    pub(crate) fn made(&mut self, approved: &Proposal, now_ms: UnixMs) {
        self.savings.changed(&approved.key(), now_ms);
    }

    /// Nothing comes of what was decided on the proposal called `id`, for `reason`: it is open again, and its `command` was
    /// never sent. What is promised is as if its agent had refused it. Tells that as an answer, to be stored.
    pub(crate) fn take_back(
        &mut self,
        id: &str,
        command: Option<&Command>,
        (now_ms, reason): (UnixMs, &str),
    ) -> Option<Outcome> {
        self.proposals.reopen(id);
        let command = command?;
        let outcome = Outcome {
            command_id: command.id.clone(),
            state: OutcomeState::Failed,
            reason: format!("never sent: {reason}"),
            time_ms: now_ms,
            changes: Vec::new(),
            actions: Vec::new(),
        };
        if let Some(view) = self.sent.get_mut(&command.host, &command.id) {
            view.outcome = Some(outcome.clone());
        }
        self.shown = None;
        self.state.settle(command, &outcome);
        Some(outcome)
    }

    /// Time has passed: proposals lapse, whether plans are made or not.
    pub(crate) fn expire(&mut self, now_ms: UnixMs) {
        self.proposals.expire(now_ms);
    }

    /// Proposals, to be stored, where they have changed since this was asked last.
    pub(crate) fn new_proposals(&mut self) -> Option<&Proposals> {
        self.forget_shown();
        self.proposals.take_news().then_some(&self.proposals)
    }

    fn forget_shown(&mut self) {
        if self.proposals.is_news() {
            self.shown_proposals = None;
        }
    }

    /// Those that were made or have ended since this was asked last.
    pub(crate) fn changed_proposals(&mut self) -> Vec<Proposal> {
        self.proposals.take_changed()
    }

    /// Every proposal that is remembered.
    pub(crate) fn remembered_proposals(&self) -> impl Iterator<Item = &Proposal> {
        self.proposals.all()
    }

    /// Whether the proposal called `id` waits for somebody's word.
    pub(crate) fn is_open(&self, id: &str) -> bool {
        self.proposals.is_open(id)
    }

    /// How many proposals are open.
    pub(crate) fn open_proposals(&self) -> usize {
        self.proposals.open()
    }

    /// Goes on with proposals of before a restart.
    pub(crate) fn restore_proposals(&mut self, proposals: Proposals) {
        self.proposals = proposals;
        self.shown_proposals = None;
    }

    /// Those that are open, then those before, the newest first. Shared between pictures until one of them changes.
    pub(crate) fn shown_proposals(&mut self) -> Arc<Vec<Proposal>> {
        self.forget_shown();
        let proposals = &self.proposals;
        let shown = self.shown_proposals.get_or_insert_with(|| Arc::new(proposals.shown()));
        Arc::clone(shown)
    }
}
