//! Commands of a host: which changes go together, and how they are numbered and fenced.

use std::collections::BTreeSet;

use shadow::{Action, ActionKind, Change, Command, Explanation, Resource, UnixMs};

use super::Dispatch;
use crate::{
    allocate::{Key, Wake},
    policy::HOST_CLASS,
};

/// Changes of one host that go together.
pub(super) struct Part {
    pub(super) is_power: bool,
    pub(super) dry_run: bool,
    pub(super) changes: Vec<Change>,
}

impl Dispatch {
    /// The changes of one host by who obeys them and whether they are obeyed. Power is limited by the BMC, where one is
    /// spoken for, and all else on the host.
    pub(super) fn parts(&self, host: &str, changes: &[Change], only_told: &BTreeSet<Key>) -> [Part; 4] {
        let mut parts = [(false, false), (false, true), (true, false), (true, true)].map(|(is_power, dry_run)| Part {
            is_power,
            dry_run,
            changes: Vec::new(),
        });
        for change in changes {
            let is_power = change.resource == Resource::Power;
            let acts = self.policy.act.is_on(host, change.resource)
                && !only_told.contains(&Key::new(host, &change.workload, change.resource));
            let part = parts
                .iter_mut()
                .find(|part| (part.is_power, part.dry_run) == (is_power, !acts));
            if let Some(part) = part {
                part.changes.push(change.clone());
            }
        }
        parts
    }

    /// A spare host is switched on by the agent beside its BMC, where the policy acts on its power.
    pub(super) fn wake(&mut self, now_ms: UnixMs, wake: &Wake) -> Command {
        // Where the host as a whole is changed by somebody's word alone it is told, and nobody is woken.
        let (_, class) = self.policy.class(HOST_CLASS);
        let acts = self.policy.act.is_on(&wake.host, Resource::Power);
        let dry_run = !acts || self.policy.asks(&wake.host, Resource::Power, class);
        let action = Action {
            kind: ActionKind::ChassisOn,
            workload: String::new(),
            amount: None,
            explanation: Explanation {
                strategy: "preemptive".to_owned(),
                text: wake.text.clone(),
                quantile: self.policy.wake.quantile,
                forecast: wake.needed,
                ..Explanation::default()
            },
        };
        Command {
            actions: vec![action],
            ..self.command(now_ms, &wake.host, Vec::new(), dry_run)
        }
    }

    pub(super) fn command(&mut self, now_ms: UnixMs, host: &str, changes: Vec<Change>, dry_run: bool) -> Command {
        let sequence = self.sequences.entry(host.to_owned()).or_insert(0);
        *sequence += 1;
        Command {
            id: format!("{}-{host}-{sequence}", self.issuer_epoch),
            host: host.to_owned(),
            issuer_epoch: self.issuer_epoch,
            sequence: *sequence,
            issued_ms: now_ms,
            ttl_ms: self.timing.ttl_ms,
            dry_run,
            changes,
            actions: Vec::new(),
        }
    }
}

/// An issuer epoch that is larger than the last one: the unix clock in microseconds where it can be.
pub(crate) fn next_issuer_epoch(now_ms: UnixMs, last: Option<u64>) -> u64 {
    let now = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1_000);
    last.map_or(now, |last| now.max(last.saturating_add(1)))
}
