//! Somebody decides on a proposal.
//!
//! What was decided is noted first: its command is told, and whoever decided is answered, once the store has both. Until then
//! it stands in memory as decided, and no other command goes out, for those of a host are numbered one after another and
//! plans rest on what is held. Who no longer waits for the answer has been told that nothing came of it: then it is open again.

use std::collections::BTreeMap;

use shadow::Command;
use tokio::sync::oneshot;
use trust::audit::{Entry, What};

use super::{Engine, intake::At};
use crate::{
    allocate::proposals::{Fate, Proposal, Refusal},
    dispatch::Verdict,
    store::meta,
};

/// Whoever waits for what becomes of their word.
type Asker = oneshot::Sender<Result<Proposal, Refusal>>;

/// Decisions that are not durable yet: at most as many as proposals may be open.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    waiting: Vec<Decision>,
    /// Whether something is to become durable at once, not at the next turn.
    hurry: bool,
    /// Whether one was taken back, and the store has taken nothing since.
    stuck: bool,
    /// What has become of proposals and is not counted yet.
    ended: Vec<Fate>,
}

/// A decision that is not durable yet.
#[derive(Debug)]
struct Decision {
    proposal: Proposal,
    /// What an approval is made of.
    command: Option<Command>,
    reason: String,
    /// When it was told.
    at: At,
    /// Whether it is in the batch under way.
    is_sealed: bool,
    /// Who has asked for it, and who has again. Each is a request at the page, which bounds them.
    askers: Vec<Asker>,
}

impl Decisions {
    /// Whether none waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// All that was decided so far is in the batch that is handed over now.
    pub(super) fn seal(&mut self) {
        self.hurry = false;
        self.waiting.iter_mut().for_each(|decision| decision.is_sealed = true);
    }

    fn add(&mut self, decision: Decision) {
        self.waiting.push(decision);
        self.hurry = true;
    }

    /// Takes those out that are `over`.
    fn take(&mut self, over: impl Fn(&Decision) -> bool) -> Vec<Decision> {
        self.waiting.extract_if(.., |decision| over(decision)).collect()
    }
}

impl Decision {
    fn approves(&self) -> bool {
        self.command.is_some()
    }

    fn is_awaited(&self) -> bool {
        self.askers.iter().any(|asker| !asker.is_closed())
    }

    /// Tells whether anybody has heard it.
    fn answer(&mut self, told: &Result<Proposal, Refusal>) -> bool {
        let hears = |asker: Asker| asker.send(told.clone()).is_ok();
        // Each is told, whoever hears it.
        self.askers.drain(..).map(hears).fold(false, |any, this| any | this)
    }
}

impl Engine {
    /// Somebody decides on a proposal. They are answered when it is durable, or at once where nothing comes of it.
    pub(super) fn decided(&mut self, verdict: Verdict, at: At) {
        let Verdict {
            id,
            approves,
            by,
            reason,
            done,
        } = verdict;
        if done.is_closed() {
            return;
        }
        let same = |known: &&mut Decision| known.proposal.id == id && known.approves() == approves;
        if let Some(known) = self.decisions.waiting.iter_mut().find(same) {
            return known.askers.push(done);
        }
        let was_open = self.dispatch.is_open(&id);
        let decided = match self.stuck() {
            Some(why) if was_open => Err(Refusal::Unfit(why)),
            _ if approves => self.approve(&id, &by, at),
            _ => {
                let declined = self.dispatch.decline(&id, (&by, &reason), at.now_ms);
                declined.map(|proposal| (proposal, None))
            }
        };
        if was_open && let Ok((proposal, command)) = decided {
            self.batch.commands.extend(command.clone());
            let has_promised = command.is_some();
            self.decisions.add(Decision {
                proposal,
                command,
                reason,
                at,
                is_sealed: false,
                askers: vec![done],
            });
            return self.remember_decision(has_promised);
        }
        let decided = decided.map(|(proposal, _)| proposal);
        let word = match (approves, decided.is_ok()) {
            (true, true) => "approved before",
            (true, false) => "not approved",
            (false, true) => "declined before",
            (false, false) => "not declined",
        };
        tracing::info!(id, by, reason, "a proposal is {word}");
        let entry = Entry::new(at.now_ms, What::Approval, word, &by);
        self.audit
            .approve(told(entry, (&id, &reason), &decided), at.monotonic_ns);
        self.note_proposals();
        // Nobody waits any more when this fails.
        done.send(decided).unwrap_or_default();
    }

    fn approve(&mut self, id: &str, by: &str, at: At) -> Result<(Proposal, Option<Command>), Refusal> {
        if let Some(why) = self.unheard(at) {
            return Err(Refusal::Unfit(why));
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
        self.dispatch.approve((id, by), at.now_ms, &hosts)
    }

    /// Why no agent would hear of a command now.
    fn unheard(&self, at: At) -> Option<String> {
        let is_good = |trust: &trust::Trust| trust.good_until_ms(at.now_ms).is_some();
        let why = if !self.connected {
            "the broker is away, so no agent would hear of it"
        } else if !self.trust.as_deref().is_none_or(is_good) {
            "the brain has no certificate that is good now, so no agent would believe it"
        } else {
            return None;
        };
        Some(why.to_owned())
    }

    /// Why nothing is decided now: whoever asks again and again while the store takes nothing would keep all plans waiting.
    fn stuck(&self) -> Option<String> {
        let why = "the store takes nothing at the moment, and what is decided has to be noted first";
        self.decisions.stuck.then(|| why.to_owned())
    }

    /// Whether something is to become durable at once, for somebody waits for it.
    pub(crate) const fn is_hurried(&self) -> bool {
        self.decisions.hurry
    }

    /// A batch is durable: what was decided in it is carried out, and whoever decided is told.
    pub(super) fn decisions_noted(&mut self) {
        self.decisions.stuck = false;
        for decision in self.decisions.take(|decision| decision.is_sealed) {
            self.carry_out(decision);
        }
        self.count_proposals();
    }

    /// Takes back what nobody waits for any more.
    pub(super) fn forget_decisions(&mut self) {
        for decision in self.decisions.take(|decision| !decision.is_awaited()) {
            self.decisions.stuck = true;
            self.take_back(decision, "the store has not noted it in time".to_owned());
        }
    }

    fn carry_out(&mut self, mut decision: Decision) {
        let at = At {
            now_ms: self.now_ms.max(decision.at.now_ms),
            ..decision.at
        };
        let made = match (&decision.command, self.unfit(&decision, at)) {
            (_, Some(why)) => Err(why),
            (Some(command), None) => self.publication(command, at).map(Some),
            (None, None) => Ok(None),
        };
        let made = match made {
            Ok(made) => made,
            Err(why) => return self.take_back(decision, why),
        };
        let noted = Ok(decision.proposal.clone());
        if !decision.answer(&noted) {
            return self.take_back(decision, "whoever decided did not wait until it was noted".to_owned());
        }
        let (id, by, reason) = (&decision.proposal.id, &decision.proposal.by, &decision.reason);
        let word = decision.proposal.fate.as_str();
        tracing::info!(id, by, reason, "a proposal is {word}");
        let entry = Entry::new(at.now_ms, What::Approval, word, by);
        self.audit.record(told(entry, (id, reason), &noted));
        if let (Some(command), Some(made)) = (&decision.command, made) {
            self.dispatch.made(&decision.proposal, at.now_ms);
            self.publish_command(command, made, at);
        }
    }

    /// Why what was approved is not to be told any more.
    fn unfit(&self, decision: &Decision, at: At) -> Option<String> {
        decision.command.as_ref()?;
        let frozen = |freeze: &crate::Freeze| format!("the cell is frozen by {}", freeze.by);
        self.unheard(at).or_else(|| self.dispatch.freeze().map(frozen))
    }

    /// Nothing comes of a decision after all, and why: its proposal is open again. That its command was never sent is noted,
    /// for the store may have it.
    fn take_back(&mut self, mut decision: Decision, why: String) {
        let (id, at) = (decision.proposal.id.clone(), decision.at);
        let ended = self
            .dispatch
            .take_back(&id, decision.command.as_ref(), (self.now_ms, &why));
        self.batch.outcomes.extend(ended);
        let fates = &mut self.decisions.ended;
        if let Some(counted) = fates.iter().rposition(|fate| *fate == decision.proposal.fate) {
            fates.remove(counted);
        }
        self.remember_decision(decision.approves());
        self.decisions.hurry = true;
        let by = &decision.proposal.by;
        let word = if decision.approves() {
            "not approved"
        } else {
            "not declined"
        };
        tracing::warn!(id, by, why, "a proposal is {word}");
        let entry = Entry::new(self.now_ms, What::Approval, word, by);
        let refused = Err(Refusal::Unfit(why));
        self.audit
            .approve(told(entry, (&id, &decision.reason), &refused), at.monotonic_ns);
        decision.answer(&refused);
    }

    /// What was decided goes into the batch, with what is promised where that has changed, and is shown.
    fn remember_decision(&mut self, has_promised: bool) {
        self.note_proposals();
        if has_promised {
            self.remember_allocation();
        }
        self.snapshot = self.picture().into();
    }

    /// Notes proposals for whoever asks, and for the next start, where something has become of them.
    pub(super) fn note_proposals(&mut self) {
        for proposal in self.dispatch.changed_proposals() {
            if proposal.fate != Fate::Open {
                self.decisions.ended.push(proposal.fate);
            }
            self.batch.proposals.insert(proposal.id.clone(), proposal);
        }
        if let Some(proposals) = self.dispatch.new_proposals() {
            let json = serde_json::to_string(proposals);
            self.remember_json(meta::PROPOSALS, json);
        }
    }

    /// Counts what has become of proposals, once that is sure.
    pub(super) fn count_proposals(&mut self) {
        if self.decisions.is_empty() {
            for fate in self.decisions.ended.drain(..) {
                self.figures.proposals_ended.with(fate.as_str()).inc();
            }
        }
        self.figures.proposals_open.set(self.dispatch.open_proposals() as f64);
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
