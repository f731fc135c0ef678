//! The freeze switch is turned.

use shadow::UnixMs;
use trust::audit::{Entry, What};

use super::Engine;
use crate::{
    dispatch::{Freeze, FreezeSwitch},
    store::meta,
};

impl Engine {
    /// Somebody freezes the cell, or lets it move. It is durable with the next flush.
    pub(super) fn switched(&mut self, switch: FreezeSwitch, now_ms: UnixMs) {
        let FreezeSwitch {
            is_on,
            by,
            reason,
            done,
        } = switch;
        let word = if is_on { "frozen" } else { "thawed" };
        tracing::warn!(by, reason, "the cell is {word}");
        if let Some(audit) = self.audit.log() {
            let entry = Entry::new(now_ms, What::Approval, word, &self.config.cell).with("by", &by);
            audit.record(entry.with("reason", &reason));
        }
        // Who freezes what is frozen already changes nothing: the first reason stands.
        let known = self.dispatch.freeze().cloned();
        let freeze = is_on.then(|| {
            known.unwrap_or(Freeze {
                by,
                reason,
                since_ms: now_ms,
            })
        });
        self.dispatch.set_freeze(freeze.clone());
        match serde_json::to_string(&freeze) {
            Ok(json) => drop(self.batch.meta.insert(meta::FREEZE, json)),
            Err(error) => tracing::error!(%error, "the freeze is not noted"),
        }
        self.snapshot = self.picture().into();
        // Nobody waits any more when this fails.
        done.send(freeze).unwrap_or_default();
    }

    /// The brain ends: what was saved lately is stored.
    pub(crate) fn last_savings(&mut self) {
        let savings = self.dispatch.take_savings(self.now_ms, true);
        self.batch.savings.extend(savings);
    }

    /// Puts back how the switch stood before a restart; the configuration may say that a brain starts frozen.
    pub(super) fn restore_freeze(&mut self, stored: Option<Freeze>) {
        let configured = || Freeze {
            by: "configuration".to_owned(),
            reason: "allocate.frozen".to_owned(),
            since_ms: self.now_ms,
        };
        let freeze = stored.or_else(|| self.config.allocate.frozen.then(configured));
        self.dispatch.set_freeze(freeze);
    }
}
