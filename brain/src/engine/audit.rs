//! What the brain tells in its audit log: commands, what became of them, and what it refused.

use shadow::{Command, Outcome, Vantage};
use trust::audit::{Entry, What};

use super::{Engine, intake::At};

impl Engine {
    /// A command is on its way.
    pub(super) fn tell_command(&self, command: &Command, vantage: Vantage, at: At) {
        let Some(audit) = &self.audit else { return };
        let change = |change: &shadow::Change| format!("{} {} {}", change.workload, change.resource, change.target);
        let changes: Vec<String> = command.changes.iter().map(change).collect();
        let entry = Entry::new(at.now_ms, What::Command, "issued", &command.host)
            .with("id", &command.id)
            .with("vantage", vantage)
            .with("dry_run", command.dry_run)
            .with("sealed", self.trust.is_some())
            .with("ttl_ms", command.ttl_ms)
            .with("changes", changes.join(", "));
        audit.record(entry);
    }

    /// An agent has told what it did.
    pub(super) fn tell_outcome(&self, host: &str, outcome: &Outcome, at: At) {
        let Some(audit) = &self.audit else { return };
        let entry = Entry::new(at.now_ms, What::Outcome, outcome.state.as_str(), host).with("id", &outcome.command_id);
        audit.record(match outcome.reason.as_str() {
            "" => entry,
            reason => entry.with("reason", reason),
        });
    }

    /// A message was refused; `suppressed` before it were not told, so that nobody can fill the log.
    pub(super) fn tell_refusal(&self, label: &str, reason: &str, (topic, suppressed): (&str, u64), at: At) {
        let Some(audit) = &self.audit else { return };
        let entry = Entry::new(at.now_ms, What::Refusal, label, topic).with("reason", reason);
        audit.record(entry.with("suppressed", suppressed));
    }
}
