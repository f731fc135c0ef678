//! Whose sessions there are, and what they hold: each name has bounds, so that none takes what is for all.

use std::{collections::HashMap, sync::Arc};

use crate::{Limits, access::name_of, pending::Stored};

/// Names with the lasting sessions that they have, and with what all their sessions hold. Sessions of who has no name count
/// among all alone: only this machine's clients can be nobody.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    names: HashMap<Box<str>, Account>,
    /// What all sessions hold besides messages, in bytes.
    held: usize,
}

#[derive(Debug, Default)]
struct Account {
    /// Those that last.
    sessions: usize,
    held: usize,
    stored: Arc<Stored>,
}

impl Owners {
    /// Lasting sessions of the name in a session's id.
    pub(crate) fn sessions(&self, id: &str) -> usize {
        let account = name_of(id).and_then(|name| self.names.get(name));
        account.map_or(0, |account| account.sessions)
    }

    /// A lasting session begins. Returns where what it keeps is counted.
    pub(crate) fn begin(&mut self, id: &str) -> Option<Arc<Stored>> {
        let account = self.names.entry(name_of(id)?.into()).or_default();
        account.sessions += 1;
        Some(account.stored.clone())
    }

    /// A lasting session has ended.
    pub(crate) fn end(&mut self, id: &str) {
        let Some(name) = name_of(id) else { return };
        let Some(account) = self.names.get_mut(name) else {
            return;
        };
        account.sessions -= 1;
        if account.sessions == 0 && account.held == 0 {
            self.names.remove(name);
        }
    }

    /// How many bytes more the sessions of the name in `id` may hold.
    pub(crate) fn room(&self, id: &str, limits: &Limits) -> usize {
        let all = limits.max_session_bytes.saturating_sub(self.held);
        let own = name_of(id).map(|name| {
            let held = self.names.get(name).map_or(0, |account| account.held);
            limits.max_session_bytes_per_name.saturating_sub(held)
        });
        own.map_or(all, |own| own.min(all))
    }

    /// A session that held `before` bytes holds `now`.
    pub(crate) fn hold(&mut self, id: &str, before: usize, now: usize) {
        if before == now {
            return;
        }
        self.held = (self.held + now).saturating_sub(before);
        let Some(name) = name_of(id) else { return };
        let account = self.names.entry(name.into()).or_default();
        account.held = (account.held + now).saturating_sub(before);
        if account.sessions == 0 && account.held == 0 {
            self.names.remove(name);
        }
    }

    /// What all sessions hold, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}
