//! Renewals: what is to stay is told again before it runs out. They are no changes: no budget counts them, the table of
//! commands and the page do not list them, and the frozen cell goes on with them. The table of plans counts them.

use std::collections::{BTreeMap, VecDeque};

use shadow::{Change, Command, Explanation, Outcome, Resource, UnixMs, wire::MAX_CHANGES};

use super::{Answer, Dispatch};
use crate::allocate::Key;

/// How often is looked for what is due, in milliseconds.
const EVERY_MS: i64 = 5_000;

/// The most hosts that are told again at a time: 200 a second, several times of what 10,000 hosts need.
const MOST: usize = 1_000;

/// The newest renewals of a host whose answers are waited for: two parts, and those before.
const KEPT: usize = 4;

impl Dispatch {
    /// Commands that tell again what is to stay. `age_ms` is the age of a host's newest sample: a host that has been silent
    /// for so long that nothing of it is changed is left to its leases.
    pub(crate) fn renew(&mut self, now_ms: UnixMs, age_ms: impl Fn(&str) -> Option<u64>) -> Vec<Command> {
        if now_ms.saturating_sub(self.renewed_ms.min(now_ms)) < EVERY_MS {
            return Vec::new();
        }
        self.renewed_ms = now_ms;
        let silent_ms = self.policy.safety.silent_after_ms;
        let is_heard = |host: &str| age_ms(host).is_some_and(|age_ms| age_ms <= silent_ms);
        let due = self.state.renewals((now_ms, self.timing.ttl_ms), MOST, is_heard);
        let mut commands = Vec::new();
        for (host, keys) in due {
            let changes = keys.into_iter().filter_map(|key| self.stay(&key));
            let (power, others): (Vec<_>, Vec<_>) = changes.partition(|change| change.resource == Resource::Power);
            for changes in others.chunks(MAX_CHANGES).chain(power.chunks(MAX_CHANGES)) {
                commands.push(self.command(now_ms, &host, changes.to_vec(), false));
            }
        }
        self.renewed = self.renewed.saturating_add(commands.len() as u64);
        for command in &commands {
            self.state.sent(command);
            let of_host = self.renewals.entry(command.host.clone()).or_default();
            of_host.push_back(command.clone());
            if of_host.len() > KEPT {
                of_host.pop_front();
            }
        }
        commands
    }

    /// What `key` holds, as a change that changes nothing; `None` where it is to run out: the policy acts on it no more, or
    /// nothing is promised.
    fn stay(&mut self, key: &Key) -> Option<Change> {
        let held = self.state.reservation(&key.host, &key.workload, key.resource);
        let Some(held) = held.filter(|_| self.policy.act.is_on(&key.host, key.resource)) else {
            self.state.let_go(key);
            return None;
        };
        let text = "it stays as it is: told again before its lease ends".to_owned();
        Some(Change {
            workload: key.workload.clone(),
            resource: key.resource,
            before: Some(held.amount),
            target: held.amount,
            ceiling: self.state.ceiling(key),
            explanation: Explanation {
                strategy: shadow::LEASE.to_owned(),
                text,
                ..Explanation::default()
            },
        })
    }

    /// Takes in the answer to a renewal; `None` when it is of none.
    pub(super) fn renewal_answered(&mut self, host: &str, outcome: &Outcome) -> Option<Answer> {
        let command = self.renewal(host, &outcome.command_id)?.clone();
        self.state.settle(&command, outcome);
        self.feedback.outcome(&command, outcome);
        Some(Answer::Renewed)
    }

    /// The renewal of this id, where it is among the newest of `host`.
    pub(super) fn renewal(&self, host: &str, id: &str) -> Option<&Command> {
        self.renewals.get(host)?.iter().find(|command| command.id == id)
    }
}

/// The newest renewals by host, oldest first.
pub(super) type Renewals = BTreeMap<String, VecDeque<Command>>;
