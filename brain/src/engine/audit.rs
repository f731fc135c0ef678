//! What the brain tells in its audit log: commands, what became of them, what it refused, which incidents somebody took
//! notice of, who froze the cell, and that its certificates or the list of revoked ones are others.

use std::time::Duration;

use runtime::LogBudget;
use shadow::{Command, Outcome, UnixMs, Vantage};
use trust::audit::{Audit, Entry, What};

use super::{Engine, intake::At};

/// Approvals that are told at once, and how soon another one is. Each is a person's; a program that asks again and
/// again shall not drive out what was told before.
const APPROVALS: (u32, Duration) = (100, Duration::from_mins(1));

/// The audit log, if one is kept.
#[derive(Debug)]
pub(super) struct Book {
    audit: Option<Audit>,
    approvals: LogBudget,
}

impl From<Option<Audit>> for Book {
    fn from(audit: Option<Audit>) -> Self {
        let (at_once, every) = APPROVALS;
        Self {
            audit,
            approvals: LogBudget::new(at_once, every),
        }
    }
}

impl Book {
    /// Something was changed by a person's word, which is as bounded as what can be changed.
    pub(super) fn record(&self, entry: Entry) {
        if let Some(audit) = &self.audit {
            audit.record(entry);
        }
    }

    /// A person has approved or declined something. What comes too often is left out, and its number is told with the next one.
    pub(super) fn approve(&mut self, entry: Entry, monotonic_ns: u64) {
        let Some(audit) = &self.audit else { return };
        if let Some(suppressed) = self.approvals.pass(monotonic_ns) {
            audit.record(match suppressed {
                0 => entry,
                suppressed => entry.with("suppressed", suppressed),
            });
        }
    }
}

impl Engine {
    /// A command is on its way.
    pub(super) fn tell_command(&self, command: &Command, vantage: Vantage, at: At) {
        let Some(audit) = &self.audit.audit else { return };
        let change = |change: &shadow::Change| {
            let ceiling = change
                .ceiling
                .map_or_else(String::new, |most| format!(" at most {most}"));
            format!("{} {} {}{ceiling}", change.workload, change.resource, change.target)
        };
        let changes: Vec<String> = command.changes.iter().map(change).collect();
        let action = |action: &shadow::Action| {
            let amount = action.amount.map_or_else(String::new, |amount| format!(" {amount}"));
            let workload = if action.workload.is_empty() { "" } else { " " };
            format!("{}{workload}{}{amount}", action.kind.as_str(), action.workload)
        };
        let actions: Vec<String> = command.actions.iter().map(action).collect();
        let entry = Entry::new(at.now_ms, What::Command, "issued", &command.host)
            .with("id", &command.id)
            .with("vantage", vantage)
            .with("dry_run", command.dry_run)
            .with("sealed", self.trust.is_some())
            .with("ttl_ms", command.ttl_ms)
            .with("changes", changes.join(", "))
            .with("actions", actions.join(", "));
        audit.record(entry);
    }

    /// An agent has told what it did.
    pub(super) fn tell_outcome(&self, host: &str, outcome: &Outcome, at: At) {
        let Some(audit) = &self.audit.audit else { return };
        let entry = Entry::new(at.now_ms, What::Outcome, outcome.state.as_str(), host).with("id", &outcome.command_id);
        audit.record(match outcome.reason.as_str() {
            "" => entry,
            reason => entry.with("reason", reason),
        });
    }

    /// A message of a topic, or a request of somebody, was refused; `suppressed` before it were not told, so that nobody can
    /// fill the log.
    pub(super) fn tell_refusal(&self, label: &str, reason: &str, (who, suppressed): (&str, u64), at: At) {
        let Some(audit) = &self.audit.audit else { return };
        let entry = Entry::new(at.now_ms, What::Refusal, label, who).with("reason", reason);
        audit.record(entry.with("suppressed", suppressed));
    }

    /// Somebody has logged in to the page, or out.
    pub(super) fn tell_entered(&self, who: &str, how: &str, (from, suppressed): (&str, u64), at: At) {
        let Some(audit) = &self.audit.audit else { return };
        let entry = Entry::new(at.now_ms, What::Login, how, who).with("from", from);
        audit.record(entry.with("suppressed", suppressed));
    }

    /// Somebody, by their own word or their login, takes notice of the incident of a host that began then, if there is one.
    pub(super) fn tell_acknowledgement(&mut self, by: &str, (host, since_ms): (&str, UnixMs), known: bool, at: At) {
        let entry = Entry::new(at.now_ms, What::Approval, "acknowledged", by)
            .with("host", host)
            .with("since_ms", since_ms)
            .with("known", known);
        self.audit.approve(entry, at.monotonic_ns);
    }

    /// Certificates and the list of revoked ones were read: up to when the brain can seal.
    pub(crate) fn tell_identity(&self, what: &str) {
        let Some(trust) = &self.trust else { return };
        let until_ms = trust.good_until_ms(self.now_ms).unwrap_or_default();
        self.tell_key(what, ("until_ms", &until_ms.to_string()));
    }

    /// Something became of the brain's certificate or of the list of revoked ones.
    pub(super) fn tell_key(&self, what: &str, (name, value): (&str, &str)) {
        let Some(audit) = &self.audit.audit else { return };
        audit.record(Entry::new(self.now_ms, What::Key, what, "brain").with(name, value));
    }
}
